/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records what this process does to the files of a spool in its directory, and leaves there what
 * there would be if the power had failed at any moment of it: of files, as in disk.h; of names
 * that were made, moved or deleted since the directory was synced, the first so many, as a
 * filesystem with a journal has it.
 *
 * What changes a file is taken in place of the C library's own. One record at a time.
 */
#ifndef GATEKEY_TESTS_AGENT_RECORD_H
#define GATEKEY_TESTS_AGENT_RECORD_H

#include <stdint.h>

struct record;

/* What is there now is on the disk. */
struct record *record_begin(void);
/* How many operations there were; up to so many can be cut. */
unsigned record_end(struct record *record);
void record_free(struct record *record);

/* Leave what so many operations and a power cut would. */
void record_cut(const struct record *record, unsigned operations, uint64_t chance);

/* While limit is not 0, a write to spool.db.new, but not to its log, that makes it larger than that
 * fails: the disk is full. */
void record_limit_new(uint64_t limit);

#endif
