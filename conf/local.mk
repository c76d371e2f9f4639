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
