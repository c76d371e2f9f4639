/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the list of our certificates whose revocation was refused. */
#include "agent/command/unrevoked.h"

#define LIST_SIZE (sizeof(((struct agent_state *)NULL)->unrevoked))

static void drop_oldest(struct renewal *r)
{
    char *list = r->state.unrevoked, *rest = strchr(list, ' ');
    int size = rest != NULL ? (int)(rest - list) : (int)strlen(list);

    say_note(r->run, "revoke certificate %.*s at the hub; nobody uses it any more", size, list);
    if (rest != NULL) {
        memmove(list, rest + 1, strlen(rest + 1) + 1);
    } else {
        list[0] = '\0';
    }
}

void unrevoked_note(struct renewal *renewal, const char *serial)
{
    char *list = renewal->state.unrevoked;
    size_t used;

    if (serial[0] == '\0' || agent_state_is_unrevoked(&renewal->state, serial)) {
        return;
    }
    while (list[0] != '\0' && strlen(list) + 1 + strlen(serial) >= LIST_SIZE) {
        drop_oldest(renewal);
    }
    used = strlen(list);
    snprintf(list + used, LIST_SIZE - used, "%s%s", used > 0 ? " " : "", serial);
}

void unrevoked_supersede(struct renewal *renewal, const char *serial)
{
    if (serial[0] != '\0' && renewal_supersede(renewal, serial, NULL) != GK_OK) {
        unrevoked_note(renewal, serial);
    }
}

/* Then the others would get no further either. */
static bool is_in_vain(enum gk_status status)
{
    return status == GK_UNREACHABLE || status == GK_THROTTLED || status == GK_NO_SERVICE;
}

void unrevoked_retry(struct renewal *renewal)
{
    char before[LIST_SIZE], *rest = before;
    enum gk_status status = GK_OK;

    memcpy(before, renewal->state.unrevoked, LIST_SIZE);
    renewal->state.unrevoked[0] = '\0';
    for (char *serial; (serial = strsep(&rest, " ")) != NULL;) {
        if (serial[0] == '\0') {
            continue;
        }
        if (!is_in_vain(status)) {
            status = renewal_supersede(renewal, serial, NULL);
        }
        if (status != GK_OK) {
            unrevoked_note(renewal, serial);
        }
    }
}

static bool is_valid(const char *serial, const struct enos_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(records[i].serial, serial) == 0) {
            return records[i].valid;
        }
    }
    return false;
}

void unrevoked_forget_gone(struct renewal *renewal, const struct enos_record *records, size_t count)
{
    char before[LIST_SIZE], *rest = before;

    memcpy(before, renewal->state.unrevoked, LIST_SIZE);
    renewal->state.unrevoked[0] = '\0';
    for (char *serial; (serial = strsep(&rest, " ")) != NULL;) {
        if (is_valid(serial, records, count)) {
            unrevoked_note(renewal, serial);
        }
    }
}
