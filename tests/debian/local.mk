# SPDX-License-Identifier: Apache-2.0
# The tests on other systems, by hand and as root: make check-debian13, in a folder; make check-vm, in a virtual
# machine. CACHE=DIR keeps the systems there and not in the build tree.

dist_check_SCRIPTS += %D%/check-debian13 %D%/check-vm %D%/enter %D%/guest %D%/tss2-file
dist_check_SCRIPTS += %D%/says-what-hinders-it
TESTS += %D%/says-what-hinders-it
EXTRA_DIST += %D%/root.sh
.PHONY: check-debian13 check-vm
check-debian13:
	@abs_top_srcdir='$(abs_top_srcdir)' GATEKEY_BUILDDIR='$(abs_top_builddir)' GATEKEY_CACHE='$(CACHE)' \
	    $(abs_top_srcdir)/tests/debian/check-debian13 \
	    $(if $(filter command line,$(origin TESTS)),TESTS='$(TESTS)')
check-vm:
	@abs_top_srcdir='$(abs_top_srcdir)' GATEKEY_BUILDDIR='$(abs_top_builddir)' GATEKEY_CACHE='$(CACHE)' \
	    $(abs_top_srcdir)/tests/debian/check-vm
