# Elvish completion for keywright:  eval (keywright completions elvish | slurp)
use str
set edit:completion:arg-completer[keywright] = {|@words|
  var typed = $words[-1]
  keywright complete --current=$typed -- (all $words[1..-1]) 2>/dev/null | from-lines | each {|line|
    var value about = (str:split &max=2 "\t" $line)
    if (eq $value '') {
      edit:complete-filename $typed
    } else {
      edit:complex-candidate $value &display=$value'  '$about
    }
  }
}
