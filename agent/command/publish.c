/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey publish: hands telemetry to gatekeyd, and succeeds when that has it on disk. */
#include "agent/command/publish.h"

#include "agent/command/service.h"
#include "agent/file.h"
#include "agent/local.h"
#include "identity/identity.h"

#include <errno.h>
#include <time.h>

#define DEFAULT_TOPIC "thing/measurepoint/post"

/* The largest params taken; the hub takes messages of less than 512 KiB. */
#define PARAMS_MAX ((size_t)500 * 1024)

/* For gatekeyd to store it; with --wait, what was asked for goes on top of it. */
#define TIMEOUT_S 60
#define WAIT_S 60 /* --timeout, where it is not given */
#define WAIT_MAX_S 86400

static enum gk_status read_stdin(struct gk_content *content, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content c = { .data = malloc(PARAMS_MAX + 1) };

    if (c.data == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    c.size = fread(c.data, 1, PARAMS_MAX + 1, stdin);
    if (ferror(stdin) != 0) {
        return gk_fail_file(err, errno, "standard input");
    }
    if (c.size > PARAMS_MAX) {
        return gk_fail(err, GK_BAD_FILE, "standard input: larger than %zu bytes", PARAMS_MAX);
    }
    *content = c;
    c = (struct gk_content){ 0 };
    return GK_OK;
}

/* JSON that was checked, on one line. What is below a space stands between tokens there, and is of
 * use to nobody; everything else stays as it was written, since jansson prints 0.1 with 17 digits.
 */
static char *compact(const char *text, size_t size)
{
    char *line = malloc(size + 1), *end = line;
    bool inside = false;

    for (size_t i = 0; line != NULL && i < size; i++) {
        if (inside && text[i] == '\\') {
            *end++ = text[i++];
        } else if (text[i] == '"') {
            inside = !inside;
        } else if (!inside && (unsigned char)text[i] <= ' ') {
            continue;
        }
        *end++ = text[i];
    }
    if (line != NULL) {
        *end = '\0';
    }
    return line;
}

/* --params: JSON itself, @FILE, or - for standard input. */
static enum gk_status read_params(const char *text, char **params, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(json_freep) json_t *parsed = NULL;
    const char *from = text[0] == '@'           ? text + 1
                       : strcmp(text, "-") == 0 ? "standard input"
                                                : "--params";
    enum gk_status status = GK_OK;
    size_t size = strlen(text);
    json_error_t why;

    if (text[0] == '@') {
        status = agent_file_read(text + 1, PARAMS_MAX, &content, err);
    } else if (strcmp(text, "-") == 0) {
        status = read_stdin(&content, err);
    }
    if (status == GK_BAD_FILE) {
        gk_advise(err, "params is one message; split it, or give many, each on a line, by --lines");
    }
    if (status != GK_OK) {
        return status;
    }
    if (content.data != NULL) {
        text = (const char *)content.data;
        size = content.size;
    }
    parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (parsed == NULL) {
        gk_fail(err, GK_USAGE, "%.100s: line %d: %s", from, why.line, why.text);
        gk_advise(err, "params is a JSON object or array");
        return GK_USAGE;
    }
    *params = compact(text, size);
    return *params != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

/* A number, true, false, or JSON in brackets is that; everything else is a text. NULL: neither. */
static char *read_value(const char *text)
{
    CLEANUP(json_freep)
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    if (value != NULL) {
        return compact(text, strlen(text));
    }
    value = json_string(text);
    return value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
}

/* The name is cut off its value; of a point named twice the last counts. */
static enum gk_status read_point(char *word, json_t *points, struct gk_error *err)
{
    char *equals = strchr(word, '=');
    CLEANUP(gk_freep) char *value = NULL;

    if (equals == NULL || equals == word) {
        gk_fail(err, GK_USAGE, "%.100s is not POINT=VALUE", word);
        gk_advise(err, "write for instance temperature=21.5");
        return GK_USAGE;
    }
    /* Most often a script's variable that nobody set. */
    if (equals[1] == '\0') {
        gk_fail(err, GK_USAGE, "%.100s has no value", word);
        gk_advise(err, "an empty text is written %.100s'\"\"'", word);
        return GK_USAGE;
    }
    *equals = '\0';
    value = read_value(equals + 1);
    return value != NULL && json_object_set_new(points, word, json_string(value)) == 0
               ? GK_OK
               : gk_fail(err, GK_USAGE, "%.100s is not valid UTF-8", word);
}

/* points holds the text of each value. */
static void write_points(FILE *file, json_t *points)
{
    const char *separator = "", *name;
    struct timespec now;
    json_t *value;

    fputs("{\"measurepoints\":{", file);
    json_object_foreach(points, name, value)
    {
        CLEANUP(json_freep) json_t *key = json_string(name);

        fputs(separator, file);
        (void)!json_dumpf(key, file, JSON_ENCODE_ANY);
        fprintf(file, ":%s", json_string_value(value));
        separator = ",";
    }
    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(file, "},\"time\":%lld}", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static enum gk_status read_points(int count, char **words, char **params, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *points = json_object();
    enum gk_status status = GK_OK;
    size_t size;
    FILE *file;

    for (int i = 0; i < count && status == GK_OK; i++) {
        status = read_point(words[i], points, err);
    }
    if (status != GK_OK) {
        return status;
    }
    file = open_memstream(params, &size);
    if (file == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    write_points(file, points);
    return fclose(file) == 0 ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

static enum gk_status make_request(const struct publication *publication, const char *params,
                                   char **request, struct gk_error *err)
{
    CLEANUP(json_freep) json_t *name = json_string(publication->topic);
    CLEANUP(gk_freep) char *topic = name != NULL ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    char wait[48] = "";

    if (topic == NULL) {
        return gk_fail(err, GK_USAGE, "the topic is not valid UTF-8");
    }
    if (publication->wait) {
        snprintf(wait, sizeof(wait), "\"wait\":true,\"timeout\":%u,", publication->timeout_s);
    }
    if (asprintf(request, "{\"op\":\"publish\",%s\"topic\":%s,\"params\":%s}", wait, topic,
                 params) < 0) {
        *request = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return GK_OK;
}

static enum gk_status hand_over(struct run *run, const struct publication *publication,
                                const char *params, struct gk_error *err)
{
    CLEANUP(gk_freep) char *request = NULL;
    CLEANUP(json_freep) json_t *reply = NULL;
    unsigned timeout_s = TIMEOUT_S + (publication->wait ? publication->timeout_s : 0);
    enum gk_status status = make_request(publication, params, &request, err);

    if (status == GK_OK) {
        status = agent_local_call_text(run->config, request, (int)timeout_s, &reply, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (json_is_integer(json_object_get(reply, "code"))) {
        say_member(run, "code", json_incref(json_object_get(reply, "code")));
    }
    if (json_is_string(json_object_get(reply, "id"))) {
        say_member(run, "id", json_incref(json_object_get(reply, "id")));
    }
    return service_verdict(reply, err);
}

static enum gk_status read_timeout(const char *text, struct publication *publication,
                                   struct gk_error *err)
{
    char *end = NULL;
    long seconds;

    publication->timeout_s = WAIT_S;
    if (text == NULL) {
        return GK_OK;
    }
    if (!publication->wait) {
        return gk_fail(err, GK_USAGE, "--timeout is for --wait");
    }
    errno = 0;
    seconds = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || seconds < 1 || seconds > WAIT_MAX_S) {
        return gk_fail(err, GK_USAGE, "--timeout %.40s: 1 to %d seconds", text, WAIT_MAX_S);
    }
    publication->timeout_s = (unsigned)seconds;
    return GK_OK;
}

enum gk_status command_publish(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(gk_freep) char *params = NULL;
    struct publication publication = { .topic = DEFAULT_TOPIC };
    const char *text = NULL, *timeout = NULL;
    bool lines = false;
    const struct word words[] = { { "topic", &publication.topic, NULL },
                                  { "params", &text, NULL },
                                  { "lines", NULL, &lines },
                                  { "wait", NULL, &publication.wait },
                                  { "timeout", &timeout, NULL },
                                  { 0 } };
    char **rest;
    enum gk_status status = words_read(run, argc, argv, words, 0, 1000, &rest, err);
    int count = 0;

    if (status == GK_OK) {
        status = read_timeout(timeout, &publication, err);
    }
    if (status != GK_OK) {
        return status;
    }
    while (rest[count] != NULL) {
        count++;
    }
    if ((text != NULL) + (count > 0) + lines != 1) {
        return gk_fail(err, GK_USAGE, "give either POINT=VALUE or --params or --lines");
    }
    if (lines) {
        return publish_lines(run, &publication, err);
    }
    status =
        text != NULL ? read_params(text, &params, err) : read_points(count, rest, &params, err);
    return status == GK_OK ? hand_over(run, &publication, params, err) : status;
}
