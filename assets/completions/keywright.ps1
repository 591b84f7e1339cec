# PowerShell completion for keywright:  keywright completions powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName keywright -ScriptBlock {
    param($typed, $ast, $cursor)
    $words = @($ast.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text } })
    $typed = $typed.Trim("'`"")
    keywright complete "--current=$typed" -- @words 2>$null | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        if (-not $value.StartsWith($typed, [System.StringComparison]::OrdinalIgnoreCase)) { return }
        # Without a candidate PowerShell offers file names.
        if (-not $value) { return }
        $quoted = if ($value -match '^[\w./:-]+$') { $value } else { "'" + ($value -replace "(['\u2018-\u201b])", '$1$1') + "'" }
        if (-not $about) { $about = $value }
        [System.Management.Automation.CompletionResult]::new($quoted, $value, 'ParameterValue', $about)
    }
}
