/* SPDX-License-Identifier: Apache-2.0 */
/* Prints rows of the database for people, and JSON for programs, on stdout. */
#ifndef GATEKEY_HUB_TABLE_H
#define GATEKEY_HUB_TABLE_H

#include <jansson.h>

/* An array of rows under the names of their columns; "none" where there are no rows. */
void hub_table_print(const json_t *rows);

/* Any value, laid out over lines. */
void hub_json_print(const json_t *value);

#endif
