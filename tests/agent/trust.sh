# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # published is for those who source this
# What the tests of trust share; sourced. A gateway that has a certificate of its own CA and no TPM, and
# whoever publishes lists and roots.
. "$abs_top_srcdir/tests/agent/broker.sh"
. "$abs_top_srcdir/tests/agent/claims.sh"

built=$abs_top_builddir
export SSLKEYLOGFILE="$PWD/tls-keys" http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1

gatekey() {
    "$built/gatekey" --config "${gateway:-gw}.conf" "$@"
}

# publish FOLDER [CERTIFICATE KEY]: sets published, where it is
publish() {
    mkdir -p "$1"
    rm -f "$1/port"
    python3 "$abs_top_srcdir/tests/agent/publisher.py" "$@" &
    brokers="$brokers $!"
    for _ in $(seq 2400); do
        [ ! -s "$1/port" ] || break
        sleep 0.05
    done
    published=http${2:+s}://localhost:$(cat "$1/port")
}

# configure NAME [LINE...]: NAME.conf; the identity directory is NAME. More lines begin in [trust].
configure() {
    gw=$1
    shift
    mkdir -p "$gw" "$gw-state"
    {
        printf '[identity]\ndirectory = %s/%s\nprovider = default\nkey = file:%s/device.key\n' "$PWD" "$gw" "$PWD"
        printf '[device]\nproduct_key = pk\ndevice_key = gw-1\n'
        printf '[local]\nstate_directory = %s/%s-state\nsocket = %s/no-socket\n' "$PWD" "$gw" "$PWD"
        printf '[hub]\nhost = localhost\nca_file = %s/hub-ca.pem\n' "$PWD"
        printf '[trust]\n'
        for line in "$@"; do
            echo "$line"
        done
    } >"$gw.conf"
}

# fingerprint CERTIFICATE
fingerprint() {
    openssl x509 -in "$1" -noout -fingerprint -sha256 | cut -d= -f2
}

# crl CA OUT FROM UNTIL: a list with these dates, as date(1) says them
crl() {
    openssl ca -config "$1.cnf" -gencrl -out "$2" -crl_lastupdate "$(date -u -d "$3" +%Y%m%d%H%M%SZ)" \
        -crl_nextupdate "$(date -u -d "$4" +%Y%m%d%H%M%SZ)" 2>/dev/null
}
