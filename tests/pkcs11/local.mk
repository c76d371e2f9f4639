# SPDX-License-Identifier: Apache-2.0
# Tests of the PKCS#11 module.

pkcs11_word_tests = %D%/debugging-says-what-is-wrong %D%/the-manual-tells-the-truth
dist_check_SCRIPTS += $(pkcs11_word_tests)
TESTS += $(pkcs11_word_tests)
TPM_TESTS += $(pkcs11_word_tests)

# What unit tests link: the module's parts, apart from it.
pkcs11_parts = libpkcs11.la libdevkey.la libidentity.la liberror.la $(CMOCKA_LIBS)
pkcs11_test_cflags = $(AM_CFLAGS) $(P11_KIT_CFLAGS) $(NETTLE_CFLAGS) $(TASN1_CFLAGS) $(CMOCKA_CFLAGS)

EXTRA_DIST += %D%/setup.sh

# Digests, signatures and verification, apart from the library.
pkcs11_operation_tests = %D%/test-crypto %D%/test-mechanism
check_PROGRAMS += $(pkcs11_operation_tests)
TESTS += $(pkcs11_operation_tests)
software_key_sources = %D%/software-key.c %D%/software-key.h
%C%_test_crypto_SOURCES = %D%/test-crypto.c $(software_key_sources)
%C%_test_crypto_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS)
%C%_test_crypto_LDADD = $(pkcs11_parts) $(CRYPTO_LIBS)
%C%_test_mechanism_CFLAGS = $(pkcs11_test_cflags)
%C%_test_mechanism_LDADD = $(pkcs11_parts)
check_PROGRAMS += %D%/test-operations
TESTS += %D%/test-operations
TPM_TESTS += %D%/test-operations
%C%_test_operations_CFLAGS = $(pkcs11_test_cflags)
%C%_test_operations_LDADD = libpkcs11.la libtpmfixture.la libidentity.la liberror.la $(CMOCKA_LIBS)

# Objects, certificates and the token, without a TPM. test-object stands in the library's place itself.
check_LTLIBRARIES += libpkcs11files.la
libpkcs11files_la_SOURCES = %D%/files.c %D%/files.h %D%/sample.c %D%/sample.h
libpkcs11files_la_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS) $(TSS_SYS_CFLAGS)
libpkcs11files_la_LIBADD = $(pkcs11_parts) $(CRYPTO_LIBS)
pkcs11_object_tests = %D%/test-certificate %D%/test-chain %D%/test-contents %D%/test-object \
    %D%/test-shortage %D%/test-token
check_PROGRAMS += $(pkcs11_object_tests)
TESTS += $(pkcs11_object_tests)
%C%_test_certificate_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS)
%C%_test_certificate_LDADD = libpkcs11files.la
%C%_test_chain_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS)
%C%_test_chain_LDADD = libpkcs11files.la
%C%_test_contents_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS)
%C%_test_contents_LDADD = libpkcs11files.la
%C%_test_object_SOURCES = %D%/test-object.c pkcs11/attribute.c pkcs11/find.c pkcs11/object.c
%C%_test_object_CFLAGS = $(pkcs11_test_cflags)
%C%_test_object_LDADD = $(CMOCKA_LIBS)
%C%_test_shortage_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS)
%C%_test_shortage_LDADD = libpkcs11files.la
%C%_test_shortage_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
%C%_test_token_CFLAGS = $(pkcs11_test_cflags) $(CRYPTO_CFLAGS)
%C%_test_token_LDADD = libpkcs11files.la
# Conformance: these load the module in the build tree, as an application does. OpenSSL is there to check it.
check_LTLIBRARIES += libpkcs11fixture.la
libpkcs11fixture_la_SOURCES = %D%/fixture.c %D%/fixture.h %D%/identity.c %D%/calls.c %D%/calls.h
libpkcs11fixture_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(P11_KIT_CFLAGS) $(CMOCKA_CFLAGS)
libpkcs11fixture_la_LIBADD = libdevicekeyfixture.la $(CRYPTO_LIBS)

