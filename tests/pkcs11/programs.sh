# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # some are for those who source this
# For tests of whole programs on the PKCS#11 module; sourced, on top of setup.sh.
. "$abs_top_srcdir/tests/pkcs11/setup.sh"

# What names the key and the certificate; short enough to type.
device="pkcs11:token=gatekey;object=device"

# certify_below: the device's certificate comes from an authority below device-ca, which servers do not know; so
# whoever proves himself to them has shown that one, too
certify_below() {
    make_ca device-ca
    make_ca below
    openssl req -new -key below.key -subj /CN=below -addext basicConstraints=critical,CA:TRUE -out request.csr
    sign_request device-ca request.csr below.pem
    with_provider openssl req -new -key gatekey/device.pem -subj /CN=device -out request.csr
    sign_request below request.csr leaf.pem
    cat leaf.pem below.pem device-ca.pem >gatekey/cert.pem
}

# says_nothing FILE WHO: neither the module nor what it stands on
says_nothing() {
    if grep -E 'gatekey-pkcs11|libtss|tss2|tcti|TPM' "$1"; then
        fail "$2: the module is not silent"
    fi
}

# A user whose only module is ours: p11-kit then has nothing of this machine. It does not read root's own
# configuration, so root's tests have "as_user" be somebody else, to whom the build tree may be closed; what
# such a user reads is copied here.
make_user() {
    mkdir -p user/.config/pkcs11/modules
    cp "$module" user/gatekey-pkcs11.so
    echo "user-config: only" >user/.config/pkcs11/pkcs11.conf
    # As it will be installed, but for the folder.
    sed "s|^module: |&$PWD/user/|" "$abs_top_srcdir/conf/gatekey.module" >user/.config/pkcs11/modules/gatekey.module
    [ "$(id -u)" -eq 0 ] || return 0
    chmod go+x . .. # not more: by hand, the second may be /tmp
    chown -R 65534:65534 user
    chmod 666 tpm tpm.ctrl
    : "${TCTI_PCAP_FILE:=}"
    [ -z "$TCTI_PCAP_FILE" ] || {
        : >>"$TCTI_PCAP_FILE"
        chmod 666 "$TCTI_PCAP_FILE"
    }
}

as_user() {
    if [ "$(id -u)" -eq 0 ]; then
        HOME=$PWD/user setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$@"
    else
        HOME=$PWD/user "$@"
    fi
}
