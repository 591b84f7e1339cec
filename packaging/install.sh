#!/bin/sh
# Installs Keywright for this user, without root, on Linux and macOS:
#
#   sh install.sh [--to DIR] [--version X.Y.Z] [--url URL]
#   sh install.sh --uninstall [--to DIR]
#
#   --to DIR         the directory that gets bin/ and share/ (default: ~/.local)
#   --version X.Y.Z  this version, also one older than the installed (default: the latest)
#   --url URL        where the files of the release are (https, or http on loopback)
#   --uninstall      removes what was installed; keys, inventory and configuration stay
#
# The checksums of a release are signed with minisign. Signature, checksum and version are verified
# in a temporary directory before anything is installed; if one is wrong, nothing is changed.
set -eu
umask 022

public_key=@PUBLIC_KEY@
repository=https://github.com/keywright/keywright

# Prints an error: what happened, and what to do. Nothing was installed at any such point.
fail() {
    printf 'error: %s\n  nothing was installed or changed\n  %s\n' "$1" "$2" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

detect_target() {
    system=$(uname -s)
    machine=$(uname -m)
    # A shell under Rosetta reports the wrong machine.
    if [ "$system" = Darwin ] && [ "$(sysctl -n hw.optional.arm64 2>/dev/null || true)" = 1 ]; then
        machine=arm64
    fi
    case $machine in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no binary for $system on $machine" "build it: cargo install keywright" ;;
    esac
    case $system in
    Linux) target=$machine-unknown-linux-musl ;;
    Darwin) target=$machine-apple-darwin ;;
    *) fail "there is no binary for $system on $machine" "build it: cargo install keywright" ;;
    esac
}

# download NAME: fetches a file of the release into the temporary directory.
download() {
    case $url in
    https://*) protocol='=https' ;;
    *) protocol='=http' ;;
    esac
    if has curl; then
        curl --proto "$protocol" --fail --silent --show-error --location --connect-timeout 20 --max-time 600 \
            --output "$work/$1" "$url/$1" >"$work/log" 2>&1 && return
    elif has wget; then
        wget --quiet --tries=2 --timeout=60 -O "$work/$1" "$url/$1" >"$work/log" 2>&1 && return
    else
        fail "neither curl nor wget is installed" "install one of them, then try again"
    fi
    fail "$url/$1 could not be downloaded: $(tail -n 1 "$work/log" | tr -d '\r')" \
        "check the network and the proxy (HTTPS_PROXY), then try again"
}

bad_signature() {
    fail "the signature of SHA256SUMS is not Keywright's" \
        "do not use these files; try again later, and report it at $repository/security"
}

# Prints the bytes of a file from a position on, at most as many as given.
slice() {
    tail -c "+$2" "$1" | head -c "$3"
}

# Verifies like minisign, with an OpenSSL that knows Ed25519 and BLAKE2b.
verify_with_openssl() {
    sed -n 2p "$work/SHA256SUMS.minisig" | openssl base64 -d -A >"$work/signature" 2>/dev/null || return 1
    printf %s "$public_key" | openssl base64 -d -A >"$work/key" || return 1
    # The algorithm, the number of the key, then the signature or the key.
    slice "$work/signature" 3 8 >"$work/signature.id"
    slice "$work/key" 3 8 | cmp -s - "$work/signature.id" || return 1
    slice "$work/signature" 11 64 >"$work/signature.raw"
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000' && slice "$work/key" 11 32; } >"$work/key.der"
    [ "$(slice "$work/signature" 1 2)" = ED ] || return 1
    openssl dgst -blake2b512 -binary "$work/SHA256SUMS" >"$work/digest" || return 1
    ed25519 "$work/digest" "$work/signature.raw" || return 1
    # The second signature covers the first one and the trusted comment.
    sed -n 4p "$work/SHA256SUMS.minisig" | openssl base64 -d -A >"$work/comment.raw" 2>/dev/null || return 1
    { cat "$work/signature.raw" && printf %s "$trusted"; } >"$work/comment"
    ed25519 "$work/comment" "$work/comment.raw"
}

ed25519() {
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$1" -sigfile "$2" >/dev/null 2>&1
}

