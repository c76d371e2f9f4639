# SPDX-License-Identifier: Apache-2.0
# Tests of tpm/.

# A device key in a test's TPM, for the C tests of every folder; make-key, below, is for the others.
check_LTLIBRARIES += libdevicekeyfixture.la
libdevicekeyfixture_la_SOURCES = %D%/device-key.c %D%/device-key.h
libdevicekeyfixture_la_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(CRYPTO_CFLAGS)
libdevicekeyfixture_la_LIBADD = libadmin.la libevpcrypto.la $(CMOCKA_LIBS)

check_LTLIBRARIES += libtpmfixture.la
libtpmfixture_la_SOURCES = %D%/fixture.c %D%/fixture.h
libtpmfixture_la_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
libtpmfixture_la_LIBADD = libdevicekeyfixture.la

# A TCTI that makes things go wrong as planned (fault-tcti.c is its manual), and what steers it. An rpath
# makes libtool build it as the shared library that it is; it is installed nowhere.
check_LTLIBRARIES += %D%/libtss2-tcti-fault.la
%C%_libtss2_tcti_fault_la_SOURCES = %D%/fault-tcti.c %D%/fault-plan.c %D%/fault-plan.h
%C%_libtss2_tcti_fault_la_CFLAGS = $(AM_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_libtss2_tcti_fault_la_LIBADD = $(TSS_SYS_LIBS)
%C%_libtss2_tcti_fault_la_LDFLAGS = $(AM_LDFLAGS) $(GK_MODULE_LDFLAGS) -shared -rpath $(abs_builddir)/%D% \
    -version-info 0:0:0
# What makes a swtpm one of those TPMs that always make the longest salt: with-swtpm --max-salt. It goes into
# a foreign process, so no sanitizer may get in with CFLAGS.
check_DATA += %D%/longest-salt.so
CLEANFILES += %D%/longest-salt.so
EXTRA_DIST += %D%/longest-salt.c
%D%/longest-salt.so: %D%/longest-salt.c
	$(AM_V_CCLD)$(MKDIR_P) %D% && $(CC) $(CRYPTO_CFLAGS) -D_GNU_SOURCE -O2 -Wall -fPIC -shared \
	    -o $@ $(srcdir)/%D%/longest-salt.c

check_LTLIBRARIES += libfault.la
libfault_la_SOURCES = %D%/fault.c %D%/fault.h
libfault_la_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
EXTRA_DIST += %D%/fault.sh %D%/capture.sh
dist_check_SCRIPTS += %D%/count-commands.py

tpm_tests_with_a_tpm = %D%/test-ticks %D%/test-create %D%/test-fault-tcti %D%/test-faults %D%/test-line \
    %D%/test-load %D%/test-loadable \
    %D%/test-seal %D%/test-signature %D%/test-tcti %D%/test-tpm
check_PROGRAMS += %D%/test-reference $(tpm_tests_with_a_tpm)
TESTS += %D%/test-reference $(tpm_tests_with_a_tpm)
TPM_TESTS += $(tpm_tests_with_a_tpm)

%C%_test_create_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_create_LDADD = libtpmfixture.la
%C%_test_fault_tcti_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_fault_tcti_LDADD = libtpmfixture.la libfault.la $(TSS_SYS_LIBS)
%C%_test_faults_SOURCES = %D%/test-faults.c %D%/faults.c %D%/faults.h %D%/operations.c \
    %D%/direct.c %D%/direct.h
%C%_test_faults_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_faults_LDADD = libtpmfixture.la libfault.la $(TSS_SYS_LIBS)
%C%_test_line_SOURCES = %D%/test-line.c %D%/proxy.c %D%/proxy.h
%C%_test_line_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_line_LDADD = libtpmfixture.la
loadable_sources = %D%/loadable.c %D%/loadable.h %D%/proxy.c %D%/proxy.h
%C%_test_load_SOURCES = %D%/test-load.c $(loadable_sources)
%C%_test_load_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_load_LDADD = libtpmfixture.la
%C%_test_loadable_SOURCES = %D%/test-loadable.c $(loadable_sources)
%C%_test_loadable_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_loadable_LDADD = libtpmfixture.la
# It asks for a TPM of the kind it is about by itself.
check_PROGRAMS += %D%/test-longest-salt
TESTS += %D%/test-longest-salt
%C%_test_longest_salt_SOURCES = %D%/test-longest-salt.c %D%/direct.c %D%/direct.h
%C%_test_longest_salt_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_longest_salt_LDADD = libtpmfixture.la libfault.la $(TSS_SYS_LIBS)
%C%_test_reference_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_reference_LDADD = libtpmfixture.la
%C%_test_seal_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_seal_LDADD = libtpmfixture.la
%C%_test_ticks_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_ticks_LDADD = libtpmfixture.la
%C%_test_signature_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_signature_LDADD = libtpmfixture.la
%C%_test_tpm_SOURCES = %D%/test-tpm.c %D%/proxy.c %D%/proxy.h
%C%_test_tpm_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_tpm_LDADD = libtpmfixture.la libfault.la
%C%_test_tcti_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(TSS_SYS_CFLAGS)
%C%_test_tcti_LDADD = libtpmfixture.la $(TSS_SYS_LIBS)

check_PROGRAMS += %D%/make-key
%C%_make_key_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
%C%_make_key_LDADD = libadmin.la libevpcrypto.la
