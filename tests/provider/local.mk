# SPDX-License-Identifier: Apache-2.0
# Tests of the OpenSSL provider.

check_PROGRAMS += tests/provider/test-crypto
TESTS += tests/provider/test-crypto
tests_provider_test_crypto_SOURCES = %D%/test-crypto.c
tests_provider_test_crypto_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
tests_provider_test_crypto_LDADD = libevpcrypto.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)

# Whole-product tests: stock programs on the module in the build tree.
provider_scripts = \
    %D%/openssl-signs-with-the-device-key
EXTRA_DIST += %D%/setup.sh
dist_check_SCRIPTS += $(provider_scripts)
TESTS += $(provider_scripts)
TPM_TESTS += $(provider_scripts)
