# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # the ports are for those who source this
# For the provider's TLS tests: certificates, a stock broker and a stock s_server that ask for one.
#
#   cert.pem, identity.pem   the device's certificate, alone and with device.pem after it
#   broker_port, server_port both want a certificate of device-ca; the server answers HTTP
. "$abs_top_srcdir/tests/provider/setup.sh"
. "$abs_top_srcdir/tests/tls-server.sh"

make_server_certificate
make_ca device-ca

start_broker "cafile $PWD/device-ca.pem" "certfile $PWD/localhost.pem" "keyfile $PWD/server.key" \
    "require_certificate true" "use_identity_as_username true" "log_type all"
broker_port=$port
broker_log=broker$port.log

start_mutual_server -www

use_gatekey
openssl req -new -key device.pem -subj /CN=device -out request.csr
sign_request device-ca request.csr cert.pem
cat cert.pem device.pem >identity.pem
