#!/usr/bin/env bash
# Creates the test certificates: a trusted issuer, a valid server certificate and invalid ones. All
# except the expired one are valid for a hundred years. The private keys are used only by tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

for name in trusted untrusted; do
    openssl req -x509 "${ec[@]}" -keyout "$tmp/$name.key" -out "$tmp/$name.pem" -days 36500 \
        -subj "/CN=$name" -addext keyUsage=critical,keyCertSign
done
cp "$tmp/trusted.pem" .

server() { # file, issuer, host name, expiry
    touch "$tmp/index"
    openssl req "${ec[@]}" -keyout "$tmp/key" -out "$tmp/request" -subj "/CN=$1"
    cat > "$tmp/conf" <<CONF
[ca]
default_ca = this
[this]
database = $tmp/index
new_certs_dir = $tmp
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[names]
subjectAltName = DNS:$3
extendedKeyUsage = serverAuth
CONF
    openssl ca -batch -notext -config "$tmp/conf" -extensions names -in "$tmp/request" \
        -cert "$tmp/$2.pem" -keyfile "$tmp/$2.key" -out "$tmp/cert" \
        -startdate 20200101000000Z -enddate "$4"
    cat "$tmp/cert" "$tmp/key" > "$1.pem"
}
server good trusted localhost 21200101000000Z
server wrong-name trusted elsewhere.example 21200101000000Z
server unknown-issuer untrusted localhost 21200101000000Z
server expired trusted localhost 20200201000000Z
