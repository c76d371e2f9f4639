# SPDX-License-Identifier: Apache-2.0
# Fuzz targets for whatever parses foreign bytes. make check replays the corpora; make fuzz fuzzes (clang).

fuzz_targets = %D%/fuzz-chain %D%/fuzz-config %D%/fuzz-decoder %D%/fuzz-handed %D%/fuzz-message %D%/fuzz-proxy %D%/fuzz-reference \
    %D%/fuzz-pkcs11 %D%/fuzz-rest-reply %D%/fuzz-tss2 \
    %D%/fuzz-certificate %D%/fuzz-clock %D%/fuzz-crl %D%/fuzz-http-field %D%/fuzz-refresh %D%/fuzz-state \
    %D%/fuzz-hub-connect %D%/fuzz-hub-request
check_PROGRAMS += $(fuzz_targets)
noinst_HEADERS += %D%/scene.h %D%/target.h

# With a fuzzer its own main() is linked in, else ours, which replays files.
if FUZZING
fuzz_main =
fuzz_link_flags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = %D%/replay.c
fuzz_link_flags = $(AM_LDFLAGS)
endif
EXTRA_DIST += %D%/replay.c

%C%_fuzz_chain_SOURCES = %D%/fuzz-chain.c $(fuzz_main)
%C%_fuzz_chain_CFLAGS = $(AM_CFLAGS) $(P11_KIT_CFLAGS) $(NETTLE_CFLAGS) $(TASN1_CFLAGS)
%C%_fuzz_chain_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_chain_LDADD = libpkcs11.la libdevkey.la libidentity.la liberror.la
%C%_fuzz_config_SOURCES = %D%/fuzz-config.c $(fuzz_main)
%C%_fuzz_config_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_config_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_decoder_SOURCES = %D%/fuzz-decoder.c $(fuzz_main)
%C%_fuzz_decoder_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
%C%_fuzz_decoder_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_handed_SOURCES = %D%/fuzz-handed.c $(fuzz_main)
%C%_fuzz_handed_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_handed_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_handed_LDADD = libagent.la $(JANSSON_LIBS)
%C%_fuzz_message_SOURCES = %D%/fuzz-message.c $(fuzz_main)
%C%_fuzz_message_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_message_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_pkcs11_SOURCES = %D%/fuzz-pkcs11.c %D%/pkcs11.h %D%/pkcs11-call.c %D%/pkcs11-odd.c \
    %D%/pkcs11-scene.c %D%/pkcs11-table.c $(fuzz_main)
%C%_fuzz_pkcs11_CFLAGS = $(AM_CFLAGS) $(P11_KIT_CFLAGS) $(NETTLE_CFLAGS) $(TASN1_CFLAGS) $(CRYPTO_CFLAGS)
%C%_fuzz_pkcs11_LDFLAGS = $(fuzz_link_flags) -Wl,--wrap=gk_key_sign
%C%_fuzz_proxy_SOURCES = %D%/fuzz-proxy.c $(fuzz_main)
%C%_fuzz_proxy_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_proxy_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_proxy_LDADD = libagent.la $(CRYPTO_LIBS) $(JANSSON_LIBS)
%C%_fuzz_reference_SOURCES = %D%/fuzz-reference.c $(fuzz_main)
%C%_fuzz_reference_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_reference_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_rest_reply_SOURCES = %D%/fuzz-rest-reply.c $(fuzz_main)
%C%_fuzz_rest_reply_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
%C%_fuzz_rest_reply_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_tss2_SOURCES = %D%/fuzz-tss2.c $(fuzz_main)
%C%_fuzz_tss2_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
%C%_fuzz_tss2_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_config_LDADD = libagent.la
%C%_fuzz_decoder_LDADD = libprovider.la libevpcrypto.la libdevkey.la libidentity.la liberror.la \
    $(CRYPTO_LIBS)
%C%_fuzz_message_LDADD = libagent.la $(JANSSON_LIBS)
%C%_fuzz_pkcs11_LDADD = libpkcs11files.la
%C%_fuzz_reference_LDADD = libdevkey.la liberror.la
%C%_fuzz_rest_reply_LDADD = libagent.la $(JANSSON_LIBS)
%C%_fuzz_tss2_LDADD = libprovider.la libevpcrypto.la libdevkey.la libidentity.la liberror.la \
    $(CRYPTO_LIBS)

