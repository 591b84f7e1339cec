<#
.SYNOPSIS
Installs Keywright for this user on Windows, without administrator rights.

.DESCRIPTION
The checksums of a release are signed with minisign. Signature, checksum and version are verified in
a temporary directory before anything is installed; if one is wrong, nothing is changed. minisign is
needed for that: winget install jedisct1.minisign

.PARAMETER To
The directory that gets keywright.exe (default: %LOCALAPPDATA%\Programs\Keywright)

.PARAMETER Version
This version, also one older than the installed (default: the latest)

.PARAMETER Url
Where the files of the release are (https, or http on loopback)

.PARAMETER Uninstall
Removes what was installed; keys, inventory and configuration stay
#>
[CmdletBinding()]
param(
    [string] $To = (Join-Path $env:LOCALAPPDATA 'Programs\Keywright'),
    [string] $Version = '',
    [string] $Url = '',
    [switch] $Uninstall
)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$PublicKey = '@PUBLIC_KEY@'
$Repository = 'https://github.com/keywright/keywright'
$Target = 'x86_64-pc-windows-msvc'
# In the archive and in the directory; the program is last.
$Files = @('completions\keywright.ps1', 'keywright.1', 'keywright.exe')

function Stop-Install([string] $Message, [string] $Advice) {
    throw "$Message`n  nothing was installed or changed`n  $Advice"
}

function Get-ReleaseFile([string] $Name) {
    try {
        Invoke-WebRequest -UseBasicParsing -Uri "$Url/$Name" -OutFile (Join-Path $Work $Name) -TimeoutSec 600
    } catch {
        Stop-Install "$Url/$Name could not be downloaded: $($_.Exception.Message)" 'check the network and the proxy, then try again'
    }
}

function Get-UserPath {
    [Environment]::GetEnvironmentVariable('Path', 'User')
}

function Remove-Keywright {
    $found = $Files | ForEach-Object { Join-Path $To $_ } | Where-Object { Test-Path -LiteralPath $_ }
    if (-not $found) {
        Write-Output "Keywright is not installed in $To. Another directory: -Uninstall -To DIR"
        return
    }
    $found | ForEach-Object { Remove-Item -LiteralPath $_ }
    foreach ($directory in (Join-Path $To 'completions'), $To) {
        if ((Test-Path -LiteralPath $directory) -and -not (Get-ChildItem -LiteralPath $directory -Force)) {
            Remove-Item -LiteralPath $directory
        }
    }
    $path = (Get-UserPath) -split ';' | Where-Object { $_ -and $_ -ne $To }
    [Environment]::SetEnvironmentVariable('Path', ($path -join ';'), 'User')
    Write-Output "Removed Keywright from $To. Keys in the Credential Manager, the inventory and the configuration stay."
}

