/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events devices posted, for applications. EnOS hands them out by a subscription service of its
 * own; here they are asked for, oldest first, after=N leaving out what was read before.
 */
#include "tests/hub/application.h"
#include "tests/hub/route.h"

#define MOST_EVENTS 100

static json_t *describe(const json_t *row)
{
    json_t *value = json_loads(hub_text(row, "value"), JSON_DECODE_ANY, NULL);

    /* Whose it is follows from the connection it came by, never from what stands in it. */
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:I,s:o}", "eventId", (json_int_t)hub_number(row, "id"),
                     "assetId", hub_text(row, "assetId"), "productKey", hub_text(row, "productKey"),
                     "deviceKey", hub_text(row, "deviceKey"), "event", hub_text(row, "point"),
                     "time", (json_int_t)hub_number(row, "timeMs"), "value",
                     value != NULL ? value : json_null());
}

void hub_event_list(struct hub_call *call, struct hub_answer *answer)
{
    const char *after = hub_call_parameter(call, "after");
    int64_t last = after != NULL ? strtoll(after, NULL, 10) : 0;
    CLEANUP(json_decrefp)
    json_t *rows = hub_store_rows(call->hub->store,
                                  "SELECT t.id AS id, assetId, productKey, deviceKey, point,"
                                  " timeMs, value FROM telemetry t JOIN device USING (assetId)"
                                  " WHERE kind = 'event' AND t.id > ? ORDER BY t.id LIMIT ?",
                                  "ii", last, (int64_t)MOST_EVENTS);
    json_t *events = json_array();
    size_t index;
    json_t *row;

    json_array_foreach(rows, index, row)
    {
        last = hub_number(row, "id");
        if (call->trusted ||
            hub_application_covers(call->application, hub_text(row, "productKey"))) {
            json_array_append_new(events, describe(row));
        }
    }
    answer->data = json_pack("{s:o,s:I}", "events", events, "last", (json_int_t)last);
}
