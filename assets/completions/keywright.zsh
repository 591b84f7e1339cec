#compdef keywright
# zsh completion for keywright:  source <(keywright completions zsh)
_keywright() {
    local -a before lines values shown
    local line value
    before=("${(@Q)words[2,CURRENT-1]}")
    lines=("${(@f)$(${~${(Q)words[1]}} complete -- "${before[@]}" 2>/dev/null)}")
    for line in $lines; do
        value=${line%%$'\t'*}
        # An option shows itself once its first dash is there.
        [[ -z $value || ($value == -* && $PREFIX != -*) ]] && continue
        values+=("$value")
        shown+=("$value  -- ${line#*$'\t'}")
    done
    if (( $#values )); then
        compadd -l -d shown -a values
    else
        _default
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _keywright "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _keywright keywright
fi
