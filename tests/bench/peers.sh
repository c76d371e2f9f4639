# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Other PKCS #11 modules, each with an RSA key and where it can be a certificate of its own; sourced by bench.
#
# Exports, for those that are installed:
#   BENCH_TPM2_PKCS11   tpm2-pkcs11, on the same TPM
#   BENCH_SOFTHSM       SoftHSM, a token in software
#   BENCH_PIN           the PIN of both
# and makes registered/NAME, a folder of configuration (XDG_CONFIG_HOME) in which p11-kit finds that module and the
# system's roots, and registered/nothing, where it finds only the roots.
. "$abs_top_srcdir/tests/abrmd.sh"

export BENCH_PIN=1234

# first FILE...: the first that exists
first() {
    for file in "$@"; do
        [ ! -e "$file" ] || {
            echo "$file"
            return
        }
    done
}

# As on a machine that has never heard of gatekey.
quietly() {
    env -u OPENSSL_MODULES OPENSSL_CONF=/dev/null "$@" >peers.log 2>&1 || {
        tail -n 3 peers.log >&2
        return 1
    }
}

have() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || return 1
    done
}

set_up_softhsm() {
    mkdir tokens
    echo "directories.tokendir = $PWD/tokens" >softhsm2.conf
    export SOFTHSM2_CONF="$PWD/softhsm2.conf"
    openssl x509 -in soft-cert.pem -outform DER -out soft-cert.der
    quietly softhsm2-util --init-token --free --label soft --pin $BENCH_PIN --so-pin $BENCH_PIN &&
        quietly softhsm2-util --import soft.key --token soft --pin $BENCH_PIN --label soft --id 01 &&
        quietly pkcs11-tool --module "$softhsm" --token-label soft --login --pin $BENCH_PIN \
            --write-object soft-cert.der --type cert --id 01 --label soft
}

# Its tool does not clear up behind itself, so a resource manager does while it runs.
set_up_tpm2_pkcs11() {
    mkdir tpm2-pkcs11
    export TPM2_PKCS11_STORE="$PWD/tpm2-pkcs11"
    start_abrmd
    (
        export TPM2TOOLS_TCTI="$abrmd_tcti" TPM2_PKCS11_TCTI="$abrmd_tcti"
        quietly tpm2_ptool init &&
            quietly tpm2_ptool addtoken --pid=1 --label=tpm2 --userpin=$BENCH_PIN --sopin=$BENCH_PIN &&
            quietly tpm2_ptool addkey --label=tpm2 --key-label=tpm2 --userpin=$BENCH_PIN --algorithm=rsa2048
    ) && made=yes
    stop_abrmd
    [ -n "${made-}" ]
}

# register NAME [MODULE]
register() {
    mkdir -p "registered/$1/pkcs11/modules"
    echo "user-config: only" >"registered/$1/pkcs11/pkcs11.conf"
    printf 'module: p11-kit-trust.so\ntrust-policy: yes\n' >"registered/$1/pkcs11/modules/p11-kit-trust.module"
    [ $# -eq 1 ] || printf 'module: %s\ncritical: no\n' "$2" >"registered/$1/pkcs11/modules/$1.module"
}

register nothing
register gatekey "$abs_top_builddir/.libs/gatekey-pkcs11.so"

softhsm=$(first /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so)
if [ -n "$softhsm" ] && have softhsm2-util pkcs11-tool && set_up_softhsm; then
    export BENCH_SOFTHSM="$softhsm"
    register SoftHSM "$softhsm"
fi
tpm2_pkcs11=$(first /usr/lib/*/pkcs11/libtpm2_pkcs11.so)
if [ -n "$tpm2_pkcs11" ] && have tpm2_ptool tpm2-abrmd dbus-daemon tpm2_getcap && set_up_tpm2_pkcs11; then
    export BENCH_TPM2_PKCS11="$tpm2_pkcs11"
    register tpm2-pkcs11 "$tpm2_pkcs11"
fi
