/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.json: what is known of the time, for those parts that read it whole.
 *
 * The directory belongs to the service, root writes there as well: no link is followed, and what
 * root writes is handed to the directory's owner. A file that makes no sense counts as none and is
 * written anew with the next change: the floor then begins at the build.
 */
#ifndef GATEKEY_AGENT_CLOCK_FILE_H
#define GATEKEY_AGENT_CLOCK_FILE_H

#include "agent/clock-verdict.h"
#include "agent/clock.h"

#include <stdbool.h>

#define AGENT_CLOCK_FILE "clock.json"

struct agent_clock_record {
    int64_t floor; /* UNIX time in seconds */
    enum agent_clock_source source;
    int64_t refused; /* the last that lay beyond the ceiling; 0 for none */
    enum agent_clock_source refused_source;
    struct agent_clock_mark mark; /* these two are gatekeyd's alone */
    struct agent_clock_report report;
};

/*
 * Read it; where there is none the record is that of a new gateway. Fails with GK_BAD_FILE
 * (garbled), GK_FILE_DENIED, GK_FILE_FAILED, GK_NO_MEMORY, and gives a new gateway's record then.
 */
enum gk_status agent_clock_read(const char *directory, struct agent_clock_record *record,
                                struct gk_error *err) GK_MUST_CHECK;

bool agent_clock_is_there(const char *directory);

/* Changes a record; says whether it is to be written. */
typedef bool agent_clock_changer(struct agent_clock_record *record, void *context);

/*
 * Read, change and replace it durably, alone. directory is made (0700) where it does not exist.
 * Fails with GK_FILE_DENIED, GK_FILE_FAILED, GK_DISK_FULL, GK_NO_MEMORY.
 */
enum gk_status agent_clock_change(const char *directory, agent_clock_changer *change, void *context,
                                  struct gk_error *err) GK_MUST_CHECK;

/* Its text, and back: what is missing stays as it is in the record. */
char *agent_clock_format(const struct agent_clock_record *record); /* to free(3); NULL: no memory */
bool agent_clock_parse(const char *text, size_t size, struct agent_clock_record *record);

/* Remove it durably; none is as good as removed. */
enum gk_status agent_clock_remove(const char *directory, struct gk_error *err) GK_MUST_CHECK;

#endif
