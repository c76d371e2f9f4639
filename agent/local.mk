# SPDX-License-Identifier: Apache-2.0
# What gatekey and gatekeyd share.

noinst_LTLIBRARIES += libagent.la
libagent_la_SOURCES = \
    %D%/clock.c %D%/clock.h %D%/clock-file.c %D%/clock-file.h \
    %D%/clock-record.c \
    %D%/clock-verdict.c %D%/clock-verdict.h \
    %D%/config.c %D%/config.h \
    %D%/config-value.c %D%/config-value.h \
    %D%/crl.c %D%/crl.h \
    %D%/enos/rest-reply.c %D%/enos/rest.c %D%/enos/rest.h \
    %D%/exit.c %D%/exit.h \
    %D%/file.c %D%/file.h \
    %D%/lock.c %D%/lock.h \
    %D%/openssl.c %D%/openssl.h \
    %D%/roots.c %D%/roots.h \
    %D%/secret.c %D%/secret.h \
    %D%/sentence.c %D%/sentence.h \
    %D%/state.c %D%/state.h
# The way to the hub and to the service.
libagent_la_SOURCES += \
    %D%/alert.c %D%/alert.h \
    %D%/budget.c %D%/budget.h \
    %D%/conversation.c \
    %D%/enos/connect.c %D%/enos/connect.h \
    %D%/enos/envelope.c %D%/enos/envelope.h \
    %D%/enos/handed.c %D%/enos/handed.h \
    %D%/enos/message.c %D%/enos/message.h \
    %D%/link.c %D%/link.h %D%/link-callbacks.c %D%/link-internal.h \
    %D%/link-pulse.c %D%/link-talk.c %D%/link-verdict.c %D%/link-way.c \
    %D%/local.c %D%/local.h \
    %D%/pair.c %D%/pair.h \
    %D%/proxy.c %D%/proxy.h \
    %D%/resolve.c %D%/resolve.h \
    %D%/socket.h \
    %D%/tls.c %D%/tls-handshake.c %D%/tls.h %D%/tls-internal.h \
    %D%/tls-session.c %D%/tls-session.h \
    %D%/tunnel.c %D%/tunnel.h
libagent_la_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(INIH_CFLAGS) $(JANSSON_CFLAGS) \
    $(MOSQUITTO_CFLAGS) $(SSL_CFLAGS) \
    -DGK_PROVIDERDIR='"$(providerdir)"' -DGK_SYSCONFDIR='"$(sysconfdir)"'
libagent_la_LIBADD = libevpcrypto.la libadmin.la libidentity.la liberror.la $(CRYPTO_LIBS) \
    $(INIH_LIBS) $(JANSSON_LIBS) $(MOSQUITTO_LIBS) $(SSL_LIBS)

include %D%/spool/local.mk
include %D%/service/local.mk
include %D%/broker/local.mk
