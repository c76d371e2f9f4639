# SPDX-License-Identifier: Apache-2.0
# The local hub: a stock mosquitto with our plugin, its launcher, and the tool that looks into it.

HUB_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
HUB_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) $(SQLITE_CFLAGS) $(MHD_CFLAGS)

# What launcher, plugin and tests share.
noinst_LTLIBRARIES += %D%/libhub.la
%C%_libhub_la_SOURCES = \
    %D%/signature.c %D%/signature.h \
    %D%/text.c %D%/text.h
%C%_libhub_la_CPPFLAGS = $(HUB_CPPFLAGS)
%C%_libhub_la_CFLAGS = $(HUB_CFLAGS)
%C%_libhub_la_LIBADD = liberror.la $(CRYPTO_LIBS) $(JANSSON_LIBS) $(SQLITE_LIBS)

hub_tests = %D%/test-signature
check_PROGRAMS += $(hub_tests)
TESTS += $(hub_tests)

%C%_test_signature_SOURCES = %D%/test-signature.c
%C%_test_signature_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
%C%_test_signature_LDADD = %D%/libhub.la $(CMOCKA_LIBS)
