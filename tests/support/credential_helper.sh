#!/bin/sh
dir='DIR'
FAULT
path() { printf '%s/%s' "$dir" "$(printf %s "$1" | cksum | cut -d ' ' -f 1)"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$2"; }
case $1 in
store)
    cat >"$dir/new" && mv "$dir/new" "$(path "$(field ServerURL "$dir/new")")" ;;
get)
    file=$(path "$(cat)")
    [ -f "$file" ] || { printf 'credentials not found in native keychain\n'; exit 1; }
    cat "$file" ;;
erase)
    rm "$(path "$(cat)")" ;;
list)
    printf '{'
    comma=
    for file in "$dir"/[0-9]*; do
        [ -f "$file" ] || continue
        printf '%s"%s":"%s"' "$comma" "$(field ServerURL "$file")" "$(field Username "$file")"
        comma=,
    done
    printf '}' ;;
esac
