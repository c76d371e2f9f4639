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

# certify [SUBJECT]: gatekey/cert.pem, the device's certificate and its issuer's
certify() {
    [ -f device-ca.pem ] || make_ca device-ca
    with_provider openssl req -new -key gatekey/device.pem -subj "/CN=${1-device}" -out request.csr
    openssl ca -config device-ca.cnf -batch -notext -days 30 -in request.csr -out leaf.pem 2>/dev/null
    cat leaf.pem device-ca.pem >gatekey/cert.pem.new
    mv gatekey/cert.pem.new gatekey/cert.pem
}
