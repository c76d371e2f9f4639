# SPDX-License-Identifier: Apache-2.0
# The OpenSSL provider, gatekey.so.

# struct gk_crypto on EVP, for the provider and the agent.
noinst_LTLIBRARIES += libevpcrypto.la
libevpcrypto_la_SOURCES = %D%/crypto.c %D%/crypto.h
libevpcrypto_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
libevpcrypto_la_LIBADD = $(CRYPTO_LIBS)

# The provider itself, apart from the module so that a fuzzer can take it in.
noinst_LTLIBRARIES += libprovider.la
libprovider_la_SOURCES = \
    %D%/algorithm-id.c \
    %D%/certificate.c \
    %D%/cipher.c \
    %D%/context.c \
    %D%/decoder.c \
    %D%/encoder.c \
    %D%/error.c \
    %D%/fork.c \
    %D%/internal.h \
    %D%/key.c \
    %D%/keymgmt.c \
    %D%/lifetime.c \
    %D%/message.c \
    %D%/order.c \
    %D%/object.c \
    %D%/password.c \
    %D%/provider.c \
    %D%/scheme.c \
    %D%/signature.c \
    %D%/store.c \
    %D%/tables.c \
    %D%/tally.c \
    %D%/tss2.c \
    %D%/uri.c \
    %D%/verification.c
libprovider_la_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)

provider_LTLIBRARIES = gatekey.la
gatekey_la_SOURCES =
gatekey_la_LIBADD = libprovider.la libevpcrypto.la libdevkey.la libidentity.la liberror.la $(CRYPTO_LIBS)
# nodelete: fork.c leaves handlers with libc that must not dangle.
gatekey_la_LDFLAGS = $(AM_LDFLAGS) $(GK_MODULE_LDFLAGS) -module -avoid-version -shared \
    -export-symbols-regex '^OSSL_provider_init$$' -Wl,-z,nodelete

# A module needs no libtool archive; without it libtool does not find the module again to uninstall it.
install-data-hook: trim-provider
uninstall-hook: remove-provider
trim-provider:
	rm -f '$(DESTDIR)$(providerdir)/gatekey.la'
remove-provider:
	rm -f '$(DESTDIR)$(providerdir)/gatekey.so'
.PHONY: trim-provider remove-provider
