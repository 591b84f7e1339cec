# fish completion for keywright:  keywright completions fish | source
function __keywright_complete
    set -l words (commandline -opc)
    $words[1] complete -- $words[2..] 2>/dev/null
end
complete -c keywright -f -a '(__keywright_complete)'
# What `run` runs, and what it is given.
complete -c keywright -n '__fish_seen_subcommand_from run' -F
