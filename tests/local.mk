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
# hangs is failed. So name files by the variables that every test gets:
#
#   abs_top_srcdir, abs_top_builddir     the two trees; the source tree may be read-only
#   GATEKEY_BUILDDIR                     the same as abs_top_builddir
#   GATEKEY_TCTI, GATEKEY_TEST_DIR ...   in TPM_TESTS, see tests/with-swtpm; else GATEKEY_TCTI leads nowhere
#   MOSQUITTO_BROKER, CC, EGREP ...      what configure found
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
    CC='$(CC)'; export CC;

dist_check_SCRIPTS += %D%/with-swtpm

check_PROGRAMS += %D%/run
%C%_run_SOURCES = %D%/run.c %D%/run.h %D%/listeners.c %D%/processes.c

dist_check_SCRIPTS += %D%/run-fails-a-careless-test
TESTS += %D%/run-fails-a-careless-test

dist_check_SCRIPTS += %D%/bootstrap-says-what-is-missing
TESTS += %D%/bootstrap-says-what-is-missing

dist_check_SCRIPTS += %D%/with-swtpm-leaves-nothing
TESTS += %D%/with-swtpm-leaves-nothing

check_PROGRAMS += %D%/test-error
TESTS += %D%/test-error
%C%_test_error_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_error_LDADD = liberror.la $(CMOCKA_LIBS)