verify_signature() {
    trusted=$(sed -n '3s/^trusted comment: //p' "$work/SHA256SUMS.minisig")
    if has minisign; then
        minisign -V -q -P "$public_key" -m "$work/SHA256SUMS" -x "$work/SHA256SUMS.minisig" >/dev/null 2>&1 || bad_signature
    elif has openssl && openssl pkeyutl -help 2>&1 | grep -q rawin && openssl dgst -blake2b512 /dev/null >/dev/null 2>&1; then
        verify_with_openssl || bad_signature
    else
        fail "the signature cannot be verified: neither minisign nor OpenSSL 3 is installed" \
            "install minisign (apt install minisign, dnf install minisign, brew install minisign), then try again"
    fi
}

checksum_of() {
    if has sha256sum; then
        sha256sum "$1"
    else
        shasum -a 256 "$1"
    fi | cut -c 1-64
}

# is_older A B: whether version A is older than version B; both are X.Y.Z.
is_older() {
    awk -v a="$1" -v b="$2" 'BEGIN {
        split(a, x, "[.-]"); split(b, y, "[.-]")
        for (n = 1; n <= 3; n++) if (x[n] + 0 != y[n] + 0) exit !(x[n] + 0 < y[n] + 0)
        exit 1
    }'
}

# Lists what is installed: the path in the archive and the path below the directory.
installed_files() {
    cat <<'FILES'
completions/keywright.bash share/bash-completion/completions/keywright
completions/keywright.zsh share/zsh/site-functions/_keywright
completions/keywright.fish share/fish/vendor_completions.d/keywright.fish
completions/keywright.elv share/elvish/lib/keywright.elv
keywright.1 share/man/man1/keywright.1
credential-helpers/docker-credential-keywright-age share/keywright/credential-helpers/docker-credential-keywright-age
credential-helpers/docker-credential-keywright-pass share/keywright/credential-helpers/docker-credential-keywright-pass
keywright bin/keywright
FILES
}

# Removes the temporary directory and what was prepared in the target directories.
clean_up() {
    code=$?
    trap - EXIT
    rm -rf "$work"
    installed_files | while read -r _ path; do
        rm -f "$to/${path%/*}/.keywright-install.$$.${path##*/}"
    done 2>/dev/null || true
    if [ "$code" -ne 0 ] && [ -n "$created" ]; then
        # Deepest first: only the directories that this run made, and only while they are empty.
        printf '%s' "$created" | sort -r | while IFS= read -r directory; do
            rmdir "$directory" 2>/dev/null || true
        done
    fi
    exit "$code"
}

# Makes a directory and remembers which ones did not exist.
make_directory() {
    if [ -z "$1" ] || [ -d "$1" ]; then
        return
    fi
    make_directory "${1%/*}" || return 1
    mkdir "$1" 2>/dev/null || return 1
    created="$created$1
"
}

uninstall() {
    removed=0
    for path in $(installed_files | cut -d ' ' -f 2); do
        if [ -e "$to/$path" ]; then
            rm -f "$to/$path" || {
                printf 'error: %s could not be removed\n  the files before it are removed, no key is lost\n  make its directory writable, then try again\n' "$to/$path" >&2
                exit 1
            }
            removed=1
        fi
    done
    if [ "$removed" = 0 ]; then
        printf 'Keywright is not installed in %s. Another directory: --uninstall --to DIR\n' "$to"
    else
        printf 'Removed Keywright from %s. Keys in the keychain, the inventory and the configuration stay.\n' "$to"
    fi
}