function Install-Keywright {
    if ($Url -notmatch '^(https://|http://(127\.0\.0\.1|localhost|\[::1\]):)') {
        Stop-Install "$Url is not an https address" 'pass an address that begins with https://'
    }
    if (-not (Get-Command minisign -ErrorAction SilentlyContinue)) {
        Stop-Install 'the signature cannot be verified: minisign is not installed' 'run: winget install jedisct1.minisign, open a new terminal, then try again'
    }
    Get-ReleaseFile 'SHA256SUMS'
    Get-ReleaseFile 'SHA256SUMS.minisig'
    $sums = Join-Path $Work 'SHA256SUMS'
    $trusted = & minisign -V -Q -P $PublicKey -m $sums -x "$sums.minisig" 2>$null
    if ($LASTEXITCODE -ne 0) {
        Stop-Install "the signature of SHA256SUMS is not Keywright's" "do not use these files; try again later, and report it at $Repository/security"
    }
    # The version is part of what was signed, so files of two releases cannot be mixed.
    $release = if ("$trusted" -match '^keywright (\d[0-9A-Za-z.+-]*)\s*$') { $Matches[1] } else { '' }
    $name = "keywright-$release-$Target"
    $line = @(Get-Content -LiteralPath $sums | Where-Object { $_.EndsWith("  $name.zip") })
    if ($line.Count -ne 1) {
        Stop-Install "the release has no binary for $Target" 'build it: cargo install keywright'
    }
    if ($Version -and $Version -ne $release) {
        Stop-Install "the release at $Url is $release, not $Version" "pass -Version $release, or another -Url"
    }
    $old = ''
    $program = Join-Path $To 'keywright.exe'
    if (Test-Path -LiteralPath $program) {
        $old = "$(& $program --version)" -replace '^keywright ', ''
        if (-not $Version -and ([version] ($release -replace '[-+].*', '')) -lt ([version] ($old -replace '[-+].*', ''))) {
            Stop-Install "the release $release is older than the installed $old" "to install it all the same, pass -Version $release"
        }
    }

    Get-ReleaseFile "$name.zip"
    $archive = Join-Path $Work "$name.zip"
    if ((Get-FileHash -LiteralPath $archive -Algorithm SHA256).Hash -ne $line[0].Substring(0, 64)) {
        Stop-Install "the checksum of $name.zip is wrong: the file is damaged or is not the one that was released" "try again; if it stays wrong, report it at $Repository/security"
    }
    Expand-Archive -LiteralPath $archive -DestinationPath $Work
    $unpacked = Join-Path $Work $name
    if ("$(& (Join-Path $unpacked 'keywright.exe') --version)" -ne "keywright $release") {
        Stop-Install 'the program of this release does not run here' 'build it: cargo install keywright'
    }

    # Everything is copied first and renamed last. A running program can be renamed, not replaced.
    $isNew = -not (Test-Path -LiteralPath $To)
    try {
        New-Item -ItemType Directory -Force -Path (Join-Path $To 'completions') | Out-Null
        foreach ($file in $Files) {
            Copy-Item -LiteralPath (Join-Path $unpacked $file) -Destination (Join-Path $To "$file.new")
        }
        foreach ($file in $Files) {
            $path = Join-Path $To $file
            Remove-Item -LiteralPath "$path.old" -Force -ErrorAction SilentlyContinue
            if (Test-Path -LiteralPath $path) { Move-Item -LiteralPath $path -Destination "$path.old" }
            Move-Item -LiteralPath "$path.new" -Destination $path
            Remove-Item -LiteralPath "$path.old" -Force -ErrorAction SilentlyContinue
        }
    } catch {
        foreach ($file in $Files) {
            $path = Join-Path $To $file
            Remove-Item -LiteralPath "$path.new" -Force -ErrorAction SilentlyContinue
            if ((Test-Path -LiteralPath "$path.old") -and -not (Test-Path -LiteralPath $path)) {
                Move-Item -LiteralPath "$path.old" -Destination $path
            }
        }
        if ($isNew) { Remove-Item -LiteralPath $To -Recurse -Force -ErrorAction SilentlyContinue }
        Stop-Install "$To cannot be written to: $($_.Exception.Message)" 'choose another directory: -To DIR'
    }

    $path = @((Get-UserPath) -split ';' | Where-Object { $_ })
    if ($path -notcontains $To) {
        [Environment]::SetEnvironmentVariable('Path', (($path + $To) -join ';'), 'User')
        Write-Output "$To was added to PATH; open a new terminal."
    }
    if ($old) {
        Write-Output "Keywright $release replaces ${old}: $program"
    } else {
        Write-Output "Keywright $release is installed: $program"
    }
    Write-Output "Completions: add to `$PROFILE:  . '$(Join-Path $To 'completions\keywright.ps1')'"
    Write-Output 'Try it without an account: keywright --sandbox'
}

if ($Uninstall) {
    Remove-Keywright
    return
}
if (-not $Url) {
    $Url = if ($Version) { "$Repository/releases/download/v$($Version -replace '^v', '')" } else { "$Repository/releases/latest/download" }
}
$Url = $Url.TrimEnd('/')
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
$Work = Join-Path ([IO.Path]::GetTempPath()) "keywright-install-$([Guid]::NewGuid().ToString('N'))"
New-Item -ItemType Directory -Path $Work | Out-Null
try {
    Install-Keywright
} finally {
    Remove-Item -LiteralPath $Work -Recurse -Force -ErrorAction SilentlyContinue
}
