# SPDX-License-Identifier: Apache-2.0
# What gatekey and gatekeyd share.

noinst_LTLIBRARIES += libagent.la
libagent_la_SOURCES = \
    %D%/config.h \
    %D%/enos/connect.c %D%/enos/connect.h \
    %D%/enos/message.c %D%/enos/message.h \
    %D%/openssl.c %D%/openssl.h
libagent_la_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(JANSSON_CFLAGS) \
    -DGK_PROVIDERDIR='"$(providerdir)"'
libagent_la_LIBADD = libevpcrypto.la liberror.la $(CRYPTO_LIBS) $(JANSSON_LIBS)
