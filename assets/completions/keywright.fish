# fish completion for keywright:  keywright completions fish | source
function __keywright_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct | string trim --left --chars='"\'')
    for line in ($words[1] complete --current="$current" -- $words[2..] 2>/dev/null)
        if string match -q \t'*' -- $line
            __fish_complete_path $current
        else
            echo $line
        end
    end
end
complete -c keywright -f -a '(__keywright_complete)'
