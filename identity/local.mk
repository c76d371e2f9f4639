# SPDX-License-Identifier: Apache-2.0
# Where the identity lies; libc and libinih only. Whoever links it links liberror as well.

noinst_LTLIBRARIES += libidentity.la
noinst_HEADERS += %D%/identity.h %D%/internal.h
libidentity_la_SOURCES = %D%/file.c %D%/place.c %D%/secret.c
libidentity_la_CPPFLAGS = $(AM_CPPFLAGS) -DGK_SYSCONFDIR='"$(sysconfdir)"'
libidentity_la_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
libidentity_la_LIBADD = $(INIH_LIBS)
