# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # the ports are for those who source this
# For the provider's TLS tests: certificates, a stock broker and a stock s_server that ask for one.
#
#   cert.pem, identity.pem   the device's certificate, alone and with device.pem after it
#   broker_port, server_port both want a certificate of device-ca; the server answers HTTP
. "$abs_top_srcdir/tests/provider/setup.sh"
. "$abs_top_srcdir/tests/agent/broker.sh"

make_ca hub-ca
make_ca device-ca
make_key server
issue hub-ca server localhost DNS:localhost,IP:127.0.0.1

start_broker "cafile $PWD/device-ca.pem" "certfile $PWD/localhost.pem" "keyfile $PWD/server.key" \
    "require_certificate true" "use_identity_as_username true" "log_type all"
broker_port=$port
broker_log=broker$port.log

# start_server CERTIFICATE KEY [OPTION...]: sets server_port; OpenSSL picks a free one
start_server() {
    certificate=$1 key=$2
    shift 2
    : >server.log # there before the server is, or sed below ends the test
    openssl s_server -accept 127.0.0.1:0 -cert "$certificate" -key "$key" -naccept 1000 "$@" \
        >server.log 2>&1 </dev/null &
    brokers="$brokers $!"
    server_port=
    for _ in $(seq 100); do
        server_port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\)$/\1/p' server.log)
        [ -z "$server_port" ] || return 0
        sleep 0.05
    done
    cat server.log >&2
    fail "no server"
}

start_server localhost.pem server.key -CAfile device-ca.pem -Verify 1 -verify_return_error -www

use_gatekey
openssl req -new -key device.pem -subj /CN=device -out request.csr
plain_openssl ca -config device-ca.cnf -batch -notext -days 30 -in request.csr -out cert.pem \
    2>/dev/null
cat cert.pem device.pem >identity.pem
