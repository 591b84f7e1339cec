# bash completion for keywright:  source <(keywright completions bash)
_keywright() {
    local candidate
    COMPREPLY=()
    # The candidates are quoted for the place where bash inserts them.
    while IFS= read -r candidate; do
        if [[ -n $candidate ]]; then
            COMPREPLY+=("$candidate")
        else
            compopt -o bashdefault -o default 2>/dev/null
        fi
    done < <("${COMP_WORDS[0]/#\~/$HOME}" complete --current="$2" --bash-line="${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _keywright keywright
