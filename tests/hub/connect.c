/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the client id and the user name of a CONNECT apart. */
#include "tests/hub/connect.h"

#include "tests/hub/text.h"

static char *trim(char *text)
{
    char *end = text + strlen(text);

    text += strspn(text, " \t");
    while (end > text && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    *end = '\0';
    return text;
}

static void take_part(struct hub_connect *connect, char *part)
{
    const struct {
        const char *name;
        const char **value;
    } parts[] = {
        { "securemode", &connect->secure_mode },
        { "signmethod", &connect->sign_method },
        { "timestamp", &connect->timestamp },
    };
    char *value = strchr(part, '=');

    if (value == NULL) {
        return;
    }
    *value++ = '\0';
    part = trim(part);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcasecmp(part, parts[i].name) == 0) {
            *parts[i].value = trim(value);
        }
    }
}

/* Split off the tail between the last two bars; the CID in front may hold bars of its own. */
static bool parse_client_id(char *client_id, struct hub_connect *connect)
{
    size_t length = strlen(client_id);
    char *rest = NULL;
    char *tail;

    if (length == 0 || client_id[length - 1] != '|') {
        return false;
    }
    client_id[length - 1] = '\0';
    tail = strrchr(client_id, '|');
    if (tail == NULL) {
        return false;
    }
    *tail++ = '\0';
    connect->cid = client_id;
    for (char *part = strtok_r(tail, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        take_part(connect, part);
    }
    return connect->secure_mode != NULL && connect->sign_method != NULL &&
           connect->timestamp != NULL;
}

static bool parse_user_name(char *user_name, struct hub_connect *connect)
{
    char *split = strrchr(user_name, '&');

    if (split == NULL || split == user_name || split[1] == '\0') {
        return false;
    }
    *split = '\0';
    connect->device_key = user_name;
    connect->product_key = split + 1;
    return true;
}

bool hub_connect_parse(const char *client_id, const char *user_name, struct hub_connect *connect)
{
    CLEANUP(hub_connect_clear) struct hub_connect c = { 0 };
    size_t id_size = client_id != NULL ? strlen(client_id) + 1 : 0;

    if (client_id == NULL || user_name == NULL) {
        return false;
    }
    /* One piece of memory for both, side by side. */
    c.memory = hub_print("%s%c%s", client_id, '\0', user_name);
    if (c.memory == NULL || !parse_client_id(c.memory, &c) ||
        !parse_user_name(c.memory + id_size, &c)) {
        return false;
    }
    *connect = c;
    c = (struct hub_connect){ 0 };
    return true;
}

void hub_connect_clear(struct hub_connect *connect)
{
    free(connect->memory);
    *connect = (struct hub_connect){ 0 };
}
