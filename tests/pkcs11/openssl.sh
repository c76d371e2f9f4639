# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # some are for those who source this
# For tests of programs that reach the module through OpenSSL; sourced, on top of setup.sh.
#
#   private, public, certificate   what they are told, by URI
#   gatekey/cert.pem               the device's certificate; a server that wants one listens at server_port
. "$abs_top_srcdir/tests/pkcs11/setup.sh"

private="pkcs11:token=gatekey;object=device;type=private"
public="pkcs11:token=gatekey;object=device;type=public"
certificate="pkcs11:token=gatekey;object=device;type=cert"
engines=$(openssl version -e | sed 's/.*: "\(.*\)"/\1/')

# needs_engine: libp11's, or the test is skipped; it then finds the module by the environment
needs_engine() {
    [ -e "$engines/pkcs11.so" ] || {
        echo "libp11's engine is not installed"
        exit 77
    }
    export PKCS11_MODULE_PATH="$module"
}

# gets WHO VERSION [OPTION...]: s_client fetches the server's page with these
gets() {
    who=$1 version=$2
    shift 2
    printf 'GET / HTTP/1.0\r\n\r\n' |
        openssl s_client -connect "127.0.0.1:$server_port" "-tls$(echo "$version" | tr . _)" -CAfile hub-ca.pem \
            -verify_return_error -quiet "$@" >page 2>client.log || {
        cat client.log >&2
        fail "$who, TLS $version"
    }
    page_shows "$who" "$version"
}

# curls WHO VERSION [OPTION...]: curl does
curls() {
    who=$1 version=$2
    shift 2
    curl -sS --cacert hub-ca.pem "--tlsv$version" --tls-max "$version" "$@" "https://localhost:$server_port/" \
        >page 2>client.log || {
        cat client.log >&2
        fail "$who, TLS $version"
    }
    page_shows "$who" "$version"
}

certify gatekey
make_server_certificate
start_mutual_server -www
openssl x509 -in gatekey/cert.pem -noout -pubkey >public.pem
echo "a message" >message
