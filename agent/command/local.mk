# SPDX-License-Identifier: Apache-2.0
# gatekey: enrolment, status, reset. The only program that speaks HTTP.

bin_PROGRAMS += gatekey
gatekey_SOURCES = \
    %D%/activation.c \
    %D%/adopt.c \
    %D%/application.c \
    %D%/ca.c \
    %D%/certificate.c %D%/certificate.h %D%/certificate-internal.h \
    %D%/clock.c \
    %D%/command.h \
    %D%/csr.c \
    %D%/devicekey.c %D%/devicekey.h \
    %D%/doctor.c %D%/doctor.h %D%/doctor-identity.c %D%/doctor-system.c %D%/doctor-trust.c \
    %D%/enroll.c %D%/enroll.h \
    %D%/figures.c %D%/figures.h \
    %D%/http.c %D%/http.h \
    %D%/hub.c %D%/hub.h \
    %D%/inbox.c %D%/inbox.h \
    %D%/install.c \
    %D%/installation.c \
    %D%/key.c \
    %D%/main.c \
    %D%/mosquitto.c \
    %D%/next.c %D%/next.h \
    %D%/output.c \
    %D%/promotion.c %D%/promotion.h \
    %D%/proof.c \
    %D%/provision.c \
    %D%/publish.c %D%/publish.h %D%/publish-lines.c \
    %D%/renew.c %D%/renew.h \
    %D%/renew-ask.c \
    %D%/renew-reload.c \
    %D%/renew-schedule.c %D%/renew-schedule.h \
    %D%/renew-try.c \
    %D%/refresh.c %D%/refresh.h %D%/refresh-address.c %D%/refresh-list.c %D%/refresh-memory.c \
    %D%/refresh-roots.c \
    %D%/rekey.c \
    %D%/replacement.c \
    %D%/request.c \
    %D%/reset.c %D%/reset.h \
    %D%/reset-erase.c \
    %D%/reset-event.c \
    %D%/reset-key.c \
    %D%/reset-revoke.c \
    %D%/service.c %D%/service.h \
    %D%/sibling.c %D%/sibling.h \
    %D%/spool.c \
    %D%/status-clock.c \
    %D%/status.c %D%/status.h %D%/status-renewal.c %D%/status-trust.c \
    %D%/status-watch.c \
    %D%/terminal.c %D%/terminal.h \
    %D%/trust.c %D%/trust.h \
    %D%/unrevoked.c %D%/unrevoked.h \
    %D%/verification.c \
    %D%/words.c
gatekey_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS) $(SSL_CFLAGS) \
    -DGK_SYSTEMCTL='"$(SYSTEMCTL)"'
gatekey_LDADD = libagent.la $(CURL_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS)
