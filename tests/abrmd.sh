# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# A resource manager, tpm2-abrmd, in front of the test's TPM, on a D-Bus of its own; sourced under with-swtpm.
#
#   start_abrmd   then this is the TPM:
abrmd_tcti=tabrmd:bus_type=session
#   stop_abrmd    ends it and the bus; call it from the EXIT trap

bus_pid=
abrmd_pid=

# need_abrmd: exit 77 where something is missing.
need_abrmd() {
    for tool in dbus-daemon tpm2-abrmd tpm2_getcap; do
        command -v "$tool" >/dev/null || {
            echo "$tool is not installed"
            exit 77
        }
    done
}

start_abrmd() {
    dbus-daemon --session --nofork --nopidfile --address="unix:path=$PWD/bus" >bus.log 2>&1 &
    bus_pid=$!
    export DBUS_SESSION_BUS_ADDRESS="unix:path=$PWD/bus"
    for _ in $(seq 2400); do
        [ ! -S bus ] || break
        sleep 0.05
    done
    tpm2-abrmd --session --allow-root --tcti="$GATEKEY_TCTI" >abrmd.log 2>&1 &
    abrmd_pid=$!
    for _ in $(seq 2400); do
        ! tpm2_getcap -T "$abrmd_tcti" properties-fixed >/dev/null 2>&1 || return 0
        kill -0 "$abrmd_pid" 2>/dev/null || break
        sleep 0.05
    done
    cat bus.log abrmd.log >&2
    echo "tpm2-abrmd does not start" >&2
    exit 1
}

stop_abrmd() {
    for pid in $abrmd_pid $bus_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    abrmd_pid=
    bus_pid=
}

# The module of tpm2-openssl, or exit 77.
tpm2_openssl_module() {
    module=$(openssl version -m | sed 's/^MODULESDIR: *"\(.*\)"$/\1/')/tpm2.so
    [ -e "$module" ] || {
        echo "tpm2-openssl is not installed" >&2
        exit 77
    }
    echo "$module"
}
