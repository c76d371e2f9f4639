# SPDX-License-Identifier: Apache-2.0
# What waits for the hub.

noinst_HEADERS += %D%/spool.h
