# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # some are for those who source this
# A stock s_server, and one that lets in whoever has a certificate of device-ca; sourced.
. "$abs_top_srcdir/tests/agent/broker.sh"

# make_server_certificate: hub-ca.pem, localhost.pem, server.key
make_server_certificate() {
    make_ca hub-ca
    make_key server
    issue hub-ca server localhost DNS:localhost,IP:127.0.0.1
}

# start_server OPTION...: on a port that OpenSSL picks; sets server_port and server_log
servers=0
start_server() {
    servers=$((servers + 1))
    server_log=$PWD/server$servers.log
    : >"$server_log" # there before the server is, or sed below ends the test
    openssl s_server -accept 127.0.0.1:0 -naccept 1000 "$@" >"$server_log" 2>&1 </dev/null &
    brokers="$brokers $!"
    server_port=
    for _ in $(seq 2400); do
        server_port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\)$/\1/p' "$server_log")
        [ -z "$server_port" ] || return 0
        sleep 0.05
    done
    cat "$server_log" >&2
    fail "no server"
}

# start_mutual_server OPTION...: the same, and who has no certificate of device-ca does not get in
start_mutual_server() {
    start_server -cert localhost.pem -key server.key -CAfile device-ca.pem -Verify 2 -verify_return_error "$@"
}

# page_shows WHO VERSION: what that server, with -www, made of it is in the file "page": this protocol, the device
page_shows() {
    grep -q "Protocol *: TLSv$2\$" page || fail "$1: not TLS $2: $(head -c 300 page)"
    grep -q "Subject: CN *= *device\$" page || fail "$1: the server saw no certificate"
}
