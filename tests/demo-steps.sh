# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What tests/demo shows, one function a step, in its order; sourced by it. Each succeeds only when what its line
# says has happened, and leaves in $dir/told what there is to see.
# shellcheck disable=SC2154,SC2034,SC2153 # the demo's own variables, and those that the hub gives

# --- 1: the hub gets its certificate --------------------------------------------------------------

start_hub() {
    "$build/tests/hub/hub" "$dir/hub" 2>"$dir/hub.log" &
    hub_pid=$!
    until_true test -s "$dir/hub/hub.env" || return 1
    # shellcheck source=/dev/null # the hub writes it
    . "$dir/hub/hub.env"
    API=https://localhost:${HUB_API_URL##*:}
    HUB=$dir/hub/server.pem
    [ -s "$dir/hub/server.key" ] || return 1
    told "hub: process $HUB_PID; its CA: process $HUB_CA_PID, with a key and an API of its own"
    told "hub: $(openssl pkey -in "$dir/hub/server.key" -noout -text | head -n 1 | tr -d :), made here; it goes nowhere"
}

name_in() {
    openssl x509 -in "$2" -noout "-$1" -nameopt multiline | sed -n 's/^ *commonName *= //p'
}

hub_is_certified() {
    [ "$HUB_CA_PID" -ne "$HUB_PID" ] && grep "^ca: issued .* to CN=localhost" "$dir/hub.log" >>"$dir/told" || return 1
    openssl verify -CAfile "$HUB_CA_FILE" -purpose sslserver "$HUB" || return 1
    told "hub/server.pem is for \"$(name_in subject "$HUB")\", by \"$(name_in issuer "$HUB")\""
}

hub_keeps_it() {
    [ "$(openssl x509 -in "$HUB" -noout -pubkey)" = "$(openssl pkey -in "$dir/hub/server.key" -pubout)" ] || return 1
    told "hub/server.pem, $(openssl x509 -in "$HUB" -noout -serial -enddate | paste -sd,)"
}

# --- 2: the gateways get theirs -------------------------------------------------------------------

# write_config GATEWAY TCTI PRODUCT LINES-OF-DEVICE: what a gateway's owner writes into /etc/gatekey/gatekey.conf.
write_config() {
    mkdir -p "$dir/$1"
    cat >"$dir/$1/gatekey.conf" <<END
[tpm]
tcti = $2
[identity]
directory = $dir/$1/identity
provider = $build/.libs/gatekey.so
[device]
product_key = $3
device_key = $1
$4
[hub]
host = localhost
port = $HUB_MQTTS_PORT
activation_port = $HUB_ACTIVATION_PORT
ca_file = $HUB_CA_FILE
crl_url = $HUB_HTTP_URL/enos/CA/crl
[trust]
crl_url = $HUB_HTTP_URL/enos/CA/crl
[local]
socket = $dir/$1/gatekeyd.sock
socket_group =
state_directory = $dir/$1/service
broker = $dir/$1/local/broker.sock
command.setPowerLimit = $dir/set-power-limit
command.measurepoint/set = $dir/set-points
[renew]
rotate_key = $([ "$1" = substation-7 ] && echo yes || echo no)
settle = 0
overlap = 2
END
}

give_credentials() {
    cat >>"$dir/$1/gatekey.conf" <<END
[api]
url = $API
ca_file = $HUB_CA_FILE
app_key = $HUB_APP_KEY
app_secret_file = $HUB_APP_SECRET_FILE
organization_id = $HUB_ORG_ID
END
}

# The owner's own programs that commands of the hub run: parameters come on stdin, the answer is JSON.
write_handlers() {
    for name in set-power-limit set-points; do
        cat >"$dir/$name" <<'END'
#!/bin/sh
cat >>"$0.given"
printf '{"accepted":true}\n'
END
        chmod 700 "$dir/$name"
    done
}

provision() {
    shown "$1" provision --secret-file "$dir/$1.secret"
}

# By the operator's tools; this product wants a licence for each device.
provision_with_licence() {
    hubctl product add turbines >"$dir/product" && hubctl licence add turbines L-4711 || return 1
    ! hubctl create turbines "$1" --serial-number SN-0008 2>"$dir/why" || return 1
    told "without a licence: $(tail -n 1 "$dir/why")"
    hubctl create turbines "$1" --serial-number SN-0008 --licence L-4711 >"$dir/$1.secret" || return 1
    told "with product key, serial number and licence: $(wc -c <"$dir/$1.secret") bytes of device secret"
}

guid_of() {
    hubctl devices --json | python3 -c '
import json, sys
print(*[d["assetId"] for d in json.load(sys.stdin) if d["deviceKey"] == sys.argv[1]])' "$1"
}

