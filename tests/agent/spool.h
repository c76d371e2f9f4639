/* SPDX-License-Identifier: Apache-2.0 */
/* A spool in a directory of its own, for the tests of agent/spool/. */
#ifndef GATEKEY_TESTS_AGENT_SPOOL_H
#define GATEKEY_TESTS_AGENT_SPOOL_H

#include "agent/spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define POINTS "thing/measurepoint/post"
#define RESUME "thing/measurepoint/resume"
#define EVENT "thing/event/full/post"

/* What the spool said last, and how often. */
extern char rig_said[512];
extern unsigned rig_said_count;

/* The settings; "." is the directory, which is the test's own. */
struct spool_settings rig_settings(void);
/* Begin with an empty directory. */
int rig_setup(void **state);

struct spool *rig_open(void);
struct spool *rig_open_as(const struct spool_settings *settings);

/* Put without a commit; accepted_ms is 4000000000000 + the number given here. */
int64_t rig_put(struct spool *spool, const char *topic, int64_t at, const char *body);
void rig_commit(struct spool *spool);
/* Both. */
int64_t rig_store(struct spool *spool, const char *topic, int64_t at, const char *body);

/* The bodies that wait in a lane, in order, each followed by a blank; static. */
const char *rig_bodies(struct spool *spool, enum spool_lane lane);
/* The same of those refused, as CODE:REASON:BODY. */
const char *rig_refused(struct spool *spool);
struct spool_counters rig_count(const struct spool *spool);
/* That accepted is what it must be. */
void rig_balance(const struct spool *spool);

#endif
