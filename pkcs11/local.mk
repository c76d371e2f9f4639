# SPDX-License-Identifier: Apache-2.0
# The PKCS#11 module, gatekey-pkcs11.so.

# The module's parts, apart from it so that unit tests and fuzzers can take them in.
noinst_LTLIBRARIES += libpkcs11.la
libpkcs11_la_SOURCES = \
    %D%/attribute.c \
    %D%/certificate.c \
    %D%/chain.c \
    %D%/contents.c \
    %D%/crypto.c \
    %D%/cryptoki.h \
    %D%/digest.c \
    %D%/find.c \
    %D%/fork.c \
    %D%/interface.c \
    %D%/internal.h \
    %D%/library.c \
    %D%/login.c \
    %D%/mechanism.c \
    %D%/object.c \
    %D%/refusal.c \
    %D%/session.c \
    %D%/sign.c \
    %D%/signing.c \
    %D%/slot.c \
    %D%/status.c \
    %D%/token.c \
    %D%/verify.c
libpkcs11_la_CFLAGS = $(AM_CFLAGS) $(P11_KIT_CFLAGS) $(NETTLE_CFLAGS) $(TASN1_CFLAGS)
libpkcs11_la_LIBADD = $(NETTLE_LIBS) $(TASN1_LIBS)

p11module_LTLIBRARIES = gatekey-pkcs11.la
gatekey_pkcs11_la_SOURCES =
gatekey_pkcs11_la_LIBADD = libpkcs11.la libdevkey.la libidentity.la liberror.la
# nodelete: fork.c leaves handlers with libc that must not dangle.
# Bsymbolic: the names it exports are those of every such module, libp11-kit among them, and ours mean ours.
gatekey_pkcs11_la_LDFLAGS = $(AM_LDFLAGS) $(GK_MODULE_LDFLAGS) -module -avoid-version -shared \
    -export-symbols-regex '^C_Get(FunctionList|Interface|InterfaceList)$$' -Wl,-z,nodelete,-Bsymbolic-functions

install-data-hook: trim-pkcs11
uninstall-hook: remove-pkcs11
trim-pkcs11:
	rm -f '$(DESTDIR)$(p11moduledir)/gatekey-pkcs11.la'
remove-pkcs11:
	rm -f '$(DESTDIR)$(p11moduledir)/gatekey-pkcs11.so'
.PHONY: trim-pkcs11 remove-pkcs11
