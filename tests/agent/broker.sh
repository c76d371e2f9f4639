# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # port is for those who source this
# For tests that source it: certificates by the stock openssl command, and a stock mosquitto broker.
. "$abs_top_srcdir/tests/expect.sh"

# The configuration of the machine is no part of a test.
export OPENSSL_CONF=/dev/null

# make_ca NAME: NAME.key, NAME.pem
make_ca() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.pem" -days 30 \
        -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
    mkdir -p "$1.d"
    : >"$1.d/index"
    echo 1000 >"$1.d/serial"
    echo 01 >"$1.d/crlnumber"
    cat >"$1.cnf" <<END
[ca]
default_ca = own
[own]
database = $1.d/index
serial = $1.d/serial
crlnumber = $1.d/crlnumber
new_certs_dir = $1.d
certificate = $1.pem
private_key = $1.key
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
default_crl_days = 30
[any]
commonName = supplied
END
}

# make_key NAME: NAME.key
make_key() {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key" 2>/dev/null
}

# sign_request CA REQUEST OUT [OPTION...]: a certificate, in that file; whatever openssl.cnf the test is about
sign_request() {
    ca=$1 request=$2 out=$3
    shift 3
    OPENSSL_CONF=/dev/null openssl ca -config "$ca.cnf" -batch -notext -days 30 "$@" -in "$request" -out "$out" 2>/dev/null
}

# issue CA KEY OUT SUBJECTALTNAME [OPTION...]: a certificate for KEY.key
issue() {
    ca=$1 key=$2 out=$3 names=$4
    shift 4
    openssl req -new -key "$key.key" -subj "/CN=$out" -addext "subjectAltName=$names" -out request.csr
    sign_request "$ca" request.csr "$out.pem" "$@"
}

# revoke CA CERTIFICATE, and write CA.crl
revoke() {
    openssl ca -config "$1.cnf" -revoke "$2.pem" 2>/dev/null
    make_crl "$1"
}

make_crl() {
    openssl ca -config "$1.cnf" -gencrl -out "$1.crl" 2>/dev/null
}

brokers=
stop_brokers() {
    for pid in $brokers; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    brokers=
}
trap stop_brokers EXIT
trap 'exit 1' HUP INT TERM

# free_port: print one, of 127.0.0.1
free_port() {
    "$abs_top_builddir/tests/hub/pick-port"
}

# start_broker [LINE...]: listens on 127.0.0.1, with these lines in its configuration; sets port
start_broker() {
    for _ in 1 2 3 4 5; do
        port=$(free_port)
        {
            echo "user root"
            echo "listener $port 127.0.0.1"
            echo "allow_anonymous true"
            for line in "$@"; do
                echo "$line"
            done
        } >"broker$port.conf"
        "$MOSQUITTO_BROKER" -c "broker$port.conf" >"broker$port.log" 2>&1 &
        pid=$!
        until_true "no broker" broker_runs_or_ended
        if kill -0 "$pid" 2>/dev/null; then
            brokers="$brokers $pid"
            return 0
        fi
        grep -q "Address already in use" "broker$port.log" || break
        echo "somebody took port $port; trying another" >&2
    done
    cat "broker$port.log" >&2
    fail "no broker"
}

broker_runs_or_ended() {
    grep -qs " running$" "broker$port.log" || ! kill -0 "$pid"
}
