/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a certificate is renewed: pure functions of times in seconds since 1970.
 *
 * Due at two thirds of its life. What failed is tried again: soon at first, then less often, but
 * more and more often as the end draws near, so that whatever stands in the way is noticed gone in
 * time.
 */
#ifndef GATEKEY_COMMAND_RENEW_SCHEDULE_H
#define GATEKEY_COMMAND_RENEW_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* From notBefore to notAfter. */
struct renewal_life {
    int64_t begin, end;
};

/* When it is due. */
int64_t renewal_due_at(const struct renewal_life *life);

/* How long to wait after that many failures in a row, seconds; 0 after none. */
int64_t renewal_wait(const struct renewal_life *life, int64_t failures, int64_t now);

/* Is it time to try again? A failure in the future is a clock that went back: yes. */
bool renewal_may_retry(const struct renewal_life *life, int64_t tried_at, int64_t failures,
                       int64_t now);

#endif
