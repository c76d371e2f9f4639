# SPDX-License-Identifier: Apache-2.0
# Tests of what gatekey and gatekeyd share, and of each.

agent_test_cppflags = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
agent_test_ldadd = libagent.la $(CRYPTO_LIBS) $(JANSSON_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/agent/test-budget
TESTS += tests/agent/test-budget
tests_agent_test_budget_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_budget_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-clock
TESTS += tests/agent/test-clock
tests_agent_test_clock_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_clock_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-clock-story tests/agent/test-clock-verdict
TESTS += tests/agent/test-clock-story tests/agent/test-clock-verdict
tests_agent_test_clock_story_SOURCES = tests/agent/test-clock-story.c tests/agent/noon.c \
    tests/agent/noon.h
tests_agent_test_clock_story_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_clock_story_LDADD = $(agent_test_ldadd)
tests_agent_test_clock_verdict_SOURCES = tests/agent/test-clock-verdict.c tests/agent/noon.c \
    tests/agent/noon.h
tests_agent_test_clock_verdict_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_clock_verdict_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-connect
TESTS += tests/agent/test-connect
tests_agent_test_connect_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_connect_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-commands
TESTS += tests/agent/test-commands
tests_agent_test_commands_CPPFLAGS = $(agent_test_cppflags) $(SYSTEMD_CFLAGS)
tests_agent_test_commands_LDADD = libservice.la $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/agent/test-handler
TESTS += tests/agent/test-handler
tests_agent_test_handler_CPPFLAGS = $(agent_test_cppflags) $(SYSTEMD_CFLAGS)
tests_agent_test_handler_LDADD = libservice.la $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/agent/test-handed
TESTS += tests/agent/test-handed
tests_agent_test_handed_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_handed_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-message
TESTS += tests/agent/test-message
tests_agent_test_message_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_message_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-proxy
TESTS += tests/agent/test-proxy
tests_agent_test_proxy_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_proxy_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-openssl
TESTS += tests/agent/test-openssl
tests_agent_test_openssl_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_openssl_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-config
TESTS += tests/agent/test-config
tests_agent_test_config_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_config_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-exit
TESTS += tests/agent/test-exit
tests_agent_test_exit_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_exit_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-file
TESTS += tests/agent/test-file
tests_agent_test_file_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_file_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-rest
TESTS += tests/agent/test-rest
tests_agent_test_rest_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_rest_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-secret
TESTS += tests/agent/test-secret
TPM_TESTS += tests/agent/test-secret
tests_agent_test_secret_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_secret_LDADD = $(agent_test_ldadd)

spool_rig = tests/agent/spool.c tests/agent/spool.h
spool_test_cppflags = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(CMOCKA_CFLAGS)
spool_test_ldadd = libspool.la $(SQLITE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/agent/test-spool
TESTS += tests/agent/test-spool
tests_agent_test_spool_SOURCES = tests/agent/test-spool.c $(spool_rig)
tests_agent_test_spool_CPPFLAGS = $(spool_test_cppflags)
tests_agent_test_spool_LDADD = $(spool_test_ldadd)

check_PROGRAMS += tests/agent/test-spool-power
TESTS += tests/agent/test-spool-power
disk_rig = tests/agent/disk.c tests/agent/disk.h tests/agent/inode.c tests/agent/inode.h
tests_agent_test_spool_power_SOURCES = tests/agent/test-spool-power.c $(disk_rig) $(spool_rig)
tests_agent_test_spool_power_CPPFLAGS = $(spool_test_cppflags)
tests_agent_test_spool_power_LDADD = $(spool_test_ldadd)

check_PROGRAMS += tests/agent/test-spool-rebuild
TESTS += tests/agent/test-spool-rebuild
tests_agent_test_spool_rebuild_SOURCES = tests/agent/test-spool-rebuild.c tests/agent/record.c \
    tests/agent/record.h tests/agent/inode.c tests/agent/inode.h $(spool_rig)
tests_agent_test_spool_rebuild_CPPFLAGS = $(spool_test_cppflags)
tests_agent_test_spool_rebuild_LDADD = $(spool_test_ldadd)

check_PROGRAMS += tests/agent/test-spool-disk
TESTS += tests/agent/test-spool-disk
tests_agent_test_spool_disk_SOURCES = tests/agent/test-spool-disk.c $(disk_rig) $(spool_rig)
tests_agent_test_spool_disk_CPPFLAGS = $(spool_test_cppflags)
tests_agent_test_spool_disk_LDADD = $(spool_test_ldadd)

check_PROGRAMS += tests/agent/test-spool-bounds
TESTS += tests/agent/test-spool-bounds
tests_agent_test_spool_bounds_SOURCES = tests/agent/test-spool-bounds.c $(spool_rig)
tests_agent_test_spool_bounds_CPPFLAGS = $(spool_test_cppflags)
tests_agent_test_spool_bounds_LDADD = $(spool_test_ldadd)

check_PROGRAMS += tests/agent/test-spool-damage
TESTS += tests/agent/test-spool-damage
tests_agent_test_spool_damage_SOURCES = tests/agent/test-spool-damage.c $(spool_rig)
tests_agent_test_spool_damage_CPPFLAGS = $(spool_test_cppflags)
tests_agent_test_spool_damage_LDADD = $(spool_test_ldadd)

check_PROGRAMS += tests/agent/test-state
TESTS += tests/agent/test-state
tests_agent_test_state_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_state_LDADD = $(agent_test_ldadd)

# What is believed of CAs and lists.
EXTRA_DIST += tests/agent/claims.sh tests/agent/publisher.py tests/agent/trust.sh
trust_scripts = \
    tests/agent/a-new-root-is-trusted-over-a-link \
    tests/agent/revocation-lists-are-refreshed \
    tests/agent/roots-come-and-go
dist_check_SCRIPTS += $(trust_scripts)
TESTS += $(trust_scripts)
check_PROGRAMS += tests/agent/test-refresh
TESTS += tests/agent/test-refresh
tests_agent_test_refresh_SOURCES = tests/agent/test-refresh.c agent/command/refresh-memory.c \
    agent/command/output.c tests/agent/authority.c tests/agent/authority.h
tests_agent_test_refresh_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_refresh_LDADD = $(agent_test_ldadd)
check_PROGRAMS += tests/agent/test-roots
TESTS += tests/agent/test-roots
tests_agent_test_roots_SOURCES = tests/agent/test-roots.c tests/agent/authority.c tests/agent/authority.h
tests_agent_test_roots_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_roots_LDADD = $(agent_test_ldadd)
check_PROGRAMS += tests/agent/test-crl
TESTS += tests/agent/test-crl
tests_agent_test_crl_SOURCES = tests/agent/test-crl.c tests/agent/authority.c tests/agent/authority.h
tests_agent_test_crl_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_crl_LDADD = $(agent_test_ldadd)

# The link to the hub, against stock brokers.
EXTRA_DIST += tests/agent/broker.sh
check_PROGRAMS += tests/agent/prove
tests_agent_prove_CPPFLAGS = $(agent_test_cppflags)
tests_agent_prove_LDADD = $(agent_test_ldadd)
dist_check_SCRIPTS += tests/agent/a-hub-must-prove-itself-and-so-must-we
TESTS += tests/agent/a-hub-must-prove-itself-and-so-must-we

# gatekeyd against a whole hub; it seals the device secret, so it needs a TPM.
EXTRA_DIST += tests/agent/badhub.py tests/agent/prometheus.py tests/agent/sanitizer.py tests/agent/service.py
check_PROGRAMS += tests/agent/fill-spool
tests_agent_fill_spool_CPPFLAGS = $(AM_CPPFLAGS)
tests_agent_fill_spool_LDADD = libspool.la
check_PROGRAMS += tests/agent/hand-over
tests_agent_hand_over_CPPFLAGS = $(agent_test_cppflags)
tests_agent_hand_over_LDADD = $(agent_test_ldadd)
dist_check_SCRIPTS += tests/agent/a-planned-reconnect-loses-nothing.py
dist_check_SCRIPTS += tests/agent/gatekeyd-keeps-a-gateway-connected.py
dist_check_SCRIPTS += tests/agent/gatekeyd-leaves-certificates-in-its-inbox.py
dist_check_SCRIPTS += tests/agent/gatekeyd-notices-a-revocation.py
dist_check_SCRIPTS += tests/agent/gatekeyd-serves-its-socket.py
dist_check_SCRIPTS += tests/agent/what-the-hub-refused-is-kept-for-its-owner.py
dist_check_SCRIPTS += tests/agent/gatekeyd-tells-how-it-fares.py
dist_check_SCRIPTS += tests/agent/status-can-be-watched.py
dist_check_SCRIPTS += tests/agent/gatekeyd-tries-the-next-pair.py
dist_check_SCRIPTS += tests/agent/what-is-handed-over-reaches-the-hub.py
TESTS += tests/agent/gatekeyd-leaves-certificates-in-its-inbox.py
TESTS += tests/agent/gatekeyd-serves-its-socket.py
TESTS += tests/agent/what-the-hub-refused-is-kept-for-its-owner.py
TESTS += tests/agent/status-can-be-watched.py
TPM_TESTS += tests/agent/a-planned-reconnect-loses-nothing.py
TPM_TESTS += tests/agent/gatekeyd-keeps-a-gateway-connected.py
TPM_TESTS += tests/agent/gatekeyd-leaves-certificates-in-its-inbox.py
TPM_TESTS += tests/agent/gatekeyd-notices-a-revocation.py
TPM_TESTS += tests/agent/gatekeyd-serves-its-socket.py
TPM_TESTS += tests/agent/what-the-hub-refused-is-kept-for-its-owner.py
TPM_TESTS += tests/agent/gatekeyd-tells-how-it-fares.py
TPM_TESTS += tests/agent/status-can-be-watched.py
TPM_TESTS += tests/agent/gatekeyd-tries-the-next-pair.py
TPM_TESTS += tests/agent/what-is-handed-over-reaches-the-hub.py

# The plugin's gate, one client of it.
check_PROGRAMS += tests/agent/test-passage
TESTS += tests/agent/test-passage
tests_agent_test_passage_SOURCES = tests/agent/test-passage.c agent/broker/passage.c
tests_agent_test_passage_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_agent_test_passage_LDADD = $(CMOCKA_LIBS)

# The local broker and what its PUBACK means; slow-disk is preloaded.
check_LTLIBRARIES += tests/agent/slow-disk.la
tests_agent_slow_disk_la_SOURCES = tests/agent/slow-disk.c
tests_agent_slow_disk_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
dist_check_SCRIPTS += tests/agent/the-relay-acknowledges-after-the-disk.py
TESTS += tests/agent/the-relay-acknowledges-after-the-disk.py
TPM_TESTS += tests/agent/the-relay-acknowledges-after-the-disk.py
dist_check_SCRIPTS += tests/agent/an-example-application-loses-nothing.py
dist_check_SCRIPTS += tests/agent/a-sync-is-shared-and-nothing-acknowledged-before-it.py
TESTS += tests/agent/a-sync-is-shared-and-nothing-acknowledged-before-it.py
TPM_TESTS += tests/agent/a-sync-is-shared-and-nothing-acknowledged-before-it.py
dist_check_SCRIPTS += tests/agent/applications-speak-to-the-local-broker.py
dist_check_SCRIPTS += tests/agent/an-application-is-answered-and-the-hub-not-flooded.py
TESTS += tests/agent/an-example-application-loses-nothing.py
TESTS += tests/agent/applications-speak-to-the-local-broker.py
TESTS += tests/agent/an-application-is-answered-and-the-hub-not-flooded.py
TPM_TESTS += tests/agent/an-example-application-loses-nothing.py
TPM_TESTS += tests/agent/applications-speak-to-the-local-broker.py
TPM_TESTS += tests/agent/an-application-is-answered-and-the-hub-not-flooded.py

# What was accepted arrives; make soak looks at an hour of it.
EXTRA_DIST += tests/agent/brokerend.py tests/agent/ledger.py tests/agent/localbroker.py
EXTRA_DIST += tests/agent/outages.py tests/agent/slowdisk.py
dist_check_SCRIPTS += tests/agent/soak.py tests/agent/telemetry-survives-being-killed.py
TPM_TESTS += tests/agent/telemetry-survives-being-killed.py
.PHONY: soak
soak: all tests/agent/hand-over$(EXEEXT)
	@abs_top_srcdir='$(abs_top_srcdir)' abs_top_builddir='$(abs_top_builddir)' MOSQUITTO_BROKER='$(MOSQUITTO_BROKER)' \
	    $(abs_top_srcdir)/tests/with-swtpm $(abs_top_srcdir)/tests/agent/soak.py $${SOAK_SECONDS:-3600} $(abs_top_builddir)/soak
# The way to the hub. One gatekeyd has no budget of connects, or a hundred of them would take an hour.
EXTRA_DIST += tests/agent/wire.py
check_PROGRAMS += tests/agent/hasty-gatekeyd
tests_agent_hasty_gatekeyd_SOURCES = agent/service/main.c tests/agent/hasty-budget.c
tests_agent_hasty_gatekeyd_CPPFLAGS = $(agent_test_cppflags) $(SYSTEMD_CFLAGS)
tests_agent_hasty_gatekeyd_LDADD = libservice.la $(JANSSON_LIBS) $(SYSTEMD_LIBS)
dist_check_SCRIPTS += tests/agent/a-cut-link-costs-no-signature.py
TPM_TESTS += tests/agent/a-cut-link-costs-no-signature.py
dist_check_SCRIPTS += tests/agent/the-way-to-the-hub-may-be-crooked.py
TPM_TESTS += tests/agent/the-way-to-the-hub-may-be-crooked.py

# Who holds a lock, and who is at the other end; suspend and patient-loop are preloaded.
check_LTLIBRARIES += tests/agent/suspend.la tests/agent/names.la
tests_agent_suspend_la_SOURCES = tests/agent/suspend.c
tests_agent_names_la_SOURCES = tests/agent/names.c
tests_agent_names_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_agent_suspend_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
dist_check_SCRIPTS += tests/agent/a-name-may-have-any-addresses.py
TESTS += tests/agent/a-name-may-have-any-addresses.py
TPM_TESTS += tests/agent/a-name-may-have-any-addresses.py
dist_check_SCRIPTS += tests/agent/a-half-open-link-is-noticed.py
TESTS += tests/agent/a-half-open-link-is-noticed.py
TPM_TESTS += tests/agent/a-half-open-link-is-noticed.py
check_LTLIBRARIES += tests/agent/patient-loop.la
tests_agent_patient_loop_la_SOURCES = tests/agent/patient-loop.c
tests_agent_patient_loop_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
dist_check_SCRIPTS += tests/agent/a-held-lock-holds-nobody-up.py
TESTS += tests/agent/a-held-lock-holds-nobody-up.py
TPM_TESTS += tests/agent/a-held-lock-holds-nobody-up.py

dist_check_SCRIPTS += tests/agent/a-hostile-hub-is-borne.py tests/agent/a-saved-session-has-its-limits.py
TESTS += tests/agent/a-hostile-hub-is-borne.py tests/agent/a-saved-session-has-its-limits.py
TPM_TESTS += tests/agent/a-hostile-hub-is-borne.py tests/agent/a-saved-session-has-its-limits.py

dist_check_SCRIPTS += tests/agent/systemd-understands-the-unit
TESTS += tests/agent/systemd-understands-the-unit

check_PROGRAMS += tests/agent/test-sentence
TESTS += tests/agent/test-sentence
tests_agent_test_sentence_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_sentence_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-certificate
tests_agent_test_certificate_SOURCES = tests/agent/test-certificate.c \
    agent/command/certificate.c agent/command/request.c \
    agent/command/verification.c
tests_agent_test_certificate_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_certificate_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-promotion
TESTS += tests/agent/test-promotion
tests_agent_test_promotion_SOURCES = tests/agent/test-promotion.c \
    agent/command/certificate.c agent/command/devicekey.c agent/command/next.c \
    agent/command/output.c agent/command/promotion.c agent/command/request.c \
    agent/command/unrevoked.c agent/command/verification.c
tests_agent_test_promotion_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_promotion_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-renew-reload
TESTS += tests/agent/test-renew-reload
tests_agent_test_renew_reload_SOURCES = tests/agent/test-renew-reload.c \
    agent/command/output.c agent/command/renew-reload.c
tests_agent_test_renew_reload_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_renew_reload_LDADD = $(agent_test_ldadd)

check_PROGRAMS += tests/agent/test-renew-schedule
TESTS += tests/agent/test-renew-schedule
tests_agent_test_renew_schedule_SOURCES = tests/agent/test-renew-schedule.c \
    agent/command/renew-schedule.c
tests_agent_test_renew_schedule_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_renew_schedule_LDADD = $(CMOCKA_LIBS)

check_PROGRAMS += tests/agent/test-output
TESTS += tests/agent/test-output
tests_agent_test_output_SOURCES = tests/agent/test-output.c agent/command/output.c
tests_agent_test_output_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_output_LDADD = $(agent_test_ldadd)

# Whole-product tests: gatekey on a TPM of its own, against the hub.
agent_scripts = \
    %D%/doctor-finds-what-is-wrong \
    %D%/a-certificate-is-renewed \
    %D%/a-gateway-gets-an-identity \
    %D%/a-secret-opens-only-under-its-software \
    %D%/a-renewal-needs-no-credentials \
    %D%/a-wrong-clock-destroys-nothing \
    %D%/enroll-again-asks-the-hub-again \
    %D%/gatekey-says-what-is-wrong-with-the-tpm \
    %D%/other-providers-hold-the-key \
    %D%/two-gatekeys-do-not-meet
# Trust, against a whole hub.
agent_scripts += \
    %D%/a-hub-changes-its-root \
    %D%/what-the-hub-publishes-counts
# Enrolment in its forms.
agent_scripts += \
    %D%/a-gateway-enrols-without-credentials \
    %D%/a-key-serves-one-identity \
    %D%/application-credentials-are-not-copied
# Those of tests/first.mk.
long_agent_scripts = \
    %D%/a-key-is-rotated \
    %D%/a-refused-renewal-changes-nothing \
    %D%/an-identitys-life-survives-being-killed \
    %D%/a-year-without-credentials \
    %D%/an-expired-certificate-is-replaced-by-policy \
    %D%/enroll-survives-a-full-disk \
    %D%/enroll-survives-being-killed \
    %D%/gatekey-and-gatekeyd-work-together \
    %D%/each-code-of-the-hub-has-its-sentence \
    %D%/gatekey-says-what-is-wrong-with-the-hub \
    %D%/renew-survives-a-full-disk \
    %D%/renew-survives-being-killed \
    %D%/reset-is-finished-by-whoever-comes-next \
    %D%/reset-leaves-nothing \
    %D%/ten-renewals-lose-nothing \
    %D%/reset-survives-being-killed \
    %D%/a-carried-certificate-survives-being-killed \
    %D%/a-revoked-gateway-gets-a-new-key \
    %D%/a-takeover-survives-being-killed \
    %D%/new-hardware-takes-over-a-device \
    %D%/what-waits-in-the-inbox-is-judged
EXTRA_DIST += %D%/reset.sh %D%/setup.sh
dist_check_SCRIPTS += %D%/gatekey-explains-itself
TESTS += %D%/gatekey-explains-itself
dist_check_SCRIPTS += %D%/what-gatekeyd-says-steers-no-terminal
TESTS += %D%/what-gatekeyd-says-steers-no-terminal
dist_check_SCRIPTS += $(agent_scripts) $(long_agent_scripts)
TESTS += $(agent_scripts)
TPM_TESTS += $(agent_scripts) $(long_agent_scripts)

check_PROGRAMS += tests/agent/activate
tests_agent_activate_CPPFLAGS = $(agent_test_cppflags)
tests_agent_activate_LDADD = $(agent_test_ldadd)
dist_check_SCRIPTS += tests/agent/a-device-is-activated-once.py
TESTS += tests/agent/a-device-is-activated-once.py

dist_check_SCRIPTS += tests/agent/commands-are-taken-once-and-answered-in-kind
TESTS += tests/agent/commands-are-taken-once-and-answered-in-kind
TPM_TESTS += tests/agent/commands-are-taken-once-and-answered-in-kind

# gatekeyd under clocks of its own.
check_DATA += tests/agent/kernel-clock.so
CLEANFILES += tests/agent/kernel-clock.so
EXTRA_DIST += tests/agent/kernel-clock.c
tests/agent/kernel-clock.so: tests/agent/kernel-clock.c
	$(AM_V_CCLD)$(MKDIR_P) tests/agent && $(CC) -D_GNU_SOURCE -O2 -Wall -fPIC -shared -o $@ \
	    $(srcdir)/tests/agent/kernel-clock.c
dist_check_SCRIPTS += tests/agent/no-change-of-the-clock-is-mistaken-for-another.py
TPM_TESTS += tests/agent/no-change-of-the-clock-is-mistaken-for-another.py

# Bad lines and bad networks; GATEKEY_ROUNDS=N goes on with faults drawn by lot.
EXTRA_DIST += tests/agent/faultproxy.py tests/agent/talk.py
link_scripts = \
    tests/agent/a-bad-link-is-survived.py \
    tests/agent/a-bad-network-is-survived.py \
    tests/agent/a-storm-of-gateways-is-spread.py
dist_check_SCRIPTS += $(link_scripts)
TPM_TESTS += $(link_scripts)

dist_check_SCRIPTS += tests/agent/commands-end-at-the-broker-with-their-time.py
TESTS += tests/agent/commands-end-at-the-broker-with-their-time.py
TPM_TESTS += tests/agent/commands-end-at-the-broker-with-their-time.py
dist_check_SCRIPTS += tests/agent/the-hubs-commands-reach-applications.py
TPM_TESTS += tests/agent/the-hubs-commands-reach-applications.py
# What one machine can show at most: the whole matrix of faults and three rounds by lot, a storm of 200.
.PHONY: check-link check-storm
check-link:
	GATEKEY_ROUNDS=3 GATEKEY_TEST_TIMEOUT=3600 $(MAKE) $(AM_MAKEFLAGS) check \
	    TESTS='tests/agent/a-bad-link-is-survived.py tests/agent/a-bad-network-is-survived.py'
check-storm:
	GATEKEY_ROUNDS=200 GATEKEY_TEST_TIMEOUT=3600 $(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/agent/a-storm-of-gateways-is-spread.py

# 100,000 gateways, by the backoff's own code; draws docs/backoff.svg anew.
check_PROGRAMS += tests/agent/backoff-simulation
tests_agent_backoff_simulation_CPPFLAGS = $(agent_test_cppflags)
tests_agent_backoff_simulation_LDADD = $(agent_test_ldadd)
EXTRA_DIST += tests/agent/backoff-plot.py docs/backoff.md docs/backoff.svg
dist_check_SCRIPTS += tests/agent/a-lost-hub-is-not-rushed
TESTS += tests/agent/a-lost-hub-is-not-rushed
.PHONY: backoff
backoff: tests/agent/backoff-simulation$(EXEEXT)
	folder=`mktemp -d /dev/shm/gatekey.XXXXXX` && \
	    python3 $(srcdir)/tests/agent/backoff-plot.py tests/agent/backoff-simulation$(EXEEXT) 100000 $$folder >backoff.svg && \
	    mv backoff.svg $(srcdir)/docs/backoff.svg; rm -rf "$$folder"

check_PROGRAMS += tests/agent/test-uplink-verdict
TESTS += tests/agent/test-uplink-verdict
tests_agent_test_uplink_verdict_SOURCES = tests/agent/test-uplink-verdict.c \
    agent/service/uplink-verdict.c
tests_agent_test_uplink_verdict_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_uplink_verdict_LDADD = $(CMOCKA_LIBS)

# The way from a program to the hub in one process, on a clock that the test moves.
check_LTLIBRARIES += libpaperhub.la
libpaperhub_la_SOURCES = tests/agent/loop.c tests/agent/loop.h \
    tests/agent/paperhub.c tests/agent/paperhub.h
libpaperhub_la_CPPFLAGS = $(paper_cppflags)
paper_cppflags = $(libservice_la_CPPFLAGS) $(CMOCKA_CFLAGS)
paper_ldflags = $(AM_LDFLAGS) -Wl,--wrap=session_require,--wrap=session_accepts \
    -Wl,--wrap=session_publish,--wrap=session_publish_mid \
    -Wl,--wrap=session_subscribe,--wrap=session_unsubscribe,--wrap=session_reconnect \
    -Wl,--wrap=clock_watch_permit,--wrap=relay_is_up,--wrap=relay_publish \
    -Wl,--wrap=log_line,--wrap=log_failure
paper_ldadd = libpaperhub.la libservice.la $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(CMOCKA_LIBS)
paper_tests = tests/agent/test-answers \
    tests/agent/test-intake \
    tests/agent/test-metrics \
    tests/agent/test-publisher \
    tests/agent/test-relay-queue \
    tests/agent/test-relay-take \
    tests/agent/test-storage \
    tests/agent/test-storage-damage \
    tests/agent/test-uplink \
    tests/agent/test-uplink-again \
    tests/agent/test-uplink-chance \
    tests/agent/test-uplink-wait
check_PROGRAMS += $(paper_tests)
TESTS += $(paper_tests)
tests_agent_test_answers_CPPFLAGS = $(paper_cppflags)
tests_agent_test_answers_LDFLAGS = $(paper_ldflags)
tests_agent_test_answers_LDADD = $(paper_ldadd)
tests_agent_test_intake_CPPFLAGS = $(paper_cppflags)
tests_agent_test_intake_LDFLAGS = $(paper_ldflags)
tests_agent_test_intake_LDADD = $(paper_ldadd)
tests_agent_test_metrics_CPPFLAGS = $(paper_cppflags)
tests_agent_test_metrics_LDFLAGS = $(paper_ldflags) -Wl,--wrap=figures_gather
tests_agent_test_metrics_LDADD = $(paper_ldadd)
tests_agent_test_publisher_CPPFLAGS = $(paper_cppflags)
tests_agent_test_publisher_LDFLAGS = $(paper_ldflags)
tests_agent_test_publisher_LDADD = $(paper_ldadd)
tests_agent_test_relay_queue_CPPFLAGS = $(paper_cppflags)
tests_agent_test_relay_queue_LDADD = $(paper_ldadd)
tests_agent_test_relay_take_SOURCES = tests/agent/test-relay-take.c $(disk_rig)
tests_agent_test_relay_take_CPPFLAGS = $(paper_cppflags) $(SQLITE_CFLAGS)
tests_agent_test_relay_take_LDFLAGS = $(paper_ldflags) -Wl,--wrap=commander_answer
tests_agent_test_relay_take_LDADD = $(paper_ldadd) $(SQLITE_LIBS)
tests_agent_test_storage_SOURCES = tests/agent/test-storage.c $(disk_rig)
tests_agent_test_storage_CPPFLAGS = $(paper_cppflags) $(SQLITE_CFLAGS)
tests_agent_test_storage_LDFLAGS = $(paper_ldflags)
tests_agent_test_storage_LDADD = $(paper_ldadd) $(SQLITE_LIBS)
tests_agent_test_storage_damage_CPPFLAGS = $(paper_cppflags)
tests_agent_test_storage_damage_LDFLAGS = $(paper_ldflags)
tests_agent_test_storage_damage_LDADD = $(paper_ldadd)
tests_agent_test_uplink_CPPFLAGS = $(paper_cppflags)
tests_agent_test_uplink_LDFLAGS = $(paper_ldflags)
tests_agent_test_uplink_LDADD = $(paper_ldadd)
tests_agent_test_uplink_again_CPPFLAGS = $(paper_cppflags)
tests_agent_test_uplink_again_LDFLAGS = $(paper_ldflags)
tests_agent_test_uplink_again_LDADD = $(paper_ldadd)
tests_agent_test_uplink_chance_SOURCES = tests/agent/test-uplink-chance.c $(disk_rig)
tests_agent_test_uplink_chance_CPPFLAGS = $(paper_cppflags) $(SQLITE_CFLAGS)
tests_agent_test_uplink_chance_LDFLAGS = $(paper_ldflags)
tests_agent_test_uplink_chance_LDADD = $(paper_ldadd) $(SQLITE_LIBS)
tests_agent_test_uplink_wait_CPPFLAGS = $(paper_cppflags)
tests_agent_test_uplink_wait_LDFLAGS = $(paper_ldflags)
tests_agent_test_uplink_wait_LDADD = $(paper_ldadd)
