# SPDX-License-Identifier: Apache-2.0
# Tests of identity/.

check_PROGRAMS += %D%/test-place
TESTS += %D%/test-place
%C%_test_place_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_place_LDADD = libidentity.la liberror.la $(CMOCKA_LIBS)
