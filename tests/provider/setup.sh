# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the whole-product tests of the provider share; sourced, under tests/with-swtpm.
#
# It makes a device key and points OpenSSL to the provider in the build tree by the openssl.cnf that gets
# installed. Nothing else is set: no property query, no engine, no option of the programs.

. "$abs_top_srcdir/tests/expect.sh"
cd "$GATEKEY_TEST_DIR"

use_gatekey() {
    export OPENSSL_MODULES="$abs_top_builddir/.libs"
    export OPENSSL_CONF="$abs_top_srcdir/conf/openssl-gatekey.cnf"
}

use_gatekey
# The identity directory is this test's folder; GATEKEY_TCTI is there already.
export GATEKEY_IDENTITY="$GATEKEY_TEST_DIR"

make_key="$abs_top_builddir/tests/tpm/make-key"
"$make_key" device.pem 0x81000100 2>/dev/null
echo "a message" >message

# OpenSSL as on a machine that has never heard of gatekey.
plain_openssl() {
    OPENSSL_CONF=/dev/null openssl "$@"
}

openssl pkey -in device.pem -pubout -out public.pem
