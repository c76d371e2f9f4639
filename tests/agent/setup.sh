# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the whole-product tests of gatekey share; sourced, under tests/with-swtpm.
#
# It starts a hub of its own, writes a gatekey.conf for device gw-1, and ends the hub with the test. The
# device is not created yet.

set -eu
umask 022
cd "$GATEKEY_TEST_DIR"

. "$abs_top_srcdir/tests/agent/claims.sh"

built=$abs_top_builddir
hub_pid=

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

stop_hub() {
    if [ -n "$hub_pid" ]; then
        kill "$hub_pid" 2>/dev/null || true
        wait "$hub_pid" 2>/dev/null || true
        hub_pid=
    fi
}

# The same ports again after a stop, as the hub keeps them.
start_hub() {
    rm -f hub/hub.env
    "$built/tests/hub/hub" "$PWD/hub" >>hub.log 2>&1 &
    hub_pid=$!
    for _ in $(seq 2400); do
        [ ! -e hub/hub.env ] || break
        kill -0 "$hub_pid" 2>/dev/null || fail "the hub ended: $(tail -3 hub.log)"
        sleep 0.05
    done
    # shellcheck disable=SC1091 # written by the hub
    . ./hub/hub.env
}

hubctl() {
    "$built/tests/hub/hubctl" hub "$@"
}

# configure NAME DEVICE: NAME.conf for a gateway with everything of its own below NAME.
configure() {
    mkdir -p "$1" "$1/state"
    chmod 700 "$1/state"
    cat >"$1.conf" <<END
[tpm]
handle = ${handle:-0x81000100}
[identity]
directory = $PWD/$1/identity
provider = $built/.libs/gatekey.so
[device]
product_key = $HUB_PRODUCT_KEY
device_key = $2
product_secret_file = $HUB_PRODUCT_SECRET_FILE
[hub]
host = localhost
port = $HUB_MQTTS_PORT
activation_port = $HUB_ACTIVATION_PORT
ca_file = $HUB_CA_FILE
spread = 0
[api]
url = $HUB_API_URL
ca_file = $HUB_CA_FILE
app_key = $HUB_APP_KEY
app_secret_file = $HUB_APP_SECRET_FILE
organization_id = $HUB_ORG_ID
[local]
socket = $PWD/$1/socket
state_directory = $PWD/$1/state
broker =
END
}

# In an environment that would lead OpenSSL and libcurl astray if it were listened to.
echo "openssl_conf = nothing" >astray.cnf
gatekey() {
    OPENSSL_CONF=$PWD/astray.cnf OPENSSL_MODULES=$PWD SSLKEYLOGFILE=$PWD/tls-keys \
        https_proxy=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1 \
        "$built/gatekey" --config "${gateway:-gw}.conf" "$@"
}

# The connect limit counts over two minutes; tests that enrol more often begin anew.
forget_connects() {
    rm -rf "${gateway:-gw}/state"
    mkdir -m 700 "${gateway:-gw}/state"
}

# Nothing half-written is left, and no secret in clear.
check_identity() {
    folder=${gateway:-gw}/identity
    left=$(find "$folder" -name '.*.tmp')
    [ -z "$left" ] || fail "left behind: $left"
    if grep -rlE 'PRIVATE KEY' "$folder" >found; then
        fail "private material in $(cat found)"
    fi
    [ ! -e tls-keys ] || fail "the keys of TLS connections were written to a file"
}

# The device's certificates that the hub holds for valid, serials only.
valid_certificates() {
    hubctl certificates --json | python3 -c '
import json, sys
for c in json.load(sys.stdin):
    if c.get("deviceKey") == sys.argv[1] and c.get("status") == "valid":
        print(c["serial"])' "$1"
}

# Debian 13's mosquitto lets a plugin refuse with CONNACK code 5 only, whatever is wrong.
hub_tells_a_wrong_secret() {
    grep -q send__connack "$MOSQUITTO_BROKER"
}

trap stop_hub EXIT
start_hub
configure gw gw-1
