# SPDX-License-Identifier: Apache-2.0
# Tests of the OpenSSL provider.

check_PROGRAMS += tests/provider/test-crypto
TESTS += tests/provider/test-crypto
tests_provider_test_crypto_SOURCES = %D%/test-crypto.c
tests_provider_test_crypto_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
tests_provider_test_crypto_LDADD = libevpcrypto.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)

# These load the module in the build tree, as an application does.
check_LTLIBRARIES += libproviderfixture.la
libproviderfixture_la_SOURCES = %D%/fixture.c %D%/fixture.h
libproviderfixture_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
libproviderfixture_la_LIBADD = libdevicekeyfixture.la $(CRYPTO_LIBS)

provider_programs = \
    %D%/test-certificate \
    %D%/test-contexts \
    %D%/test-decoder \
    %D%/test-exec \
    %D%/test-faults \
    %D%/test-fork \
    %D%/test-keymgmt \
    %D%/test-lifetime \
    %D%/test-message \
    %D%/test-order \
    %D%/test-reentry \
    %D%/test-settings \
    %D%/test-signature \
    %D%/test-silence \
    %D%/test-store \
    %D%/test-tally \
    %D%/test-threads \
    %D%/test-tss2 \
    %D%/test-turns \
    %D%/test-verification
check_PROGRAMS += $(provider_programs)
TESTS += $(provider_programs)
TPM_TESTS += $(provider_programs)
provider_test_cflags = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_certificate_CFLAGS = $(provider_test_cflags)
%C%_test_certificate_LDADD = libproviderfixture.la
%C%_test_contexts_CFLAGS = $(provider_test_cflags)
%C%_test_contexts_LDADD = libproviderfixture.la
%C%_test_decoder_CFLAGS = $(provider_test_cflags)
%C%_test_decoder_LDADD = libproviderfixture.la
%C%_test_exec_SOURCES = %D%/test-exec.c %D%/signing.c %D%/signing.h
%C%_test_exec_CFLAGS = $(provider_test_cflags)
%C%_test_exec_LDADD = libproviderfixture.la
%C%_test_faults_SOURCES = %D%/test-faults.c tests/tpm/faults.c tests/tpm/faults.h
%C%_test_faults_CFLAGS = $(provider_test_cflags)
%C%_test_faults_LDADD = libproviderfixture.la libfault.la
%C%_test_fork_SOURCES = %D%/test-fork.c %D%/signing.c %D%/signing.h
%C%_test_fork_CFLAGS = $(provider_test_cflags)
%C%_test_fork_LDADD = libproviderfixture.la
%C%_test_keymgmt_CFLAGS = $(provider_test_cflags)
%C%_test_keymgmt_LDADD = libproviderfixture.la
%C%_test_lifetime_CFLAGS = $(provider_test_cflags)
%C%_test_lifetime_LDADD = libproviderfixture.la
%C%_test_message_CFLAGS = $(provider_test_cflags)
%C%_test_message_LDADD = libproviderfixture.la
%C%_test_order_CFLAGS = $(provider_test_cflags)
%C%_test_order_LDADD = libproviderfixture.la
%C%_test_reentry_CFLAGS = $(provider_test_cflags)
%C%_test_reentry_LDADD = libproviderfixture.la
%C%_test_settings_CFLAGS = $(provider_test_cflags)
%C%_test_settings_LDADD = libproviderfixture.la
%C%_test_signature_CFLAGS = $(provider_test_cflags)
%C%_test_signature_LDADD = libproviderfixture.la
%C%_test_silence_CFLAGS = $(provider_test_cflags) $(SSL_CFLAGS)
%C%_test_silence_LDADD = libproviderfixture.la $(SSL_LIBS)
%C%_test_store_CFLAGS = $(provider_test_cflags)
%C%_test_store_LDADD = libproviderfixture.la
%C%_test_tally_SOURCES = %D%/test-tally.c %D%/signing.c %D%/signing.h
%C%_test_tally_CFLAGS = $(provider_test_cflags)
%C%_test_tally_LDADD = libproviderfixture.la
%C%_test_threads_SOURCES = %D%/test-threads.c %D%/signing.c %D%/signing.h
%C%_test_threads_CFLAGS = $(provider_test_cflags)
%C%_test_threads_LDADD = libproviderfixture.la
%C%_test_tss2_SOURCES = %D%/test-tss2.c %D%/tss2.c %D%/tss2.h
%C%_test_tss2_CFLAGS = $(provider_test_cflags)
%C%_test_tss2_LDADD = libproviderfixture.la
%C%_test_turns_CFLAGS = $(provider_test_cflags)
%C%_test_turns_LDADD = libproviderfixture.la
%C%_test_verification_CFLAGS = $(provider_test_cflags)
%C%_test_verification_LDADD = libproviderfixture.la

