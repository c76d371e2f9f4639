# SPDX-License-Identifier: Apache-2.0
# What gets installed beside the binaries.

opensslconfdir = $(sysconfdir)/gatekey
dist_opensslconf_DATA = %D%/openssl-gatekey.cnf
