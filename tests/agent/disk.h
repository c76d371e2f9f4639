/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory, under SQLite, whose power can be cut.
 *
 * What was written since the last sync of a file is lost in part: each write may be there or not,
 * torn between sectors of 512 bytes, whatever was written before or after it; a file that grew may
 * hold anything where it was not written. Files made, or deleted, since the directory was synced
 * may be there or not. What was synced is there. That is what SQLite expects of a disk
 * (sqlite.org/atomiccommit.html, "Hardware Assumptions"), and no more. One thread.
 */
#ifndef GATEKEY_TESTS_AGENT_DISK_H
#define GATEKEY_TESTS_AGENT_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Make it SQLite's default. */
void disk_register(void);

/* An empty one, and what chance decides from now on. */
void disk_format(uint64_t seed);

/* After so many more operations that change it the power fails, and with it each operation. */
void disk_cut_after(unsigned operations);
bool disk_is_dead(void);
/* Power again: what the disk holds by now. Nothing may be open. */
void disk_power_on(void);

/* A disk that says that it synced and did not. */
void disk_lie(bool lies);
/* Full once it holds so many bytes, 0: never. */
void disk_limit(uint64_t bytes);

/* Since the last disk_count_anew(). */
struct disk_counters {
    uint64_t writes, bytes, syncs;
};
extern struct disk_counters disk_counters;
void disk_count_anew(void);

/* A number below limit. */
unsigned disk_chance(unsigned limit);

#endif
