# SPDX-License-Identifier: Apache-2.0
# Tests of tpm/.

check_LTLIBRARIES += libtpmfixture.la
libtpmfixture_la_SOURCES = %D%/fixture.c %D%/fixture.h
libtpmfixture_la_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(CRYPTO_CFLAGS)
libtpmfixture_la_LIBADD = libadmin.la libevpcrypto.la $(CMOCKA_LIBS)

tpm_tests = %D%/test-signature
check_PROGRAMS += $(tpm_tests)
TESTS += $(tpm_tests)
TPM_TESTS += $(tpm_tests)

%C%_test_signature_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_signature_LDADD = libtpmfixture.la
