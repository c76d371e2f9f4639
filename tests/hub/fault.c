/* SPDX-License-Identifier: Apache-2.0 */
/* The table of faults tests can switch on, and whether each is on. */
#include "tests/hub/fault.h"

#include <pthread.h>

#define ENDLESS (-1)

static const struct {
    const char *name;
    const char *value;
    const char *help;
} known[] = {
#define ROW(fault, name_text, value_text, help_text) [fault] = { name_text, value_text, help_text },
    HUB_FAULT_TABLE(ROW)
#undef ROW
};

struct hub_faults {
    pthread_mutex_t lock;
    struct {
        int left; /* times it still happens: 0 is off, ENDLESS for good */
        char value[HUB_FAULT_VALUE_SIZE];
    } state[HUB_FAULT_COUNT];
};

struct hub_faults *hub_faults_new(void)
{
    struct hub_faults *faults = calloc(1, sizeof(*faults));

    if (faults != NULL) {
        pthread_mutex_init(&faults->lock, NULL);
    }
    return faults;
}

void hub_faults_free(struct hub_faults *faults)
{
    if (faults != NULL) {
        pthread_mutex_destroy(&faults->lock);
        free(faults);
    }
}

static int find(const char *name, size_t length)
{
    for (int i = 0; i < HUB_FAULT_COUNT; i++) {
        if (strlen(known[i].name) == length && strncmp(known[i].name, name, length) == 0) {
            return i;
        }
    }
    return -1;
}

bool hub_fault_set(struct hub_faults *faults, const char *setting, int times)
{
    size_t length = strcspn(setting, "=");
    int fault = find(setting, length);

    if (fault < 0) {
        return false;
    }
    pthread_mutex_lock(&faults->lock);
    faults->state[fault].left = times > 0 ? times : ENDLESS;
    snprintf(faults->state[fault].value, HUB_FAULT_VALUE_SIZE, "%s",
             setting[length] == '=' ? setting + length + 1 : "");
    pthread_mutex_unlock(&faults->lock);
    return true;
}

bool hub_fault_clear(struct hub_faults *faults, const char *name)
{
    int only = name != NULL ? find(name, strlen(name)) : 0;

    if (only < 0) {
        return false;
    }
    pthread_mutex_lock(&faults->lock);
    for (int i = 0; i < HUB_FAULT_COUNT; i++) {
        if (name == NULL || i == only) {
            faults->state[i].left = 0;
        }
    }
    pthread_mutex_unlock(&faults->lock);
    return true;
}

static void use_up(int *left)
{
    if (*left > 0) {
        (*left)--;
    }
}

bool hub_fault_take(struct hub_faults *faults, enum hub_fault fault,
                    char value[static HUB_FAULT_VALUE_SIZE])
{
    bool on;

    pthread_mutex_lock(&faults->lock);
    on = faults->state[fault].left != 0;
    if (on) {
        snprintf(value, HUB_FAULT_VALUE_SIZE, "%s", faults->state[fault].value);
        use_up(&faults->state[fault].left);
    }
    pthread_mutex_unlock(&faults->lock);
    return on;
}

bool hub_fault_take_for(struct hub_faults *faults, enum hub_fault fault, const char *endpoint,
                        char value[static HUB_FAULT_VALUE_SIZE])
{
    const char *wanted = faults->state[fault].value;
    size_t length;
    bool on;

    pthread_mutex_lock(&faults->lock);
    length = strcspn(wanted, ":");
    on = faults->state[fault].left != 0 &&
         (strncmp(wanted, "*", length) == 0 ||
          (strlen(endpoint) == length && strncmp(wanted, endpoint, length) == 0));
    if (on) {
        snprintf(value, HUB_FAULT_VALUE_SIZE, "%s", wanted + length + (wanted[length] == ':'));
        use_up(&faults->state[fault].left);
    }
    pthread_mutex_unlock(&faults->lock);
    return on;
}

long hub_fault_number(struct hub_faults *faults, enum hub_fault fault, long otherwise)
{
    long number = otherwise;

    pthread_mutex_lock(&faults->lock);
    if (faults->state[fault].left != 0) {
        number = strtol(faults->state[fault].value, NULL, 10);
    }
    pthread_mutex_unlock(&faults->lock);
    return number;
}

json_t *hub_faults_list(struct hub_faults *faults)
{
    json_t *list = json_array();

    pthread_mutex_lock(&faults->lock);
    for (int i = 0; i < HUB_FAULT_COUNT; i++) {
        int left = faults->state[i].left;

        json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:s,s:o,s:s}", "fault", known[i].name,
                                              "takes", known[i].value, "on", left != 0, "value",
                                              left != 0 ? faults->state[i].value : "", "left",
                                              left > 0 ? json_integer(left) : json_null(), "does",
                                              known[i].help));
    }
    pthread_mutex_unlock(&faults->lock);
    return list;
}
