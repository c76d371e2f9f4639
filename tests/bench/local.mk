# SPDX-License-Identifier: Apache-2.0
# make bench: how long things take, beside a bare TPM2_Sign and beside OpenSSL without gatekey.
#
# Built with the tests, so that it does not rot, but run by hand only: BENCH_ROUNDS=N is how often each
# comparison is repeated.

check_PROGRAMS += %D%/worker
%C%_worker_SOURCES = %D%/worker.c %D%/worker.h %D%/bare.c %D%/handshake.c \
    %D%/pkcs11.c %D%/sign.c %D%/threads.c
%C%_worker_CFLAGS = $(AM_CFLAGS) $(TSS_SYS_CFLAGS) $(CRYPTO_CFLAGS) $(SSL_CFLAGS) $(P11_KIT_CFLAGS)
%C%_worker_LDADD = $(TSS_SYS_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)

EXTRA_DIST += %D%/durable.py %D%/measure.py %D%/paired.py %D%/peers.sh %D%/report.py %D%/resources.py %D%/senders.py %D%/subjects.py %D%/tokens.py
dist_check_SCRIPTS += %D%/bench

.PHONY: bench
bench: all %D%/worker$(EXEEXT) tests/tpm/make-key$(EXEEXT) tests/agent/hand-over$(EXEEXT)
	@abs_top_srcdir='$(abs_top_srcdir)' abs_top_builddir='$(abs_top_builddir)' MOSQUITTO_BROKER='$(MOSQUITTO_BROKER)' \
	    $(abs_top_srcdir)/tests/with-swtpm $(abs_top_srcdir)/tests/bench/bench
CLEANFILES += bench.json

# What gatekeyd takes: memory with a long queue, wake-ups, growth. About ten minutes.
.PHONY: resources
resources: all tests/agent/fill-spool$(EXEEXT) tests/tpm/make-key$(EXEEXT) tests/agent/hand-over$(EXEEXT)
	@abs_top_srcdir='$(abs_top_srcdir)' abs_top_builddir='$(abs_top_builddir)' MOSQUITTO_BROKER='$(MOSQUITTO_BROKER)' \
	    $(abs_top_srcdir)/tests/with-swtpm /usr/bin/python3 $(abs_top_srcdir)/tests/bench/resources.py -v
