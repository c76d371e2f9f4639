/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between a test and its swtpm: counts the commands, and treats some of them badly.
 *
 * The proxy is a thread of the test. Its TCTI is "swtpm:path=..." as well, so the code under test
 * cannot tell; the control socket is the real one's, by a symbolic link.
 *
 * The fault TCTI (fault.h) can do more and is what a new test should take, but it stands in the
 * place of tpm/line.c, our own TCTI. The proxy is what hangs up on that one.
 */
#ifndef GATEKEY_TESTS_TPM_PROXY_H
#define GATEKEY_TESTS_TPM_PROXY_H

#include <stdint.h>

enum proxy_fault {
    PROXY_CUT,    /* hang up instead of answering */
    PROXY_ANSWER, /* answer with a response code, without asking the TPM */
    PROXY_GARBLE, /* answer with bytes that are no response */
};

struct proxy;

/* Start between the TPM of GATEKEY_TCTI and whoever uses proxy_tcti(). Fails the test when it
 * cannot. */
struct proxy *proxy_start(void);
void proxy_stop(struct proxy *proxy);
const char *proxy_tcti(const struct proxy *proxy);

/* Treat the next count commands so; code is for PROXY_ANSWER. */
void proxy_fault_next(struct proxy *proxy, enum proxy_fault fault, unsigned count, uint32_t code);

/* The same, but let skip commands pass first. */
void proxy_fault_after(struct proxy *proxy, unsigned skip, enum proxy_fault fault, unsigned count,
                       uint32_t code);

/* How many commands came since the last call, the mistreated ones too. */
unsigned proxy_count(struct proxy *proxy);

#endif
