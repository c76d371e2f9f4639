# SPDX-License-Identifier: Apache-2.0
# gatekeyd. Everything but main() is a library, which the tests link as well.

noinst_LTLIBRARIES += libservice.la
libservice_la_SOURCES = \
    %D%/certificate.c \
    %D%/answers.c %D%/answers.h \
    %D%/clock.c \
    %D%/command.c %D%/command.h \
    %D%/commander.c %D%/commander-internal.h %D%/commander-take.c \
    %D%/commands.c %D%/commands.h \
    %D%/connection.c %D%/connection.h \
    %D%/expiry.c \
    %D%/figures.c \
    %D%/handler.c %D%/handler.h \
    %D%/identity.c \
    %D%/inbox.c \
    %D%/intake.c \
    %D%/lists.c \
    %D%/log.c %D%/log.h \
    %D%/metrics.c %D%/metrics-internal.h \
    %D%/network.c %D%/network.h \
    %D%/notices.c \
    %D%/patience.c %D%/patience.h \
    %D%/prometheus.c \
    %D%/program.c %D%/program.h \
    %D%/publisher.c \
    %D%/relay.c %D%/relay-internal.h %D%/relay-link.c %D%/relay-queue.c %D%/relay-take.c \
    %D%/replies.c %D%/replies.h \
    %D%/request.c %D%/request-relay.c %D%/request-spool.c \
    %D%/revocation.c \
    %D%/seen.c %D%/seen.h \
    %D%/server.c \
    %D%/service.h \
    %D%/session.c %D%/session-asked.c %D%/session-internal.h \
    %D%/traffic.c %D%/traffic.h \
    %D%/session-link.c %D%/session-phase.c %D%/session-resume.c \
    %D%/session-secret.c %D%/session-use.c %D%/session-wait.c \
    %D%/uplink.c %D%/uplink-flight.c %D%/uplink-internal.h %D%/uplink-outcome.c \
    %D%/uplink-verdict.c %D%/uplink-verdict.h %D%/uplink-wait.c \
    %D%/storage.c \
    %D%/watch.c
libservice_la_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) $(MOSQUITTO_CFLAGS) \
    $(SYSTEMD_CFLAGS)
libservice_la_LIBADD = libspool.la libagent.la $(JANSSON_LIBS) $(MOSQUITTO_LIBS) $(SYSTEMD_LIBS)

sbin_PROGRAMS += gatekeyd
gatekeyd_SOURCES = %D%/main.c
gatekeyd_CPPFLAGS = $(libservice_la_CPPFLAGS)
gatekeyd_LDADD = libservice.la
