# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of reset share; sourced, under tests/with-swtpm: gateways with more than one key, and the proof
# that nothing of them is left.
. "$abs_top_srcdir/tests/agent/setup.sh"

service_pid=
application_pid=

stop_process() {
    [ -z "$1" ] || kill "$1" 2>/dev/null || true
    [ -z "$1" ] || wait "$1" 2>/dev/null || true
}

stop_all() {
    stop_process "$application_pid"
    stop_process "$service_pid"
    stop_hub
}
trap stop_all EXIT

# signs REFERENCE: does the TPM still sign with that key, by our provider?
signs() {
    echo x | OPENSSL_CONF="$abs_top_srcdir/conf/openssl-gatekey.cnf" OPENSSL_MODULES="$built/.libs" \
        openssl dgst -sha256 -sign "$1" -out signature 2>signs.err
}

# A new gateway: DEVICE [COMMAND...]; copies of its key references stay in kept/.
enrolled() {
    rm -rf gw kept
    configure gw "$1"
    hubctl create "$HUB_PRODUCT_KEY" "$1" >secret
    chmod 600 secret
    works gatekey enroll --secret-file secret
    mkdir kept
    cp gw/identity/device.pem kept
    signs kept/device.pem || fail "the key does not sign to begin with: $(cat signs.err)"
}

state() {
    python3 - "$@" <<'END'
import json, sys
path = "gw/identity/state.json"
state = json.load(open(path))
for word in sys.argv[1:]:
    name, value = word.split("=")
    state[name] = int(value) if value.isdigit() and not name.endswith("SN") else value
json.dump(state, open(path, "w"))
END
}

# certify DEVICE KEY-FILE: another certificate of this device for that key, in certificate.pem
certify() {
    OPENSSL_CONF="$abs_top_srcdir/conf/openssl-gatekey.cnf" OPENSSL_MODULES="$built/.libs" \
        openssl req -new -key "$2" -sha256 -subj "/C=CN/ST=Shanghai/L=Shanghai/O=EnOS/OU=test/CN=$1-$RANDOM" -out request.csr
    hubctl sign "$HUB_PRODUCT_KEY" "$1" request.csr 30 >certificate.pem
}

serial_of() {
    echo $((0x$(openssl x509 -in "$1" -noout -serial | cut -d= -f2)))
}

# As an agent leaves it that has renewed once with a new key, and is about to do so again.
renewing() {
    local old

    old=$(serial_of gw/identity/cert.pem)
    mkdir gw/identity/next
    "$built/tests/tpm/make-key" gw/identity/next/device.pem 0x81000101
    certify "$1" gw/identity/next/device.pem
    cp certificate.pem gw/identity/next/cert.pem
    cp gw/identity/issuer-ca.pem gw/identity/next/issuer-ca.pem
    cp request.csr gw/identity/next/csr.pem
    cp gw/identity/next/device.pem kept/next.pem
    # The one that a renewal before this one has rotated away and not yet evicted.
    "$built/tests/tpm/make-key" gw/identity/device.pem.old 0x81000102
    cp gw/identity/device.pem.old kept/old.pem
    certify "$1" gw/identity/device.pem.old
    echo '{}' >gw/identity/refresh.json
    cp gw/identity/issuer-ca.pem gw/identity/pending-ca.pem
    state renewal=ready oldCertSN="$(serial_of certificate.pem)" nextCertSN="$(serial_of gw/identity/next/cert.pem)"
    [ "$old" != "$(serial_of certificate.pem)" ] || fail "one serial twice"
}

# gone DEVICE: all of it, shown by tools that are none of ours.
gone() {
    local reference

    [ -z "$(valid_certificates "$1")" ] || fail "$1: valid at the hub: $(valid_certificates "$1")"
    [ -z "$(tpm2_getcap handles-persistent)" ] || fail "$1: in the TPM: $(tpm2_getcap handles-persistent)"
    for reference in kept/*; do
        [ -e "$reference" ] || continue
        ! signs "$reference" || fail "$1: $reference still signs"
        grep -q "no key at that handle" signs.err || fail "$1: $reference: $(cat signs.err)"
    done
    [ -z "$(ls -A gw/identity)" ] || fail "$1: left: $(ls -A gw/identity)"
    # A service that runs goes on knowing the time.
    find gw/state -mindepth 1 ! -name connects ! -name "${service_pid:+clock.json}" >left
    [ ! -s left ] || fail "$1: left: $(cat left)"
}
