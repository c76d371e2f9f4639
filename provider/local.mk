# SPDX-License-Identifier: Apache-2.0
# The OpenSSL provider, gatekey.so.

# struct gk_crypto on EVP, for the provider and the agent.
noinst_LTLIBRARIES += libevpcrypto.la
libevpcrypto_la_SOURCES = %D%/crypto.c %D%/crypto.h
libevpcrypto_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
libevpcrypto_la_LIBADD = $(CRYPTO_LIBS)
