/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of our own sentences, taken apart again: the provider's come back on OpenSSL's error queue,
 * gatekeyd's in its answers, and what they say belongs into ours with its status, object and next
 * step.
 */
#ifndef GATEKEY_AGENT_SENTENCE_H
#define GATEKEY_AGENT_SENTENCE_H

#include "error.h"

/* The status of that name ("GK_NO_TPM"); GK_INTERNAL when there is none. name may be NULL. */
enum gk_status agent_status_of(const char *name);

/*
 * Note what sentence says about status, as gk_error_sentence() wrote it, in err (which may be
 * NULL), and return status. A sentence of another form becomes the object as it is.
 */
enum gk_status agent_sentence_read(const char *sentence, enum gk_status status,
                                   struct gk_error *err);

/* Put a question mark for each control character (C0, DEL, C1) and each byte that is no UTF-8, so
 * that no foreign text steers a terminal or looks like a line of ours. */
void agent_text_tame(char *text);

#endif
