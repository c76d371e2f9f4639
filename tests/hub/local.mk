# SPDX-License-Identifier: Apache-2.0
# The local hub: a stock mosquitto with our plugin, its launcher, and the tool that looks into it.

HUB_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
HUB_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) $(SQLITE_CFLAGS) $(MHD_CFLAGS)

# What launcher, plugin and tests share.
noinst_LTLIBRARIES += %D%/libhub.la
%C%_libhub_la_SOURCES = \
    %D%/admission.c %D%/admission.h \
    %D%/application.c %D%/application.h \
    %D%/ca-client.c %D%/ca-client.h \
    %D%/ca-process.c %D%/ca-process.h \
    %D%/connect.c %D%/connect.h \
    %D%/fault.c %D%/fault.h \
    %D%/file.c %D%/file.h \
    %D%/free-port.c %D%/free-port.h \
    %D%/hub.h \
    %D%/keeping.c %D%/keeping.h \
    %D%/listen.c %D%/listen.h \
    %D%/port.c %D%/port.h \
    %D%/queue.c %D%/queue.h \
    %D%/request.c %D%/request.h \
    %D%/setting.c %D%/setting.h \
    %D%/signature.c %D%/signature.h \
    %D%/store.c %D%/store.h \
    %D%/terms.c %D%/terms.h \
    %D%/text.c %D%/text.h \
    %D%/topic.c %D%/topic.h
%C%_libhub_la_CPPFLAGS = $(HUB_CPPFLAGS) -DHUB_CA_PROGRAM='"$(abs_top_builddir)/%D%/ca"'
%C%_libhub_la_CFLAGS = $(HUB_CFLAGS) $(CURL_CFLAGS)
%C%_libhub_la_LIBADD = liberror.la $(CRYPTO_LIBS) $(JANSSON_LIBS) $(SQLITE_LIBS) $(CURL_LIBS)

# What signs: the CA's process and its tests alone have it.
noinst_LTLIBRARIES += %D%/libca.la
%C%_libca_la_SOURCES = \
    %D%/authority.c %D%/authority.h %D%/authority-internal.h \
    %D%/ca-register.c %D%/ca-register.h \
    %D%/root.c
%C%_libca_la_CPPFLAGS = $(HUB_CPPFLAGS)
%C%_libca_la_CFLAGS = $(HUB_CFLAGS)
%C%_libca_la_LIBADD = %D%/libhub.la

noinst_PROGRAMS += %D%/ca
%C%_ca_SOURCES = \
    %D%/ca.c \
    %D%/ca-door.c %D%/ca-door.h \
    %D%/ca-service.c %D%/ca-service.h
%C%_ca_CPPFLAGS = $(HUB_CPPFLAGS)
%C%_ca_CFLAGS = $(HUB_CFLAGS)
%C%_ca_LDADD = %D%/libca.la $(MHD_LIBS)

# Never installed; -rpath makes libtool build a module all the same.
noinst_LTLIBRARIES += %D%/gatekey-hub.la
%C%_gatekey_hub_la_SOURCES = \
    %D%/api.c %D%/api.h \
    %D%/attribute.c \
    %D%/broker.c %D%/broker.h \
    %D%/certificate.c \
    %D%/command.c %D%/command.h \
    %D%/control.c \
    %D%/device.c \
    %D%/event.c \
    %D%/invocation.c \
    %D%/journal.c %D%/journal.h \
    %D%/plugin.c \
    %D%/post.c %D%/post.h %D%/post-internal.h \
    %D%/revocation.c %D%/revocation.h \
    %D%/publication.c \
    %D%/route.c %D%/route.h \
    %D%/session.c %D%/session.h \
    %D%/spoil.c %D%/spoil.h \
    %D%/steward.c %D%/steward.h \
    %D%/telemetry.c \
    %D%/token.c
%C%_gatekey_hub_la_CPPFLAGS = $(HUB_CPPFLAGS)
%C%_gatekey_hub_la_CFLAGS = $(HUB_CFLAGS)
%C%_gatekey_hub_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
%C%_gatekey_hub_la_LIBADD = %D%/libhub.la $(MHD_LIBS)

noinst_PROGRAMS += %D%/hub
%C%_hub_SOURCES = %D%/hub.c
%C%_hub_CPPFLAGS = $(HUB_CPPFLAGS) \
    -DHUB_PLUGIN='"$(abs_top_builddir)/%D%/.libs/gatekey-hub.so"' \
    -DMOSQUITTO_BROKER_PATH='"$(MOSQUITTO_BROKER)"'
%C%_hub_CFLAGS = $(HUB_CFLAGS)
%C%_hub_LDADD = %D%/libhub.la

noinst_PROGRAMS += %D%/pick-port
%C%_pick_port_SOURCES = %D%/pick-port.c %D%/free-port.c %D%/free-port.h

noinst_PROGRAMS += %D%/hubctl
%C%_hubctl_SOURCES = \
    %D%/client.c %D%/client.h \
    %D%/hubctl.c %D%/hubctl.h \
    %D%/hubctl-ca.c \
    %D%/hubctl-command.c \
    %D%/hubctl-catalogue.c \
    %D%/hubctl-device.c \
    %D%/hubctl-operator.c \
    %D%/table.c %D%/table.h
%C%_hubctl_CPPFLAGS = $(HUB_CPPFLAGS)
%C%_hubctl_CFLAGS = $(HUB_CFLAGS) $(CURL_CFLAGS)
%C%_hubctl_LDADD = %D%/libhub.la $(CURL_LIBS)

hub_tests = \
    %D%/test-authority \
    %D%/test-connect \
    %D%/test-signature
check_PROGRAMS += $(hub_tests)
TESTS += $(hub_tests)

%C%_test_authority_SOURCES = %D%/test-authority.c
%C%_test_authority_CPPFLAGS = $(HUB_CPPFLAGS)
%C%_test_authority_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_authority_LDADD = %D%/libca.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)

%C%_test_connect_SOURCES = %D%/test-connect.c
%C%_test_connect_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_connect_LDADD = %D%/libhub.la $(CMOCKA_LIBS)

%C%_test_signature_SOURCES = %D%/test-signature.c
%C%_test_signature_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_signature_LDADD = %D%/libhub.la $(CMOCKA_LIBS)

# Whole hubs, with software keys, driven from python.
hub_scripts = \
    %D%/ports-are-given-to-one-test-alone.py \
    %D%/the-ca-serves-the-hub-alone.py \
    %D%/the-hub-admits-whom-enos-would.py \
    %D%/the-hub-answers-devices-as-enos-does.py \
    %D%/the-hub-answers-provisioners-as-enos-does.py \
    %D%/the-hub-changes-its-root.py \
    %D%/the-hub-has-bad-days-to-order.py \
    %D%/the-hub-publishes-its-revocation-list.py \
    %D%/the-hub-renews-its-own-certificate.py \
    %D%/the-hub-knows-its-applications-and-products.py \
    %D%/the-operator-answers-gateways-without-credentials.py
TESTS += $(hub_scripts)
dist_check_SCRIPTS += $(hub_scripts)
EXTRA_DIST += %D%/gateway.py %D%/packets.py
