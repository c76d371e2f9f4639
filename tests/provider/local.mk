# SPDX-License-Identifier: Apache-2.0
# Tests of the OpenSSL provider.

check_PROGRAMS += tests/provider/test-crypto
TESTS += tests/provider/test-crypto
tests_provider_test_crypto_SOURCES = %D%/test-crypto.c
tests_provider_test_crypto_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
tests_provider_test_crypto_LDADD = libevpcrypto.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)
