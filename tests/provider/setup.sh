# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the whole-product tests of the provider share; sourced, under tests/with-swtpm.
#
# It makes a device key and points OpenSSL to the provider in the build tree by the openssl.cnf that gets
# installed. Nothing else is set: no property query, no engine, no option of the programs.

set -eu
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

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# OpenSSL as on a machine that has never heard of gatekey.
plain_openssl() {
    OPENSSL_CONF=/dev/null openssl "$@"
}

# refuses TEXT COMMAND...: the command fails and says TEXT on stderr.
refuses() {
    wanted=$1
    shift
    if "$@" >refuses.out 2>refuses.err; then
        fail "this should not work: $*"
    fi
    grep -qF -- "$wanted" refuses.err || {
        cat refuses.err >&2
        fail "\"$*\" does not say \"$wanted\""
    }
}

openssl pkey -in device.pem -pubout -out public.pem
