# SPDX-License-Identifier: Apache-2.0
# Tests of identity/.

check_PROGRAMS += %D%/test-place
TESTS += %D%/test-place
%C%_test_place_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_place_LDADD = libidentity.la liberror.la $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test-secret
TESTS += %D%/test-secret
%C%_test_secret_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_secret_LDADD = libidentity.la liberror.la $(CMOCKA_LIBS)
