# Elvish completion for keywright:  eval (keywright completions elvish | slurp)
use str
set edit:completion:arg-completer[keywright] = {|@words|
  var typed = $words[-1]
  keywright complete -- (all $words[1..-1]) 2>/dev/null | from-lines | each {|line|
    var value about = (str:split &max=2 "\t" $line)
    # An option shows itself once its first dash is there.
    if (or (str:has-prefix $typed -) (not (str:has-prefix $value -))) {
      edit:complex-candidate $value &display=$value'  '$about
    }
  }
}