answered() {
    for gateway in substation-7 wind-farm-8; do
        guid=$(guid_of "$gateway")
        [ -n "$guid" ] && [ -s "$dir/$gateway.secret" ] || return 1
        told "$gateway: GUID $guid, device secret in a file of mode $(stat -c %a "$dir/$gateway.secret")"
    done
    # substation-7 activates itself; the file that was for it is not needed.
    rm "$dir/substation-7.secret"
}

start_service() {
    "$build/gatekeyd" --config "$dir/$1/gatekey.conf" 2>>"$dir/service.log" &
    service_pid=$!
    until_true service_is "$1" false && told "$(grep 'not enrolled' "$dir/service.log")"
}

make_key() {
    shown "$1" key create && shown "$1" key show
}

enroll() {
    shown "$@"
}

serial_of() {
    printf '%d' "0x$(openssl x509 -in "$dir/$1/identity/cert.pem" -noout -serial | cut -d= -f2)"
}

# row GATEWAY: what the hub's books say of its certificate.
row() {
    hubctl certificates --json | python3 -c '
import json, sys
for c in json.load(sys.stdin):
    if str(c["serial"]) == sys.argv[1]:
        print(c["deviceKey"], c["status"], "CN=" + c["commonName"], "until", c["expires"][:10])' "$1"
}

is_activated() {
    hubctl connects --json | python3 -c '
import json, sys
first = [c for c in json.load(sys.stdin) if c["deviceKey"] == sys.argv[1]][0]
print(first["time"], "CONNACK", first["connack"])
sys.exit(first["connack"])' "$1" >"$dir/first" || return 1
    told "its first CONNECT, signed with the product secret: $(cat "$dir/first")"
}

was_issued_by_ca() {
    grep "^ca: issued $(serial_of "$1") " "$dir/hub.log" >>"$dir/told" || return 1
    openssl verify -CAfile "$HUB_CA_FILE" "$dir/$1/identity/cert.pem" >"$dir/verified" || return 1
    told "$(sed "s|$dir/||" "$dir/verified")"
}

is_bound() {
    row "$(serial_of "$1")" >"$dir/row"
    grep -q "^$1 valid" "$dir/row" && told "at the hub: $(cat "$dir/row")"
}

is_stored() {
    (cd "$dir/$1/identity" && stat -c '%A %s %n' device.pem cert.pem identity.pem secret.tpm issuer-ca.pem) >>"$dir/told"
}

# The request goes out, the certificate comes in; in between they are carried.
carry() {
    shown "$1" csr --out "$dir/request.pem" || return 1
    told "at the hub\$ hubctl sign turbines $1 request.pem"
    hubctl sign turbines "$1" "$dir/request.pem" >"$dir/issued.pem" || return 1
    shown "$1" install --secret-file "$dir/$1.secret" "$dir/issued.pem"
}

no_private_key_on_disk() {
    ! grep -rlE 'BEGIN (RSA |EC |ENCRYPTED )?PRIVATE KEY' "$dir/$1/identity" || return 1
    told "\$ openssl pkey -in device.pem -out stolen.pem"
    if with_provider "$1" openssl pkey -in "$dir/$1/identity/device.pem" -out "$dir/stolen.pem" 2>"$dir/why"; then
        return 1
    fi
    told "  $(grep -o 'cannot [^:]*: .*\|the private part.*' "$dir/why" | head -n 1)"
}

# Any OpenSSL program, unmodified: all it is told is where its openssl.cnf lies.
with_provider() {
    gateway=$1
    shift
    tcti=$DEMO_TPM_1
    [ "$gateway" = wind-farm-8 ] && tcti=$DEMO_TPM_2
    OPENSSL_CONF=$top/conf/openssl-gatekey.cnf OPENSSL_MODULES=$build/.libs \
        GATEKEY_IDENTITY=$dir/$gateway/identity GATEKEY_TCTI=$tcti "$@"
}

# --- 3: they talk ---------------------------------------------------------------------------------

# Somebody else's CA vouches for an impostor with the hub's name.
start_impostor() {
    (
        cd "$dir" || exit 1
        OPENSSL_CONF=/dev/null
        export OPENSSL_CONF
        openssl req -x509 -newkey rsa:2048 -nodes -keyout fake.key -out fake.pem -days 1 -subj "/CN=localhost" \
            -addext "subjectAltName=DNS:localhost" 2>/dev/null
        exec openssl s_server -accept 127.0.0.1:0 -cert fake.pem -key fake.key -quiet >impostor.log 2>&1
    ) &
    impostor_pid=$!
    until_true impostor_listens
}

