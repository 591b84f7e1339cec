#!/usr/bin/env bash
# Makes the certificates of these tests anew: an issuer that they trust, and what can be wrong with a
# server's. Each is valid for a hundred years, but for the one that has expired. Nothing here is a
# secret of anybody's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scrap=$(mktemp -d)
trap 'rm -rf "$scrap"' EXIT
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

for name in trusted stranger; do
    openssl req -x509 "${ec[@]}" -keyout "$scrap/$name.key" -out "$scrap/$name.pem" -days 36500 \
        -subj "/CN=$name" -addext keyUsage=critical,keyCertSign
done
cp "$scrap/trusted.pem" .

server() { # its file, its issuer, its name, until
    touch "$scrap/index"
    openssl req "${ec[@]}" -keyout "$scrap/key" -out "$scrap/request" -subj "/CN=$1"
    cat > "$scrap/conf" <<CONF
[ca]
default_ca = this
[this]
database = $scrap/index
new_certs_dir = $scrap
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[names]
subjectAltName = DNS:$3
extendedKeyUsage = serverAuth
CONF
    openssl ca -batch -notext -config "$scrap/conf" -extensions names -in "$scrap/request" \
        -cert "$scrap/$2.pem" -keyfile "$scrap/$2.key" -out "$scrap/cert" \
        -startdate 20200101000000Z -enddate "$4"
    cat "$scrap/cert" "$scrap/key" > "$1.pem"
}
server good trusted localhost 21200101000000Z
server wrong-name trusted elsewhere.example 21200101000000Z
server unknown-issuer stranger localhost 21200101000000Z
server expired trusted localhost 20200201000000Z
