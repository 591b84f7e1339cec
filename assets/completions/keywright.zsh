#compdef keywright
# zsh completion for keywright:  source <(keywright completions zsh)
_keywright() {
    local -a before lines values shown
    local line value files
    before=("${(@Q)words[2,CURRENT-1]}")
    lines=("${(@f)$(${~${(Q)words[1]}} complete --current="${(Q)PREFIX}" -- "${before[@]}" 2>/dev/null)}")
    for line in $lines; do
        value=${line%%$'\t'*}
        if [[ -z $value ]]; then
            files=1
            continue
        fi
        values+=("$value")
        shown+=("$value  -- ${line#*$'\t'}")
    done
    (( $#values )) && compadd -l -d shown -a values
    [[ -z $files ]] || _default
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _keywright "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _keywright keywright
fi
