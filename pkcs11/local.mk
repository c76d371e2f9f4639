# SPDX-License-Identifier: Apache-2.0
# The PKCS#11 module, gatekey-pkcs11.so.

# The module's parts, apart from it so that unit tests and fuzzers can take them in.
noinst_LTLIBRARIES += libpkcs11.la
libpkcs11_la_SOURCES = \
    %D%/certificate.c \
    %D%/chain.c \
    %D%/contents.c \
    %D%/crypto.c \
    %D%/cryptoki.h \
    %D%/internal.h \
    %D%/mechanism.c \
    %D%/object.c \
    %D%/token.c
libpkcs11_la_CFLAGS = $(AM_CFLAGS) $(P11_KIT_CFLAGS) $(NETTLE_CFLAGS) $(TASN1_CFLAGS)
libpkcs11_la_LIBADD = $(NETTLE_LIBS) $(TASN1_LIBS)
