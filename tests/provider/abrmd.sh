# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests with the user-space resource manager, tpm2-abrmd, before the test's TPM and on a bus of its own.
#
#   start_bus; start_abrmd; end_abrmd TERM      GATEKEY_TCTI leads to it from the first on
. "$abs_top_srcdir/tests/provider/signer.sh"

needs dbus-daemon tpm2-abrmd

start_bus() {
    export DBUS_SESSION_BUS_ADDRESS="unix:path=$PWD/bus"
    dbus-daemon --session --nofork --nopidfile --address="$DBUS_SESSION_BUS_ADDRESS" \
        >bus.log 2>&1 </dev/null 3>&- 4<&- &
    background="$background $!"
    for _ in $(seq 3000); do
        [ ! -S bus ] || break
        sleep 0.02
    done
    export GATEKEY_TCTI=tabrmd:bus_type=session
}

start_abrmd() {
    root=
    [ "$(id -u)" -ne 0 ] || root=--allow-root
    tpm2-abrmd --session $root --tcti="swtpm:path=$PWD/tpm" >abrmd.log 2>&1 </dev/null 3>&- 4<&- &
    abrmd_pid=$!
    background="$background $abrmd_pid"
    for _ in $(seq 3000); do
        ! dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
            org.freedesktop.DBus.GetNameOwner string:com.intel.tss2.Tabrmd >/dev/null 2>&1 || return 0
        sleep 0.02
    done
    fail "no tpm2-abrmd: $(cat abrmd.log)"
}

end_abrmd() {
    kill "-$1" "$abrmd_pid"
    wait_until_gone "$abrmd_pid"
}
