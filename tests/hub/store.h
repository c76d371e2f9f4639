/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the local hub remembers, in one SQLite file: settings, products, devices, certificates,
 * telemetry.
 *
 * Statements are SQL; each '?' is filled from the arguments, whose types are named by a string: 's'
 * for const char * (NULL is SQL's NULL), 'i' for int64_t. Rows come back as JSON objects, column by
 * column. Safe from several threads. What SQLite refuses is said on stderr here, once.
 */
#ifndef GATEKEY_HUB_STORE_H
#define GATEKEY_HUB_STORE_H

#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct hub_store;

/* What hub_store_run says when a row with that key is there already, and when SQLite failed. */
#define HUB_STORE_TAKEN (-2)
#define HUB_STORE_FAILED (-1)

/* Open the file, making it and its tables when they are not there. */
GK_MUST_CHECK enum gk_status hub_store_open(const char *path, struct hub_store **store,
                                            struct gk_error *err);

/* The same with other tables, made by this SQL; "setting" must be among them. */
GK_MUST_CHECK enum gk_status hub_store_open_with(const char *path, const char *tables,
                                                 struct hub_store **store, struct gk_error *err);
void hub_store_close(struct hub_store *store);
GK_DEFINE_CLEANUP(struct hub_store, hub_store_close)

/* Run one statement: the number of rows it changed, or one of the two above. */
int hub_store_run(struct hub_store *store, const char *sql, const char *types, ...);

/* All rows as an array, or the first row as an object; NULL when SQLite failed, or there is no row.
 */
json_t *hub_store_rows(struct hub_store *store, const char *sql, const char *types, ...);
json_t *hub_store_row(struct hub_store *store, const char *sql, const char *types, ...);

/* All that happens between the two is kept whole, or not at all; other threads wait. They nest. */
void hub_store_begin(struct hub_store *store);
bool hub_store_end(struct hub_store *store, bool keep);

/* A setting's text, which the caller frees; NULL where there is none. */
char *hub_store_setting(struct hub_store *store, const char *name);
bool hub_store_set(struct hub_store *store, const char *name, const char *value);

/* The next number of a sequence that starts at first: never handed out twice, or -1. */
int64_t hub_store_next(struct hub_store *store, const char *sequence, int64_t first);

/* A column of a row, "" or 0 where it is missing, NULL or of another type; row may be NULL. */
const char *hub_text(const json_t *row, const char *column);
int64_t hub_number(const json_t *row, const char *column);

#endif
