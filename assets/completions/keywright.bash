# bash completion for keywright:  source <(keywright completions bash)
_keywright() {
    local typed=${COMP_WORDS[COMP_CWORD]} words=() word value
    COMPREPLY=()
    # As the program would get them: quotes and backslashes taken away, nothing expanded.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == [\"\']*[\"\'] ]] && word=${word:1:-1}
        words+=("${word//\\/}")
    done
    while IFS=$'\t' read -r value _; do
        # An option shows itself once its first dash is there.
        [[ $value == -* && $typed != -* ]] && continue
        case $typed in
        [\"\']*)
            # Within quotes bash closes them itself.
            [[ $value == "${typed:1}"* ]] && COMPREPLY+=("$value")
            ;;
        *)
            printf -v value %q "$value"
            # Or bash would take these for the end of a word.
            value=${value//=/\\=} value=${value//:/\\:} value=${value//@/\\@}
            [[ $value == "$typed"* ]] && COMPREPLY+=("$value")
            ;;
        esac
    done < <("${COMP_WORDS[0]/#\~/$HOME}" complete -- "${words[@]}" 2>/dev/null)
}
complete -o bashdefault -o default -F _keywright keywright