# Whole-product tests: stock programs on the module in the build tree.
provider_scripts = \
    %D%/a-password-file-lets-services-start-alone \
    %D%/a-password-is-asked-only-where-there-is-one \
    %D%/a-program-may-hold-its-own-libcrypto \
    %D%/alone-it-says-what-is-missing \
    %D%/beside-other-tokens-both-keys-sign \
    %D%/certificates-come-by-uri \
    %D%/fips-is-claimed-on-the-owner-s-word-only \
    %D%/keys-of-other-tools-sign-through-openssl \
    %D%/listed-first-it-leaves-software-keys-alone \
    %D%/loading-opens-nothing \
    %D%/one-signature-is-one-tpm-command \
    %D%/openssl-signs-with-the-device-key \
    %D%/programs-without-the-key-notice-nothing \
    %D%/stock-clients-speak-mutual-tls \
    %D%/the-private-key-stays-in-the-tpm \
    %D%/tpm2-openssl-signs-with-our-key \
    %D%/wrong-passwords-do-not-lock-the-device-key
EXTRA_DIST += %D%/fips.c %D%/own-libcrypto.c %D%/two-tokens.c %D%/setup.sh %D%/tls.sh %D%/bridge.py
dist_check_SCRIPTS += $(provider_scripts)
TESTS += $(provider_scripts)
TPM_TESTS += $(provider_scripts)

# The openssl command's ways to ask for a signature.
signature_scripts = \
    %D%/a-signature-is-the-one-asked-for \
    %D%/openssl-issues-with-the-device-key
dist_check_SCRIPTS += $(signature_scripts)
TESTS += $(signature_scripts)
TPM_TESTS += $(signature_scripts)

# It asks for a TPM of the kind it is about by itself.
dist_check_SCRIPTS += %D%/a-tpm-with-the-longest-salt-speaks-tls
TESTS += %D%/a-tpm-with-the-longest-salt-speaks-tls

# Programs that serve, relay and run for long, each unmodified.
program_scripts = \
    %D%/haproxy-perl-and-redis-cli-sign-too \
    %D%/mqtt-goes-both-ways-with-the-device-key \
    %D%/nginx-signs-in-its-workers \
    %D%/openvpn-joins-with-the-device-key \
    %D%/tunnels-end-at-the-device-key
EXTRA_DIST += %D%/programs.sh
dist_check_SCRIPTS += $(program_scripts)
TESTS += $(program_scripts)
TPM_TESTS += $(program_scripts)

# What may happen while a program holds the device key.
check_PROGRAMS += %D%/sign-on-request
%C%_sign_on_request_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
%C%_sign_on_request_LDADD = $(CRYPTO_LIBS)
trouble_scripts = \
    %D%/a-killed-program-leaves-nothing-in-the-tpm \
    %D%/a-restarted-resource-manager-is-met-again \
    %D%/a-restarted-tpm-is-met-again \
    %D%/a-worker-without-the-group-is-told-so \
    %D%/lockout-spares-the-device-key \
    %D%/s_server-serves-on-after-a-tpm-restart \
    %D%/several-processes-share-one-tpm
EXTRA_DIST += %D%/abrmd.sh %D%/signer.sh
dist_check_SCRIPTS += $(trouble_scripts)
TESTS += $(trouble_scripts)
TPM_TESTS += $(trouble_scripts)
