/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into a local hub and makes it act: shows what its database holds (whether it runs or not),
 * and asks the running hub through its control socket, which takes EnOS's calls unsigned and a few
 * of its own.
 */
#include "tests/hub/hubctl.h"

#include "tests/hub/client.h"
#include "tests/hub/keeping.h"
#include "tests/hub/table.h"
#include "tests/hub/text.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdarg.h>

int hubctl_fail(const char *format, ...)
{
    va_list arguments;

    fputs("hubctl: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return 1;
}

const char *hubctl_option(const struct run *run, const char *name)
{
    for (int i = 0; i < run->option_count; i++) {
        if (strcmp(run->options[i].name, name) == 0) {
            return run->options[i].value;
        }
    }
    return NULL;
}

struct hub_store *hubctl_store(const struct run *run)
{
    struct hub_store *store = NULL;
    struct gk_error err = { 0 };

    if (access(HUB_DATABASE_FILE, F_OK) != 0 ||
        hub_store_open(HUB_DATABASE_FILE, &store, &err) != GK_OK) {
        hubctl_fail("there is no hub in %s", run->directory);
    }
    return store;
}

int hubctl_show(struct run *run, const char *query)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);
    CLEANUP(json_decrefp) json_t *rows = NULL;

    rows = store != NULL ? hub_store_rows(store, query, "") : NULL;
    if (rows == NULL) {
        return 1;
    }
    if (run->json) {
        hub_json_print(rows);
    } else {
        hub_table_print(rows);
    }
    return 0;
}

static void curl_freep(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

json_t *hubctl_ask(const char *path, const json_t *body)
{
    CLEANUP(curl_freep) CURL *curl = curl_easy_init();
    CLEANUP(gk_freep) char *url = hub_print("http://hub%s", path);
    CLEANUP(gk_freep) char *request = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct hub_body text = { 0 };
    json_t *answer = NULL;

    if (curl == NULL || url == NULL) {
        return NULL;
    }
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, HUB_CONTROL_SOCKET);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, hub_body_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
    if (request != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request);
    }
    if (curl_easy_perform(curl) == CURLE_OK && text.bytes != NULL) {
        answer = json_loads(text.bytes, 0, NULL);
    }
    free(text.bytes);
    return answer;
}

char *hubctl_device_path(const char *path, const char *action, char **words, const char *name,
                         const char *value)
{
    char *product = curl_easy_escape(NULL, words[0], 0);
    char *device = curl_easy_escape(NULL, words[1], 0);
    char *more = curl_easy_escape(NULL, value != NULL ? value : "", 0);
    char *whole =
        hub_print("%s?action=%s&productKey=%s&deviceKey=%s%s%s%s%s", path, action, product, device,
                  name != NULL ? "&" : "", name != NULL ? name : "", name != NULL ? "=" : "", more);

    curl_free(product);
    curl_free(device);
    curl_free(more);
    return whole;
}

int hubctl_conclude(struct run *run, json_t *answer, const char *wanted)
{
    const json_t *data = json_object_get(answer, "data");

    if (answer == NULL) {
        return hubctl_fail("no hub runs in %s", run->directory);
    }
    if (hub_number(answer, "code") != 0) {
        return hubctl_fail("%" PRId64 " %s", hub_number(answer, "code"), hub_text(answer, "msg"));
    }
    if (run->json) {
        hub_json_print(data);
    } else if (wanted != NULL) {
        fputs(hub_text(data, wanted), stdout);
        putchar('\n');
    }
    return 0;
}

static int fault(struct run *run)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const char *times = hubctl_option(run, "--times");

    if (hubctl_option(run, "--clear") != NULL) {
        body = json_pack("{s:s}", "clear", run->count > 0 ? run->words[0] : "");
    } else if (run->count > 0) {
        body = json_pack("{s:s,s:i}", "set", run->words[0], "times",
                         times != NULL ? (int)strtol(times, NULL, 10) : 0);
    }
    answer = hubctl_ask(body != NULL ? "/fault" : "/faults", body);
    if (answer != NULL && body == NULL && !run->json) {
        hub_table_print(json_object_get(answer, "data"));
        return 0;
    }
    return hubctl_conclude(run, answer, NULL);
}

