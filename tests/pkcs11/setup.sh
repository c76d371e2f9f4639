# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # some are for those who source this
# What the whole-product tests of the PKCS#11 module share; sourced, under tests/with-swtpm.
#
#   GATEKEY_IDENTITY   a folder called "gatekey", so that is the token's label; device.pem is in it, and
#                      cert.pem after "certify"
#   module             the module in the build tree
#   hub-ca.pem         issued localhost.pem (key server.key) for servers; device-ca.pem issues ours
#
# OpenSSL has never heard of gatekey here, so nothing signs but through the module.
. "$abs_top_srcdir/tests/agent/broker.sh"
cd "$GATEKEY_TEST_DIR"

module="$abs_top_builddir/.libs/gatekey-pkcs11.so"
make_key_in_tpm="$abs_top_builddir/tests/tpm/make-key"
export GATEKEY_IDENTITY="$GATEKEY_TEST_DIR/gatekey"
mkdir -p gatekey
"$make_key_in_tpm" gatekey/device.pem 0x81000100 2>/dev/null

# needs COMMAND...: or the test is skipped
needs() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || {
            echo "$tool is not installed"
            exit 77
        }
    done
}

# with_provider COMMAND...: with the OpenSSL provider of the build tree
with_provider() {
    OPENSSL_MODULES="$abs_top_builddir/.libs" OPENSSL_CONF="$abs_top_srcdir/conf/openssl-gatekey.cnf" "$@"
}

# certify [SUBJECT]: gatekey/cert.pem, the device's certificate and its issuer's
certify() {
    [ -f device-ca.pem ] || make_ca device-ca
    with_provider openssl req -new -key gatekey/device.pem -subj "/CN=${1-device}" -out request.csr
    openssl ca -config device-ca.cnf -batch -notext -days 30 -in request.csr -out leaf.pem 2>/dev/null
    cat leaf.pem device-ca.pem >gatekey/cert.pem.new
    mv gatekey/cert.pem.new gatekey/cert.pem
}

# make_server_certificate: hub-ca.pem, localhost.pem, server.key
make_server_certificate() {
    make_ca hub-ca
    make_key server
    issue hub-ca server localhost DNS:localhost,IP:127.0.0.1
}

# start_server [OPTION...]: an s_server that insists on a certificate of device-ca; sets server_port, server_log
servers=0
start_server() {
    servers=$((servers + 1))
    server_log=server$servers.log
    : >$server_log
    openssl s_server -accept 127.0.0.1:0 -cert localhost.pem -key server.key -naccept 1000 -CAfile device-ca.pem \
        -Verify 2 -verify_return_error "$@" >$server_log 2>&1 </dev/null &
    brokers="${brokers-} $!"
    server_port=
    for _ in $(seq 200); do
        server_port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\)$/\1/p' $server_log)
        [ -z "$server_port" ] || return 0
        sleep 0.05
    done
    cat $server_log >&2
    fail "no server"
}

# page_shows WHO VERSION: what the server made of it is in the file "page": this protocol, the device
page_shows() {
    grep -q "Protocol *: TLSv$2\$" page || fail "$1: not TLS $2: $(head -c 300 page)"
    grep -q "Subject: CN *= *device\$" page || fail "$1: the server saw no certificate"
}

# capture: the module finds the TPM behind the TSS's capturing TCTI, so that commands can be counted
capture() {
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q 'libtss2-tcti-pcap\.so\.0' || {
        echo "the pcap TCTI is not installed"
        exit 77
    }
    export TCTI_PCAP_FILE="$PWD/capture.pcap" GATEKEY_TCTI="pcap:$GATEKEY_TCTI"
}

# costs NUMBER WHO: that many signatures since the last time, and no other command
counted=0
costs() {
    counted=$((counted + $1))
    wanted="$counted$(printf ' 0x15d%.0s' $(seq $counted))"
    [ $counted -gt 0 ] || wanted=0
    seen=0
    [ ! -e "$TCTI_PCAP_FILE" ] ||
        seen=$(/usr/bin/python3 "$abs_top_srcdir/tests/provider/count-tpm-commands.py" "$TCTI_PCAP_FILE")
    [ "$seen" = "$wanted" ] || fail "$2: the TPM has seen $seen, not $wanted"
    echo "$2: TPM commands: $1"
}
