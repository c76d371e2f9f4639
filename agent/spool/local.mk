# SPDX-License-Identifier: Apache-2.0
# What waits for the hub. SQLite comes into gatekeyd only; gatekey erases files and no more.

libagent_la_SOURCES += %D%/erase.c

noinst_LTLIBRARIES += libspool.la
libspool_la_SOURCES = \
    %D%/check.c \
    %D%/commit.c \
    %D%/database.c \
    %D%/header.c \
    %D%/internal.h \
    %D%/lane.c \
    %D%/put.c \
    %D%/read.c \
    %D%/rebuild.c \
    %D%/refused.c \
    %D%/room.c \
    %D%/salvage.c \
    %D%/spool.c %D%/spool.h \
    %D%/state.c
libspool_la_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
libspool_la_LIBADD = libagent.la liberror.la $(SQLITE_LIBS)