impostor_listens() {
    inodes=$(find "/proc/$impostor_pid/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n' | paste -sd'|')
    [ -n "$inodes" ] || return 1
    # The port stands in hex, in the line of the socket that listens (0A).
    hex=$(awk -v inodes="^($inodes)\$" '$4 == "0A" && $10 ~ inodes { split($2, a, ":"); print a[2]; exit }' /proc/net/tcp)
    [ -n "$hex" ] && impostor_port=$(printf '%d' "0x$hex")
}

refuses_an_impostor() {
    start_impostor || return 1
    mkdir -p "$dir/misled"
    sed -e "s|^port = .*|port = $impostor_port|" -e "s|^state_directory = .*|state_directory = $dir/misled/service|" \
        -e "s|^socket = .*|socket = $dir/misled/sock|" "$dir/$1/gatekey.conf" >"$dir/misled/gatekey.conf"
    gatekey misled enroll >"$dir/said" 2>&1
    code=$?
    stop "$impostor_pid"
    impostor_pid=
    cat "$dir/said"
    [ "$code" -eq 1 ] && grep -q "does not prove that it is the hub" "$dir/said" || return 1
    told "$(grep '^gatekey: cannot' "$dir/said")"
}

hub_refuses_nobody() {
    openssl s_client -connect "localhost:$HUB_MQTTS_PORT" -CAfile "$HUB_CA_FILE" -tls1_2 </dev/null >"$dir/said" 2>&1
    told "without a certificate: $(grep -o 'alert [a-z ]*' "$dir/said" | head -n 1)"
    grep -q 'alert' "$dir/said"
}

refresh() {
    shown "$1" refresh
}

is_connected() {
    until_true service_is "$1" true && told "$(grep 'connected to' "$dir/service.log" | tail -n 1)"
}

service_is() {
    gatekey "$1" --json status 2>/dev/null | grep -q "\"connected\": *$2"
}

publish() {
    shown "$1" publish --wait power=21.5 wind=7.25 || return 1
    hubctl telemetry | tail -n 2 >>"$dir/told"
}

publish_by_mosquitto() {
    gatekey "$1" mosquitto-config "$dir/$1/mosquitto" || return 1
    told "\$ mosquitto_pub -t .../thing/measurepoint/post -m '{...\"power\":3.5...}'"
    XDG_CONFIG_HOME=$dir/$1/mosquitto with_provider "$1" mosquitto_pub -q 1 \
        -t "/sys/turbines/$1/thing/measurepoint/post" \
        -m '{"id":"1","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"power":3.5}}}' ||
        return 1
    until_true sh -c '"$@" | grep -q "$0"' "$1" "$build/tests/hub/hubctl" "$dir/hub" telemetry || return 1
    hubctl telemetry | tail -n 1 >>"$dir/told"
}

# As gatekey-broker.service does.
start_broker() {
    mkdir "$dir/$1/local" || return 1
    sed -e "s|@brokerplugindir@|$build/.libs|" -e "s|/run/gatekey/gatekeyd.sock|$dir/$1/gatekeyd.sock|" \
        -e "s|/run/gatekey/local/|$dir/$1/local/|" -e "s|/var/lib/gatekey-broker/|$dir/$1/local/|" \
        "$top/conf/gatekey-broker.conf.in" >"$dir/$1/broker.conf"
    echo "user $(id -un)" >>"$dir/$1/broker.conf"
    "${MOSQUITTO_BROKER:-/usr/sbin/mosquitto}" -c "$dir/$1/broker.conf" 2>"$dir/broker.log" &
    broker_pid=$!
    until_true sh -c '"$@" | grep -q "^ok *broker "' - "$build/gatekey" --config "$dir/$1/gatekey.conf" doctor
}

# An application of the gateway's knows nothing of the hub, and what it was told is true whatever happens next.
publish_by_application() {
    start_broker "$1" || return 1
    told "$1\$ mosquitto_pub --unix local/broker.sock -q 1 -t gatekey/up/thing/measurepoint/post -m '{...\"rotor\":12.5}'"
    mosquitto_pub --unix "$dir/$1/local/broker.sock" -q 1 -t gatekey/up/thing/measurepoint/post \
        -m '{"measurepoints":{"rotor":12.5}}' || return 1
    kill -KILL "$broker_pid"
    wait "$broker_pid" 2>/dev/null
    broker_pid=
    told "acknowledged, so it is on disk; the broker is killed at once"
    until_true sh -c '"$@" | grep -q rotor' - "$build/tests/hub/hubctl" "$dir/hub" telemetry || return 1
    hubctl telemetry | grep rotor >>"$dir/told"
}

on_one_line() {
    tr -s ' \n' ' ' <"$1" | sed 's/ *$//'
    echo
}

configure_from_hub() {
    told "at the hub\$ hubctl set $1 interval=10"
    hubctl set "$HUB_PRODUCT_KEY" "$1" interval=10 >"$dir/reply" || return 1
    grep -q '"interval": *10' "$dir/set-points.given" || return 1
    told "the gateway's program was given $(cat "$dir/set-points.given")"
}

call() {
    told "at the hub\$ hubctl call $1 setPowerLimit '{\"kilowatt\":1500}'"
    hubctl call "$HUB_PRODUCT_KEY" "$1" setPowerLimit '{"kilowatt":1500}' >"$dir/reply" || return 1
    grep -q accepted "$dir/reply" && grep -q 1500 "$dir/set-power-limit.given" || return 1
    on_one_line "$dir/reply" >>"$dir/told"
}

call_what_is_not_offered() {
    ! hubctl call "$HUB_PRODUCT_KEY" "$1" openShell '{}' >"$dir/reply" 2>&1 || return 1
    grep -q 2001 "$dir/reply" && on_one_line "$dir/reply" >>"$dir/told"
}

# --- renewal --------------------------------------------------------------------------------------

# The connects of two minutes are counted, for the sake of a hub that locks out who makes more than four. This hub
# does not, and nobody wants to watch a gateway wait.
forget_connects() {
    rm -f "$dir/$1/service/connects"
}

renew() {
    forget_connects "$1"
    before=$(serial_of "$1")
    cp "$dir/$1/identity/device.pem" "$dir/device.before"
    shown "$1" renew --now || return 1
    after=$(serial_of "$1")
    [ "$before" -ne "$after" ] && row "$before" | grep -q " valid " && row "$after" | grep -q " valid " || return 1
    ! cmp -s "$dir/$1/identity/device.pem" "$dir/device.before" || return 1
    until_true service_is "$1" true
}

overlap_ends() {
    sleep 2
    shown "$1" renew --if-due || return 1
    row "$before" | grep -q " revoked " || return 1
    gatekey "$1" publish --wait power=22 || return 1
    told "at the hub: $before is revoked, $after is valid, and telemetry goes on"
}

# --- 4: revocation --------------------------------------------------------------------------------

revoke() {
    serial=$(serial_of "$1")
    told "at the hub\$ hubctl revoke $serial"
    hubctl revoke "$serial" && until_true service_is "$1" false
}

is_listed() {
    serial=$(serial_of "$1")
    curl -sS --cacert "$HUB_CA_FILE" "$API/enos/CA/crl" -o "$dir/crl.pem" || return 1
    openssl crl -in "$dir/crl.pem" -noout -text | grep -q "Serial Number: *0*$(printf '%X' "$serial")" || return 1
    told "serial $serial stands in the list that the CA signed at $(openssl crl -in "$dir/crl.pem" -noout -lastupdate |
        cut -d= -f2)"
}

