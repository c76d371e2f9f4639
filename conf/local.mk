# SPDX-License-Identifier: Apache-2.0
# What gets installed beside the binaries.

opensslconfdir = $(sysconfdir)/gatekey
dist_opensslconf_DATA = %D%/openssl-gatekey.cnf

# A configuration that is there already is somebody's work: it is neither overwritten nor removed.
EXTRA_DIST += %D%/gatekey.conf
install-data-local: install-config
uninstall-local: uninstall-config
install-config:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/gatekey'
	test -e '$(DESTDIR)$(sysconfdir)/gatekey/gatekey.conf' || \
	    $(INSTALL_DATA) '$(srcdir)/%D%/gatekey.conf' '$(DESTDIR)$(sysconfdir)/gatekey/gatekey.conf'
uninstall-config:
	! cmp -s '$(srcdir)/%D%/gatekey.conf' '$(DESTDIR)$(sysconfdir)/gatekey/gatekey.conf' || \
	    rm -f '$(DESTDIR)$(sysconfdir)/gatekey/gatekey.conf'
.PHONY: install-config uninstall-config

# The local broker's: made, since it names the plugin's folder, and somebody's work in the same way.
EXTRA_DIST += %D%/gatekey-broker.conf.in
noinst_DATA += %D%/gatekey-broker.conf
CLEANFILES += %D%/gatekey-broker.conf
%D%/gatekey-broker.conf: %D%/gatekey-broker.conf.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	    sed -e 's|[@]brokerplugindir@|$(brokerplugindir)|g' '$(srcdir)/%D%/gatekey-broker.conf.in' >$@.tmp && mv $@.tmp $@
install-data-local: install-broker-config
uninstall-local: uninstall-broker-config
install-broker-config: %D%/gatekey-broker.conf
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/gatekey'
	test -e '$(DESTDIR)$(sysconfdir)/gatekey/gatekey-broker.conf' || \
	    $(INSTALL_DATA) '%D%/gatekey-broker.conf' '$(DESTDIR)$(sysconfdir)/gatekey/gatekey-broker.conf'
uninstall-broker-config:
	! cmp -s '%D%/gatekey-broker.conf' '$(DESTDIR)$(sysconfdir)/gatekey/gatekey-broker.conf' || \
	    rm -f '$(DESTDIR)$(sysconfdir)/gatekey/gatekey-broker.conf'
.PHONY: install-broker-config uninstall-broker-config

# Who is started by what: the timers and the path by the administrator, who enables them, the services by those.
dist_systemdsystemunit_DATA = \
    %D%/gatekey-install.path \
    %D%/gatekey-refresh.timer \
    %D%/gatekey-renew.timer
nodist_systemdsystemunit_DATA = \
    %D%/gatekey-broker.service \
    %D%/gatekey-install.service \
    %D%/gatekey-refresh.service \
    %D%/gatekey-renew.service \
    %D%/gatekeyd.service

# The brackets keep configure from putting its own text in the pattern's place.
unit_templates = $(nodist_systemdsystemunit_DATA:=.in) %D%/gatekey-p11-kit@.service.in
EXTRA_DIST += $(unit_templates)
CLEANFILES += $(nodist_systemdsystemunit_DATA) %D%/gatekey-p11-kit@.service
$(nodist_systemdsystemunit_DATA) %D%/gatekey-p11-kit@.service: Makefile
$(nodist_systemdsystemunit_DATA) %D%/gatekey-p11-kit@.service: %: %.in
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	    sed -e 's|[@]sbindir[@]|$(sbindir)|g' -e 's|[@]bindir[@]|$(bindir)|g' \
	        -e 's|[@]mosquitto[@]|$(MOSQUITTO_BROKER)|g' -e 's|[@]sysconfdir[@]|$(sysconfdir)|g' \
        -e 's|[@]p11moduledir[@]|$(p11moduledir)|g' '$<' >$@.tmp && mv $@.tmp $@

# sysusers.d(5) wants .conf; the sources want to say what it is.
EXTRA_DIST += %D%/gatekey.sysusers
install-data-local: install-sysusers
uninstall-local: uninstall-sysusers
install-sysusers:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	$(INSTALL_DATA) '$(srcdir)/%D%/gatekey.sysusers' '$(DESTDIR)$(sysusersdir)/gatekey.conf'
uninstall-sysusers:
	rm -f '$(DESTDIR)$(sysusersdir)/gatekey.conf'
.PHONY: install-sysusers uninstall-sysusers

# What makes the module known to p11-kit.
dist_p11config_DATA = %D%/gatekey.module

# To copy and enable, for those who want them.
examplesdir = $(docdir)/examples
dist_examples_DATA = %D%/gatekey-p11-kit.socket %D%/gatekey-reload@.path %D%/gatekey-reload@.service
nodist_examples_DATA = %D%/gatekey-p11-kit@.service
