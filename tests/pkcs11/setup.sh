# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # some are for those who source this
# What the whole-product tests of the PKCS#11 module share; sourced, under tests/with-swtpm.
#
#   GATEKEY_IDENTITY   a folder called "gatekey", so that is the token's label; device.pem is in it, and
#                      cert.pem after "certify"
#   module             the module in the build tree
#   device-ca.pem      issues ours; servers have theirs by tls-server.sh
#
# OpenSSL has never heard of gatekey here, so nothing signs but through the module.
. "$abs_top_srcdir/tests/tls-server.sh"
. "$abs_top_srcdir/tests/tpm/capture.sh"
cd "$GATEKEY_TEST_DIR"

module="$abs_top_builddir/.libs/gatekey-pkcs11.so"
make_key_in_tpm="$abs_top_builddir/tests/tpm/make-key"
export GATEKEY_IDENTITY="$GATEKEY_TEST_DIR/gatekey"
mkdir -p gatekey
"$make_key_in_tpm" gatekey/device.pem 0x81000100 2>/dev/null

# with_provider COMMAND...: with the OpenSSL provider of the build tree
with_provider() {
    OPENSSL_MODULES="$abs_top_builddir/.libs" OPENSSL_CONF="$abs_top_srcdir/conf/openssl-gatekey.cnf" "$@"
}

# certify FOLDER [OPTION...]: leaf.pem, that the key in FOLDER is the device's; FOLDER/cert.pem, with the issuer's too
certify() {
    folder=$1
    shift
    [ -f device-ca.pem ] || make_ca device-ca
    with_provider openssl req -new -key "$folder/device.pem" -subj /CN=device "$@" -out request.csr
    sign_request device-ca request.csr leaf.pem
    cat leaf.pem device-ca.pem >"$folder/cert.pem.new"
    mv "$folder/cert.pem.new" "$folder/cert.pem"
}

# make_locked_key: another identity, and so token, "locked", whose key has the password "correct horse"; certified.
# The file "password" holds it without an end of line: GnuTLS would take that for a part of it.
make_locked_key() {
    printf 'correct horse' >password
    mkdir locked
    "$make_key_in_tpm" locked/device.pem 0x81000101 --auth password 2>/dev/null
    certify locked -passin file:password
}
