# SPDX-License-Identifier: Apache-2.0
# Tests of tpm/.

check_LTLIBRARIES += libtpmfixture.la
libtpmfixture_la_SOURCES = %D%/fixture.c %D%/fixture.h
libtpmfixture_la_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(CRYPTO_CFLAGS)
libtpmfixture_la_LIBADD = libadmin.la libevpcrypto.la $(CMOCKA_LIBS)

tpm_tests_with_a_tpm = %D%/test-admin %D%/test-create %D%/test-seal %D%/test-signature \
    %D%/test-tcti %D%/test-tpm
check_PROGRAMS += %D%/test-reference $(tpm_tests_with_a_tpm)
TESTS += %D%/test-reference $(tpm_tests_with_a_tpm)
TPM_TESTS += $(tpm_tests_with_a_tpm)

%C%_test_create_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_create_LDADD = libtpmfixture.la
%C%_test_reference_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_reference_LDADD = libtpmfixture.la
%C%_test_seal_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_seal_LDADD = libtpmfixture.la
%C%_test_signature_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_signature_LDADD = libtpmfixture.la
%C%_test_tpm_SOURCES = %D%/test-tpm.c %D%/proxy.c %D%/proxy.h
%C%_test_tpm_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_tpm_LDADD = libtpmfixture.la
%C%_test_tcti_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_tcti_LDADD = libtpmfixture.la $(TSS_SYS_LIBS)

# A device key in a test's TPM, for the tests of every folder.
check_PROGRAMS += %D%/make-key
%C%_make_key_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
%C%_make_key_LDADD = libadmin.la libevpcrypto.la
%C%_test_admin_SOURCES = %D%/test-admin.c %D%/proxy.c %D%/proxy.h
%C%_test_admin_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_admin_LDADD = libtpmfixture.la
