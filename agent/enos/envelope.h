/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts one message or many into one envelope, as text: the params are joined as they are, none is
 * read again.
 */
#ifndef GATEKEY_AGENT_ENOS_ENVELOPE_H
#define GATEKEY_AGENT_ENOS_ENVELOPE_H

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begin it as { 0 }; free it with enos_envelope_clear(). */
struct enos_envelope {
    char *bytes;
    size_t size, room; /* the params begin behind a place for what goes before them */
    size_t count;
};
void enos_envelope_clear(struct enos_envelope *envelope);

/* Add params (JSON text). Fails with GK_NO_MEMORY. */
enum gk_status enos_envelope_add(struct enos_envelope *envelope, const void *params, size_t size,
                                 struct gk_error *err) GK_MUST_CHECK;

/*
 * Write what goes around them. batch: the params are an array of what was added, else what was
 * added alone. members as in struct enos_handed, may be NULL. The text lives as long as the
 * envelope. Fails with GK_NO_MEMORY.
 */
enum gk_status enos_envelope_close(struct enos_envelope *envelope, const char *id, const char *rest,
                                   bool batch, const char *members, const char **text, size_t *size,
                                   struct gk_error *err) GK_MUST_CHECK;

/* What was added, without anything around it. */
const char *enos_envelope_content(const struct enos_envelope *envelope, size_t *size);

/* At most that many bytes go around params sent on rest, or resumed instead of posted. */
size_t enos_envelope_overhead(const char *rest, const char *members);

#endif