install_release() {
    detect_target
    case $url in
    https://* | http://127.0.0.1:* | http://localhost:* | "http://[::1]:"*) ;;
    *) fail "$url is not an https address" "pass an address that begins with https://" ;;
    esac
    work=$(mktemp -d "${TMPDIR:-/tmp}/keywright-install.XXXXXX") ||
        fail "no temporary directory could be made in ${TMPDIR:-/tmp}" "set TMPDIR to a directory that you can write to"
    created=
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM

    download SHA256SUMS
    download SHA256SUMS.minisig
    verify_signature
    # The version is part of what was signed, so files of two releases cannot be mixed.
    release=$(printf '%s\n' "$trusted" | sed -n 's/^keywright \([0-9][0-9A-Za-z.+-]*\)$/\1/p')
    archive=keywright-$release-$target.tar.gz
    expected=$(awk -v name="$archive" '$2 == name { print $1 }' "$work/SHA256SUMS")
    [ -n "$expected" ] ||
        fail "the release has no binary for $target" "build it: cargo install keywright"
    if [ -n "$version" ] && [ "$version" != "$release" ]; then
        fail "the release at $url is $release, not $version" "pass --version $release, or another --url"
    fi
    old=
    if [ -x "$to/bin/keywright" ]; then
        old=$("$to/bin/keywright" --version 2>/dev/null | sed -n '1s/^keywright //p') || old=
        if [ -n "$old" ] && [ -z "$version" ] && is_older "$release" "$old"; then
            fail "the release $release is older than the installed $old" \
                "to install it all the same, pass --version $release"
        fi
    fi

    download "$archive"
    [ "$(checksum_of "$work/$archive")" = "$expected" ] ||
        fail "the checksum of $archive is wrong: the file is damaged or is not the one that was released" \
            "try again; if it stays wrong, report it at $repository/security"
    (cd "$work" && tar -xzf "$archive") || fail "$archive could not be unpacked" "check the space in ${TMPDIR:-/tmp}"

    # Everything is copied first and renamed last, so that a full disk leaves the old version whole.
    for line in $(installed_files | tr ' ' ':'); do
        path=${line#*:}
        directory=$to/${path%/*}
        copy=$directory/.keywright-install.$$.${path##*/}
        { make_directory "$directory" && cp "$work/keywright-$release-$target/${line%%:*}" "$copy"; } 2>/dev/null ||
            fail "$directory cannot be written to" "choose another directory: sh install.sh --to DIR"
    done
    copy=$to/bin/.keywright-install.$$.keywright
    chmod 755 "$copy"
    [ "$("$copy" --version 2>/dev/null)" = "keywright $release" ] ||
        fail "the program of this release does not run here" "build it: cargo install keywright"
    for path in $(installed_files | cut -d ' ' -f 2); do
        mv -f "$to/${path%/*}/.keywright-install.$$.${path##*/}" "$to/$path"
    done

    if [ -n "$old" ]; then
        printf 'Keywright %s replaces %s: %s\n' "$release" "$old" "$to/bin/keywright"
    else
        printf 'Keywright %s is installed: %s\n' "$release" "$to/bin/keywright"
    fi
    # shellcheck disable=SC2016  # The line is for the user's shell.
    case :$PATH: in
    *:"$to/bin":*) printf 'Try it without an account: keywright --sandbox\n' ;;
    *) printf '%s is not in PATH. Add to the file that your shell reads at its start:\n  export PATH="%s:$PATH"\n' "$to/bin" "$to/bin" ;;
    esac
}

main() {
    to=${HOME:+$HOME/.local}
    version=
    url=
    action=install_release
    while [ $# -gt 0 ]; do
        case $1 in
        --to | --version | --url)
            [ $# -ge 2 ] || fail "$1 needs a value" "see: sh install.sh --help"
            case $1 in
            --to) to=$2 ;;
            --version) version=${2#v} ;;
            --url) url=${2%/} ;;
            esac
            shift
            ;;
        --uninstall) action=uninstall ;;
        -h | --help)
            cat <<'HELP'
Installs Keywright for this user, without root.

  sh install.sh [--to DIR] [--version X.Y.Z] [--url URL]
  sh install.sh --uninstall [--to DIR]

  --to DIR         the directory that gets bin/ and share/ (default: ~/.local)
  --version X.Y.Z  this version, also one older than the installed (default: the latest)
  --url URL        where the files of the release are (https, or http on loopback)
  --uninstall      removes what was installed; keys, inventory and configuration stay
HELP
            exit 0
            ;;
        *) fail "$1 is not an option" "see: sh install.sh --help" ;;
        esac
        shift
    done
    case $to in
    /*) to=${to%/} ;;
    *) fail "the directory '$to' is not an absolute path" "pass one: --to \"\$HOME/.local\"" ;;
    esac
    if [ -z "$url" ]; then
        url=$repository/releases/latest/download
        [ -z "$version" ] || url=$repository/releases/download/v$version
    fi
    "$action"
}

# The last line: a script that arrived in part does nothing.
main "$@"