is_revoked() {
    gatekey "$1" status >"$dir/status" 2>&1
    [ $? -eq 4 ]
}

# A hub may call a certificate revoked that it does not know yet; the list that the CA signed is no such matter.
refused() {
    shown "$1" refresh
    [ $? -eq 4 ] || return 1
    until_true is_revoked "$1" || return 1
    told "$1\$ gatekey status; echo \$?"
    grep '^gatekey: ' "$dir/status" | sed 's/^/  /' >>"$dir/told"
    told "  4"
}

# --- reset ----------------------------------------------------------------------------------------

# nothing_left GATEWAY TCTI: at the hub, in the TPM, on the disk.
nothing_left() {
    ! hubctl certificates --json | python3 -c '
import json, sys
sys.exit(not any(c["deviceKey"] == sys.argv[1] and c["status"] == "valid" for c in json.load(sys.stdin)))' "$1" || return 1
    TPM2TOOLS_TCTI=$2 tpm2_getcap handles-persistent >"$dir/handles" && [ ! -s "$dir/handles" ] || return 1
    [ -z "$(ls -A "$dir/$1/identity")" ] || return 1
    told "valid certificates: none; keys in the TPM: none; files in $1/identity: none"
}

reset() {
    forget_connects "$1"
    shown "$1" reset --yes && nothing_left "$1" "$2"
}

start_operator() {
    "$build/tests/hub/hubctl" "$dir/hub" application run >"$dir/operator.log" 2>&1 &
    operator_pid=$!
}

enroll_again() {
    forget_connects "$1"
    shown "$1" enroll && until_true service_is "$1" true
}