pkcs11_conformance = \
    %D%/test-attribute \
    %D%/test-digest \
    %D%/test-faults \
    %D%/test-find \
    %D%/test-fork \
    %D%/test-host \
    %D%/test-interface \
    %D%/test-library \
    %D%/test-lockout \
    %D%/test-login \
    %D%/test-refusal \
    %D%/test-renewal \
    %D%/test-session \
    %D%/test-sign \
    %D%/test-slot \
    %D%/test-threads \
    %D%/test-verify
check_PROGRAMS += $(pkcs11_conformance)
TESTS += $(pkcs11_conformance)
TPM_TESTS += $(pkcs11_conformance)
pkcs11_conformance_cflags = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(P11_KIT_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_attribute_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_attribute_LDADD = libpkcs11fixture.la
%C%_test_digest_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_digest_LDADD = libpkcs11fixture.la
%C%_test_find_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_find_LDADD = libpkcs11fixture.la
%C%_test_interface_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_interface_LDADD = libpkcs11fixture.la
%C%_test_library_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_library_LDADD = libpkcs11fixture.la
%C%_test_lockout_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_lockout_LDADD = libpkcs11fixture.la
%C%_test_login_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_login_LDADD = libpkcs11fixture.la libfault.la
%C%_test_refusal_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_refusal_LDADD = libpkcs11fixture.la
%C%_test_session_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_session_LDADD = libpkcs11fixture.la
%C%_test_sign_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_sign_LDADD = libpkcs11fixture.la
%C%_test_slot_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_slot_LDADD = libpkcs11fixture.la
%C%_test_verify_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_verify_LDADD = libpkcs11fixture.la
%C%_test_fork_SOURCES = %D%/test-fork.c %D%/rounds.c %D%/rounds.h
%C%_test_fork_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_fork_LDADD = libpkcs11fixture.la
# It has functions of the module's names, where the dynamic linker finds them.
%C%_test_host_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_host_LDADD = libpkcs11fixture.la
%C%_test_host_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
%C%_test_threads_SOURCES = %D%/test-threads.c %D%/rounds.c %D%/rounds.h
%C%_test_threads_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_threads_LDADD = libpkcs11fixture.la
%C%_test_renewal_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_renewal_LDADD = libpkcs11fixture.la
%C%_test_faults_SOURCES = %D%/test-faults.c tests/tpm/faults.c tests/tpm/faults.h
%C%_test_faults_CFLAGS = $(pkcs11_conformance_cflags)
%C%_test_faults_LDADD = libpkcs11fixture.la libfault.la

# Programs that reach it through OpenSSL, by libp11's engine or pkcs11-provider.
openssl_scripts = \
    %D%/a-pin-is-asked-only-where-the-key-has-one \
    %D%/a-protected-network-is-joined-with-the-device-key \
    %D%/an-openssl-engine-speaks-mutual-tls \
    %D%/gatekeyd-signs-through-pkcs11-provider \
    %D%/mosquitto-publishes-through-the-engine \
    %D%/pkcs11-provider-signs-with-the-device-key
EXTRA_DIST += %D%/openssl.sh
dist_check_SCRIPTS += $(openssl_scripts)
TESTS += $(openssl_scripts)
TPM_TESTS += $(openssl_scripts)

# What loading, listing and signing cost, and OpenSC's tool.
dist_check_SCRIPTS += %D%/caller.py %D%/tpm-device.py
cost_scripts = \
    %D%/only-signing-asks-the-tpm \
    %D%/pkcs11-tool-finds-no-errors
dist_check_SCRIPTS += $(cost_scripts)
TESTS += $(cost_scripts)
TPM_TESTS += $(cost_scripts)

# Whole programs on TLS stacks that are not OpenSSL.
pkcs11_program_tests = \
    %D%/a-password-is-the-pin \
    %D%/gnutls-proves-itself \
    %D%/java-proves-itself \
    %D%/nss-proves-itself \
    %D%/p11-kit-lets-others-sign-without-the-tpm \
    %D%/ssh-logs-in-with-the-device-key \
    %D%/wget-and-git-find-the-key-through-p11-kit \
    %D%/who-never-asks-for-the-key-notices-nothing
dist_check_SCRIPTS += $(pkcs11_program_tests)
TESTS += $(pkcs11_program_tests)
TPM_TESTS += $(pkcs11_program_tests)
EXTRA_DIST += %D%/programs.sh %D%/java.sh %D%/HttpsWithDeviceKey.java
