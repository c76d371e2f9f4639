# SPDX-License-Identifier: Apache-2.0
# How tests are run, and the tests that belong to no single folder.
#
# To add a test:
#
#   a cmocka program (tests/tpm/test-key.c, in tests/local.mk or the folder's own local.mk)
#       check_PROGRAMS += tests/tpm/test-key
#       TESTS += tests/tpm/test-key
#       tests_tpm_test_key_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
#       tests_tpm_test_key_LDADD = libtpm.la liberror.la $(CMOCKA_LIBS)
#
#   a shell script (executable, any name, best a sentence: tests/agent/enroll-resumes-after-kill)
#       dist_check_SCRIPTS += tests/agent/enroll-resumes-after-kill
#       TESTS += tests/agent/enroll-resumes-after-kill
#
#   that needs a TPM: one more line, for either kind; it then runs under tests/with-swtpm
#       TPM_TESTS += tests/tpm/test-key
#
# Every test runs under tests/run (see the top of run.c): in an empty temporary folder, TMPDIR, which is its
# working directory and holds its HOME; a test that leaves a process behind, listens on more than loopback or
# hangs is failed, and to root's tests all but that folder and the build tree is read-only. So name files by the variables that every test gets:
#
#   abs_top_srcdir, abs_top_builddir     the two trees; the source tree may be read-only
#   GATEKEY_BUILDDIR                     the same as abs_top_builddir
#   GATEKEY_TCTI, GATEKEY_TEST_DIR ...   in TPM_TESTS, see tests/with-swtpm; else GATEKEY_TCTI leads nowhere
#   MOSQUITTO_BROKER, CC, EGREP ...      what configure found
#
# A server that listens as soon as it has a port binds port 0; one that has to be told a port gets it from
# tests/hub/pick-port (the hub does by itself), which alone knows those of this test (tests/hub/free-port.h).
#
# Exit 77 skips (a tool is missing; say which), but not where CI=true. One test by hand:
#   make check TESTS=tests/tpm/test-key, or directly: tests/with-swtpm build/tests/tpm/test-key

LOG_COMPILER = $(top_builddir)/tests/run
AM_TESTS_ENVIRONMENT = \
    abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
    abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
    GATEKEY_BUILDDIR='$(abs_top_builddir)'; export GATEKEY_BUILDDIR; \
    GATEKEY_TPM_TESTS='$(TPM_TESTS)'; export GATEKEY_TPM_TESTS; \
    MOSQUITTO_BROKER='$(MOSQUITTO_BROKER)'; export MOSQUITTO_BROKER; \
    CC='$(CC)'; export CC; \
    GATEKEY_CFLAGS='$(GATEKEY_CFLAGS)'; export GATEKEY_CFLAGS; \
    GATEKEY_BUILT='$(GATEKEY_BUILT)'; export GATEKEY_BUILT; \
    GATEKEY_BINDIR='$(bindir)'; export GATEKEY_BINDIR; \
    GATEKEY_SBINDIR='$(sbindir)'; export GATEKEY_SBINDIR; \
    GATEKEY_MANDIR='$(mandir)'; export GATEKEY_MANDIR; \
    GATEKEY_SYSCONFDIR='$(sysconfdir)'; export GATEKEY_SYSCONFDIR; \
    GATEKEY_UNITDIR='$(systemdsystemunitdir)'; export GATEKEY_UNITDIR; \
    GATEKEY_SYSUSERSDIR='$(sysusersdir)'; export GATEKEY_SYSUSERSDIR; \
    GATEKEY_PROVIDERDIR='$(providerdir)'; export GATEKEY_PROVIDERDIR; \
    GATEKEY_BROKERPLUGINDIR='$(brokerplugindir)'; export GATEKEY_BROKERPLUGINDIR; \
    GATEKEY_P11MODULEDIR='$(p11moduledir)'; export GATEKEY_P11MODULEDIR; \
    GATEKEY_P11CONFIGDIR='$(p11configdir)'; export GATEKEY_P11CONFIGDIR; \
    GATEKEY_DOCDIR='$(docdir)'; export GATEKEY_DOCDIR;

# What a header needs to be compiled alone, and everything that is installed and has code.
GATEKEY_CFLAGS = $(AM_CPPFLAGS) $(GK_CFLAGS) $(TSS_SYS_CFLAGS) $(TSS_ESYS_CFLAGS) $(CRYPTO_CFLAGS) \
    $(SSL_CFLAGS) $(MOSQUITTO_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS) $(INIH_CFLAGS) $(SYSTEMD_CFLAGS) \
    $(SQLITE_CFLAGS) $(MHD_CFLAGS) $(CMOCKA_CFLAGS) $(P11_KIT_CFLAGS) $(NETTLE_CFLAGS) $(TASN1_CFLAGS)
GATEKEY_BUILT = $(provider_LTLIBRARIES) $(p11module_LTLIBRARIES) $(brokerplugin_LTLIBRARIES) $(bin_PROGRAMS) $(sbin_PROGRAMS)

dist_check_SCRIPTS += %D%/with-swtpm

