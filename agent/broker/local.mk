# SPDX-License-Identifier: Apache-2.0
# The local broker's plugin. It shares a process with mosquitto alone, so it stands on libc and jansson only.

brokerplugindir = $(libdir)/gatekey
brokerplugin_LTLIBRARIES = gatekey-broker.la
gatekey_broker_la_SOURCES = \
    %D%/door.c %D%/door.h \
    %D%/gate.c %D%/gate.h \
    %D%/letter.c %D%/letter.h \
    %D%/listener.c %D%/listener.h \
    %D%/passage.c %D%/passage.h \
    %D%/plugin.c
gatekey_broker_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(MOSQUITTO_CFLAGS)
# What it calls of mosquitto is in the program that loads it, so symbols may be missing here.
gatekey_broker_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
    -export-symbols-regex '^mosquitto_plugin_'
gatekey_broker_la_LIBADD = $(JANSSON_LIBS)

# Nobody links with it.
install-data-hook: trim-broker
uninstall-hook: remove-broker
trim-broker:
	rm -f '$(DESTDIR)$(brokerplugindir)/gatekey-broker.la'
remove-broker:
	rm -f '$(DESTDIR)$(brokerplugindir)/gatekey-broker.so'
.PHONY: trim-broker remove-broker
