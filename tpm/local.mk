# SPDX-License-Identifier: Apache-2.0
# The device key. libdevkey stands on the system API and goes into the modules; libadmin adds the enhanced
# system API and with it libcrypto, and goes into our own programs only.
#
# A module takes convenience libraries whole, so those it takes must not hold one another: whoever links
# libdevkey links liberror as well.

noinst_LTLIBRARIES += libdevkey.la libadmin.la
noinst_HEADERS += %D%/admin.h %D%/admin_internal.h %D%/devkey.h %D%/internal.h

libdevkey_la_SOURCES = \
    %D%/armour.c \
    %D%/clock.c \
    %D%/code.c \
    %D%/device.c \
    %D%/key.c \
    %D%/line.c \
    %D%/load.c \
    %D%/loadable.c \
    %D%/pss.c \
    %D%/reference.c \
    %D%/signature.c \
    %D%/slot.c \
    %D%/tcti.c \
    %D%/tpm.c \
    %D%/words.c
libdevkey_la_CFLAGS = $(AM_CFLAGS) $(TSS_SYS_CFLAGS)
libdevkey_la_LIBADD = $(TSS_SYS_LIBS)

libadmin_la_SOURCES = \
    %D%/admin.c \
    %D%/create.c \
    %D%/pcr.c \
    %D%/seal.c \
    %D%/ticks.c
libadmin_la_CFLAGS = $(AM_CFLAGS) $(TSS_ESYS_CFLAGS)
libadmin_la_LIBADD = libdevkey.la liberror.la $(TSS_ESYS_LIBS)