check_PROGRAMS += %D%/run
%C%_run_SOURCES = %D%/run.c %D%/run.h %D%/cage.c %D%/listeners.c %D%/processes.c \
    %D%/hub/free-port.c %D%/hub/free-port.h

dist_check_SCRIPTS += %D%/run-fails-a-careless-test
TESTS += %D%/run-fails-a-careless-test

dist_check_SCRIPTS += %D%/bootstrap-brings-no-service
TESTS += %D%/bootstrap-brings-no-service

dist_check_SCRIPTS += %D%/bootstrap-says-what-is-missing
TESTS += %D%/bootstrap-says-what-is-missing

dist_check_SCRIPTS += %D%/install-honours-destdir
TESTS += %D%/install-honours-destdir

dist_check_SCRIPTS += %D%/with-swtpm-leaves-nothing
TESTS += %D%/with-swtpm-leaves-nothing

# The structural checks; checks-can-fail plants a fault for each.
structural_checks = \
    %D%/check-exports \
    %D%/check-headers \
    %D%/check-layering \
    %D%/check-links \
    %D%/check-style \
    %D%/check-words \
    %D%/checks-can-fail
dist_check_SCRIPTS += $(structural_checks)
TESTS += $(structural_checks)
EXTRA_DIST += %D%/abrmd.sh %D%/elf.sh %D%/expect.sh %D%/sources.sh %D%/strip-comments.awk %D%/tls-server.sh

dist_check_SCRIPTS += %D%/manual-knows-every-option
TESTS += %D%/manual-knows-every-option

dist_check_SCRIPTS += %D%/manual-knows-every-outcome
TESTS += %D%/manual-knows-every-outcome

check_PROGRAMS += %D%/test-error
TESTS += %D%/test-error
%C%_test_error_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_error_LDADD = liberror.la $(CMOCKA_LIBS)

# The unit tests once more, under tools that see what a test does not. Shell tests are left out: the modules
# they load into other programs would bring a sanitizer that those programs lack. Those in python see to that
# (tests/agent/sanitizer.py): gatekeyd, the broker's plugin and the hub are looked at whole. Leaks are left to the
# sanitizer: valgrind takes what a forked child has of its parent's other threads for leaks.
# AddressSanitizer takes the frames of a thread that was cancelled for in use when it ends the thread's own
# stack for signals, so that has none.
.PHONY: check-asan check-tsan check-valgrind
unit_tests = `for t in $(TESTS); do case ' $(check_PROGRAMS) ' in *" $$t "*) echo $$t ;; esac; done`
python_tests = `for t in $(TESTS); do case $$t in tests/agent/*.py | tests/hub/*.py) echo $$t ;; esac; done`

check-asan:
	$(MKDIR_P) asan
	cd asan && { test -f Makefile || $(abs_top_srcdir)/configure -q \
	    CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'; }
	units=$(unit_tests); whole=$(python_tests); cd asan && ASAN_OPTIONS=use_sigaltstack=0 \
	    GATEKEY_TEST_TIMEOUT=1800 $(MAKE) $(AM_MAKEFLAGS) check TESTS="$$units $$whole"

check-valgrind:
	units=$(unit_tests); GATEKEY_TEST_TIMEOUT=1800 $(MAKE) $(AM_MAKEFLAGS) check TESTS="$$units" \
	    LOG_COMPILER='$(top_builddir)/tests/run \
	    valgrind -q --error-exitcode=1 --leak-check=no'

# The whole fault matrix, keys being made in it and all; what make check does of it is in test-faults.c.
.PHONY: check-faults
check-faults:
	GATEKEY_FAULTS=all GATEKEY_TEST_TIMEOUT=7200 $(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/tpm/test-faults
	@grep ' cells' tests/tpm/test-faults.log

# Those that start threads, themselves or by signing.h and rounds.h. A thread that a child left behind in its parent is no
# leak; what else is passed over, and why, is in tests/tsan.supp.
check-tsan:
	$(MKDIR_P) tsan
	cd tsan && { test -f Makefile || $(abs_top_srcdir)/configure -q \
	    CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=thread'; }
	units=; for t in $(unit_tests); do \
	    ! grep -qsE 'pthread_create|(signing|rounds)[.]h' $(srcdir)/$$t.c || units="$$units $$t"; done; \
	cd tsan && TSAN_OPTIONS="report_thread_leaks=0 suppressions=$(abs_srcdir)/tests/tsan.supp" \
	    $(MAKE) $(AM_MAKEFLAGS) check TESTS="$$units"
EXTRA_DIST += %D%/lsan.supp %D%/tsan.supp

distclean-local:
	rm -rf asan check-debian13 check-vm fuzz tsan

# The reference flow, shown whole on this machine: make demo, or make demo KEEP=1 to leave it running.
# It is a test as well: what newcomers see first must work.
dist_check_SCRIPTS += %D%/demo
EXTRA_DIST += %D%/demo-steps.sh
TESTS += %D%/demo
.PHONY: demo
demo: all
	@abs_top_srcdir='$(abs_top_srcdir)' GATEKEY_BUILDDIR='$(abs_top_builddir)' \
	    $(abs_top_srcdir)/tests/demo $(if $(KEEP),--keep)
