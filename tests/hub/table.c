/* SPDX-License-Identifier: Apache-2.0 */
/* Prints rows as a table, or anything as JSON. */
#include "tests/hub/table.h"

#include "cleanup.h"

#include <stdbool.h>

#define MOST_COLUMNS 16

/* What a cell shows; number is room for one. */
static const char *cell_text(const json_t *value, char number[static 24])
{
    if (json_is_integer(value)) {
        snprintf(number, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return number;
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? "yes" : "no";
    }
    return json_is_string(value) ? json_string_value(value) : "-";
}

static void measure(json_t *row, size_t widths[static MOST_COLUMNS])
{
    size_t column = 0;
    const char *name;
    json_t *value;

    json_object_foreach(row, name, value)
    {
        char number[24];
        size_t width = strlen(cell_text(value, number));

        width = strlen(name) > width ? strlen(name) : width;
        widths[column] = width > widths[column] ? width : widths[column];
        column++;
    }
}

/* One line: the names of the columns, or a row's values. The last cell is not padded. */
static void print_line(json_t *row, const size_t widths[static MOST_COLUMNS], bool names)
{
    size_t column = 0;
    const char *name;
    json_t *value;

    json_object_foreach(row, name, value)
    {
        char number[24];
        bool last = column + 1 == json_object_size(row);

        printf("%-*s", last ? 0 : (int)widths[column] + 2, names ? name : cell_text(value, number));
        column++;
    }
    putchar('\n');
}

void hub_table_print(const json_t *rows)
{
    size_t widths[MOST_COLUMNS] = { 0 };
    json_t *first = json_array_get(rows, 0);
    size_t index;
    json_t *row;

    if (first == NULL || json_object_size(first) > MOST_COLUMNS) {
        puts("none");
        return;
    }
    json_array_foreach(rows, index, row)
    {
        measure(row, widths);
    }
    print_line(first, widths, true);
    json_array_foreach(rows, index, row)
    {
        print_line(row, widths, false);
    }
}

void hub_json_print(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);

    puts(text != NULL ? text : "null");
    free(text);
}