fuzz_agent_cflags = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS)
fuzz_agent_ldadd = libagent.la $(CRYPTO_LIBS) $(JANSSON_LIBS)
%C%_fuzz_certificate_SOURCES = %D%/fuzz-certificate.c %D%/scene.c $(fuzz_main) \
    agent/command/certificate.c agent/command/refresh-address.c agent/command/request.c \
    agent/command/verification.c
%C%_fuzz_certificate_CFLAGS = $(fuzz_agent_cflags)
%C%_fuzz_certificate_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_certificate_LDADD = $(fuzz_agent_ldadd)
%C%_fuzz_clock_SOURCES = %D%/fuzz-clock.c %D%/scene.c $(fuzz_main)
%C%_fuzz_clock_CFLAGS = $(fuzz_agent_cflags)
%C%_fuzz_clock_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_clock_LDADD = $(fuzz_agent_ldadd)
%C%_fuzz_crl_SOURCES = %D%/fuzz-crl.c %D%/scene.c $(fuzz_main)
%C%_fuzz_crl_CFLAGS = $(fuzz_agent_cflags)
%C%_fuzz_crl_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_crl_LDADD = $(fuzz_agent_ldadd)
%C%_fuzz_http_field_SOURCES = %D%/fuzz-http-field.c $(fuzz_main) agent/command/http.c
%C%_fuzz_http_field_CFLAGS = $(fuzz_agent_cflags) $(CURL_CFLAGS)
%C%_fuzz_http_field_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_http_field_LDADD = $(fuzz_agent_ldadd) $(CURL_LIBS)
%C%_fuzz_refresh_SOURCES = %D%/fuzz-refresh.c %D%/scene.c $(fuzz_main) \
    agent/command/output.c agent/command/refresh-memory.c
%C%_fuzz_refresh_CFLAGS = $(fuzz_agent_cflags)
%C%_fuzz_refresh_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_refresh_LDADD = $(fuzz_agent_ldadd)
%C%_fuzz_state_SOURCES = %D%/fuzz-state.c %D%/scene.c $(fuzz_main)
%C%_fuzz_state_CFLAGS = $(fuzz_agent_cflags)
%C%_fuzz_state_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_state_LDADD = $(fuzz_agent_ldadd)

%C%_fuzz_hub_connect_SOURCES = %D%/fuzz-hub-connect.c $(fuzz_main)
%C%_fuzz_hub_connect_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_hub_connect_LDADD = tests/hub/libhub.la
%C%_fuzz_hub_request_SOURCES = %D%/fuzz-hub-request.c $(fuzz_main)
%C%_fuzz_hub_request_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
%C%_fuzz_hub_request_LDFLAGS = $(fuzz_link_flags)
%C%_fuzz_hub_request_LDADD = tests/hub/libhub.la

dist_check_SCRIPTS += %D%/replays-its-corpus
TESTS += %D%/replays-its-corpus
EXTRA_DIST += %D%/run %D%/corpus

# make fuzz FUZZ_SECONDS=600, or FUZZ_RUNS=10000000, of all targets or of FUZZ_TARGETS='tss2 reference'.
# Of pkcs11 the steps are counted and said: a run is a sequence of them.
FUZZ_SECONDS = 60
FUZZ_RUNS =
FUZZ_TARGETS = reference chain decoder tss2 handed message proxy rest-reply certificate crl state clock refresh http-field config hub-connect hub-request \
    pkcs11
.PHONY: fuzz
fuzz:
	$(MKDIR_P) fuzz
	cd fuzz && { test -f Makefile || $(abs_top_srcdir)/configure -q --enable-fuzzing CC=clang \
	    CFLAGS='-g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'; }
	cd fuzz && $(MAKE) $(AM_MAKEFLAGS) $(fuzz_targets)
	cd fuzz && abs_top_srcdir='$(abs_top_srcdir)' abs_top_builddir='$(abs_top_builddir)/fuzz' \
	    $(srcdir_of_fuzz)/run $(if $(FUZZ_RUNS),-runs=$(FUZZ_RUNS),-max_total_time=$(FUZZ_SECONDS)) \
	    $(FUZZ_TARGETS)

srcdir_of_fuzz = $(abs_top_srcdir)/%D%