static const struct verb verbs[] = {
    { "fault", "[NAME[=VALUE] [--times N] | --clear [NAME]]", 0, 1,
      "list the faults, switch one on, or off", fault, NULL, "--times= --clear", 0 },
    { 0 },
};

static const struct verb *const tables[] = { hubctl_device_verbs, hubctl_command_verbs,
                                             hubctl_catalogue_verbs, hubctl_ca_verbs, verbs };

#define TABLES (sizeof(tables) / sizeof(tables[0]))

static void print_usage(FILE *file)
{
    fputs("usage: hubctl DIR COMMAND [WORD...] [--json]\n\n"
          "Looks into the local hub that keeps its files in DIR, and makes it act.\n\n",
          file);
    for (size_t i = 0; i < TABLES; i++) {
        for (const struct verb *verb = tables[i]; verb->name != NULL; verb++) {
            fprintf(file, "  %s%s%s\n      %s\n", verb->name, *verb->words != '\0' ? " " : "",
                    verb->words, verb->help);
        }
    }
    fputs("\nExit: 0 done, 1 failed (for set, get, call and command: the device's reply was not"
          " 200), 2 usage.\n",
          file);
}

/* Whether a verb takes an option, and whether that takes a value. */
static bool knows_option(const struct verb *verb, const char *name, bool *with_value)
{
    size_t length = strlen(name);
    const char *next = verb->options != NULL ? verb->options : "";

    for (; *next != '\0'; next += strcspn(next, " "), next += strspn(next, " ")) {
        size_t width = strcspn(next, " =");

        if (width == length && strncmp(next, name, length) == 0) {
            *with_value = next[width] == '=';
            return true;
        }
    }
    return false;
}

/* Take the options out of the words, wherever they stand. */
static bool take_words(struct run *run, const struct verb *verb, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        const char *word = arguments[i];
        bool with_value;

        if (strcmp(word, "--json") == 0) {
            run->json = true;
        } else if (strncmp(word, "--", 2) != 0) {
            run->words[run->count++] = arguments[i];
        } else if (!knows_option(verb, word, &with_value) || run->option_count == HUBCTL_OPTIONS ||
                   (with_value && i + 1 == count)) {
            return false;
        } else {
            run->options[run->option_count].name = word;
            run->options[run->option_count++].value = with_value ? arguments[++i] : "";
        }
    }
    return run->count >= verb->least && run->count <= verb->most;
}

/* A verb's name may be two words; *used says how many of the arguments it took. */
static const struct verb *find_verb(int count, char **arguments, int *used)
{
    CLEANUP(gk_freep) char *two = count > 1 ? hub_print("%s %s", arguments[0], arguments[1]) : NULL;

    for (size_t i = 0; i < TABLES; i++) {
        for (const struct verb *verb = tables[i]; verb->name != NULL; verb++) {
            bool is_long = two != NULL && strcmp(verb->name, two) == 0;

            if (is_long || (count > 0 && strcmp(verb->name, arguments[0]) == 0)) {
                *used = is_long ? 2 : 1;
                return verb;
            }
        }
    }
    return NULL;
}

int main(int count, char **arguments)
{
    CLEANUP(gk_freep) char **words = calloc((size_t)count + 1, sizeof(*words));
    CLEANUP(gk_freep) char *file = NULL;
    struct run run = { .words = words, .directory = count > 1 ? arguments[1] : NULL };
    int used = 0;
    const struct verb *verb = find_verb(count - 2, arguments + 2, &used);

    if (count > 1 && strcmp(arguments[1], "--help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (words == NULL || verb == NULL ||
        !take_words(&run, verb, count - 2 - used, arguments + 2 + used)) {
        print_usage(stderr);
        return 2;
    }
    /* A file named by the caller is found from where the caller stands. */
    if (verb->file > 0 && verb->file <= run.count) {
        file = realpath(words[verb->file - 1], NULL);
        if (file == NULL) {
            return hubctl_fail("cannot read %s", words[verb->file - 1]);
        }
        words[verb->file - 1] = file;
    }
    /* The socket's whole path may be too long for an address; from inside, its name is short. */
    if (chdir(run.directory) != 0) {
        return hubctl_fail("there is no hub in %s", run.directory);
    }
    return verb->query != NULL ? hubctl_show(&run, verb->query) : verb->run(&run);
}
