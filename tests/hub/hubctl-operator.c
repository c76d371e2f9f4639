/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's program beside the hub, for gateways without API credentials: it alone holds an
 * application's secret, reads the gateways' events, and does at the REST API what they ask for.
 *
 *     certificateRequest     {"csr","certSN","validDay"}: apply where certSN is empty, else renew;
 *                            the answer goes back as service installCertificate
 *     certificateSuperseded  {"certSN"}: revoke (superseded)
 *     revokeMe               {"certSN","reason"}: revoke
 *
 * Whose event it is, the hub says. What was read and what is still to be done stands in
 * applications/NAME.json, so that it can be ended and started at any time. The same request for the
 * same certificate gets the same certificate again. A gateway that is offline gets it once it is
 * not.
 */
#include "tests/hub/hubctl.h"

#include "tests/hub/application.h"
#include "tests/hub/client.h"
#include "tests/hub/file.h"
#include "tests/hub/keeping.h"
#include "tests/hub/text.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>

#define EVENTS "/connect-service/v2.1/events"
#define PAUSE_MS 300
#define REPLY_TIMEOUT_S "20"

#define REASON_SUPERSEDED 4
#define REASON_CESSATION 5

enum code {
    CODE_OFFLINE = 11900,
    CODE_NO_REPLY = 11915,
    CODE_FAULT = 99500,
    CODE_DEVICE_FAILED = 2002, /* gatekeyd(8): its disk did not take it */
    CODE_DEVICE_BUSY = 2005,   /* its inbox is full */
};

/* What became of one thing to do. */
enum outcome { DONE, LATER };

struct program {
    struct hub_client *client;
    char *state_file;
    bool is_deaf;  /* the events could not be read the last time */
    json_t *state; /* {"seen": eventId, "jobs": [event...], "answers": {digest: certificate}} */
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

/* One line on stdout for what was done for a device. */
static void say(const json_t *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const json_t *job, const char *format, ...)
{
    char text[300];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    hub_plain(text);
    printf("%s/%s: %s\n", hub_text(job, "productKey"), hub_text(job, "deviceKey"), text);
    fflush(stdout);
}

static void save(struct program *program)
{
    CLEANUP(gk_freep) char *text = json_dumps(program->state, JSON_COMPACT);
    struct gk_error err = { 0 };

    if (text == NULL || hub_file_write(program->state_file, text, 0600, &err) != GK_OK) {
        hubctl_fail("cannot write %s", program->state_file);
    }
}

/* A call about the device a job is of. */
static int call_for(struct program *program, const json_t *job, const char *path,
                    const char *action, const json_t *body, json_t **answer)
{
    const struct hub_client_call call = {
        .path = path,
        .query = { { "action", action },
                   { "productKey", hub_text(job, "productKey") },
                   { "deviceKey", hub_text(job, "deviceKey") },
                   { "serviceId", "installCertificate" },
                   { "timeout", REPLY_TIMEOUT_S } },
        .query_count = strcmp(action, "invokeService") == 0 ? 5 : 3,
        .body = body,
    };

    return hub_client_call(program->client, &call, answer);
}

/* Whether a failure passes by itself. */
static bool is_passing(int code)
{
    return code == HUB_CLIENT_UNREACHABLE || code == CODE_OFFLINE || code == CODE_NO_REPLY ||
           code == CODE_FAULT || code == CODE_DEVICE_FAILED || code == CODE_DEVICE_BUSY;
}

static enum outcome conclude(const json_t *job, int code, const json_t *answer, const char *what)
{
    if (is_passing(code)) {
        return LATER;
    }
    if (code != 0) {
        say(job, "%s refused: %d %s", what, code, hub_text(answer, "msg"));
    }
    return DONE;
}

/* What a request is known by: the device, the certificate it is to replace, and its bytes. A
 * gateway that keeps its key sends the same bytes at each renewal. */
static bool digest_request(const json_t *job, char hex[static HUB_HEX_SIZE(32)])
{
    const json_t *value = json_object_get(job, "value");
    CLEANUP(gk_freep)
    char *text = hub_print("%s\n%s\n%s", hub_text(job, "assetId"), hub_text(value, "certSN"),
                           hub_text(value, "csr"));
    uint8_t digest[32];

    if (text == NULL || EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1) {
        return false;
    }
    hub_hex(digest, sizeof(digest), hex);
    return true;
}

/* The record of a serial in a device's list of certificates, NULL where it is not bound to it. */
static const json_t *find_record(const json_t *list, const char *serial)
{
    size_t index;
    const json_t *record;

    json_array_foreach(list, index, record)
    {
        if (strcmp(hub_text(record, "certSN"), serial) == 0) {
            return record;
        }
    }
    return NULL;
}

/* Have the hub issue what is asked for; data is the certificate, the caller's to release. */
static enum outcome issue(struct program *program, const json_t *job, json_t **data)
{
    const json_t *value = json_object_get(job, "value");
    const char *old = hub_text(value, "certSN");
    const char *action = *old != '\0' ? "renew" : "apply";
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:s}", "csr", hub_text(value, "csr"));
    CLEANUP(json_decrefp) json_t *answer = NULL;
    int code;

    if (*old != '\0') {
        json_object_set_new(body, "certSn", json_integer(strtoll(old, NULL, 10)));
    }
    if (hub_number(value, "validDay") > 0) {
        json_object_set_new(body, "validDay", json_integer(hub_number(value, "validDay")));
    }
    code = call_for(program, job, HUBCTL_CERTIFICATES, action, body, &answer);
    if (code == 0) {
        *data = json_incref(json_object_get(answer, "data"));
        say(job, "certificate %s issued%s%s", hub_text(*data, "certSN"),
            *old != '\0' ? " in place of " : "", old);
    }
    return conclude(job, code, answer, action);
}

static enum outcome hand_over(struct program *program, const json_t *job, const json_t *data)
{
    CLEANUP(json_decrefp)
    json_t *body = json_pack(
        "{s:{s:O,s:O,s:O,s:O}}", "inputData", "cert", json_object_get(data, "cert"), "caCert",
        json_object_get(data, "caCert"), "certSN", json_object_get(data, "certSN"), "certChainURL",
        json_object_get(data, "certChainURL"));
    CLEANUP(json_decrefp) json_t *answer = NULL;
    int code = call_for(program, job, HUBCTL_COMMANDS, "invokeService", body, &answer);

    if (code == 0) {
        say(job, "certificate %s handed over", hub_text(data, "certSN"));
    }
    return conclude(job, code, answer, "installCertificate");
}

static enum outcome answer_request(struct program *program, const json_t *job)
{
    const char *old = hub_text(json_object_get(job, "value"), "certSN");
    json_t *answers = json_object_get(program->state, "answers");
    CLEANUP(json_decrefp) json_t *listed = NULL;
    CLEANUP(json_decrefp) json_t *data = NULL;
    char digest[HUB_HEX_SIZE(32)];
    const json_t *record;
    enum outcome outcome;
    int code = call_for(program, job, HUBCTL_CERTIFICATES, "list", NULL, &listed);

    if (code != 0 || !digest_request(job, digest)) {
        return conclude(job, code, listed, "list");
    }
    data = json_incref(json_object_get(answers, digest));
    record = find_record(json_object_get(listed, "data"), hub_text(data, "certSN"));
    if (record == NULL || hub_number(record, "certStatus") != 0) {
        json_decref(data);
        data = NULL;
        if (*old != '\0' && find_record(json_object_get(listed, "data"), old) == NULL) {
            say(job, "request refused: certificate %s is not bound to this device", old);
            return DONE;
        }
        outcome = issue(program, job, &data);
        if (data == NULL) {
            return outcome;
        }
        json_object_set(answers, digest, data);
        save(program);
    }
    return hand_over(program, job, data);
}

static enum outcome end_certificate(struct program *program, const json_t *job, int64_t reason)
{
    const char *serial = hub_text(json_object_get(job, "value"), "certSN");
    CLEANUP(json_decrefp)
    json_t *body = json_pack("{s:I,s:I}", "certSn", (json_int_t)strtoll(serial, NULL, 10), "reason",
                             (json_int_t)reason);
    CLEANUP(json_decrefp) json_t *answer = NULL;
    int code = call_for(program, job, HUBCTL_CERTIFICATES, "revoke", body, &answer);

    if (code == 0) {
        say(job, "certificate %s revoked, reason %" PRId64, serial, reason);
    }
    return conclude(job, code, answer, "revoke");
}

static enum outcome answer_superseded(struct program *program, const json_t *job)
{
    return end_certificate(program, job, REASON_SUPERSEDED);
}

static enum outcome answer_revoke_me(struct program *program, const json_t *job)
{
    const json_t *reason = json_object_get(json_object_get(job, "value"), "reason");

    return end_certificate(program, job,
                           json_is_integer(reason) ? json_integer_value(reason) : REASON_CESSATION);
}

static const struct duty {
    const char *event;
    enum outcome (*answer)(struct program *program, const json_t *job);
    bool newest; /* a newer one of the same device takes the place of the older */
} duties[] = {
    { "certificateRequest", answer_request, true },
    { "certificateSuperseded", answer_superseded, false },
    { "revokeMe", answer_revoke_me, false },
};

static const struct duty *find_duty(const json_t *event)
{
    for (size_t i = 0; i < sizeof(duties) / sizeof(duties[0]); i++) {
        if (strcmp(duties[i].event, hub_text(event, "event")) == 0) {
            return &duties[i];
        }
    }
    return NULL;
}

static void add_job(json_t *jobs, json_t *event)
{
    const struct duty *duty = find_duty(event);
    size_t index;
    json_t *job;

    if (duty == NULL) {
        return;
    }
    json_array_foreach(jobs, index, job)
    {
        if (duty->newest && find_duty(job) == duty &&
            strcmp(hub_text(job, "assetId"), hub_text(event, "assetId")) == 0) {
            json_array_remove(jobs, index);
            break;
        }
    }
    json_array_append(jobs, event);
}

/* Say once that the events cannot be read, and once more after they could. */
static void complain(struct program *program, int code, const json_t *answer)
{
    if (code != 0 && !program->is_deaf) {
        hubctl_fail("cannot read the events: %s",
                    answer != NULL ? hub_text(answer, "msg") : "the hub does not answer");
    }
    program->is_deaf = code != 0;
}

/* Read what came since. What was read is written down as a job before it is done. */
static void read_events(struct program *program)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    char after[24];
    json_t *data;
    json_t *event;
    size_t index;
    int code;

    snprintf(after, sizeof(after), "%" PRId64, hub_number(program->state, "seen"));
    code = hub_client_call(
        program->client,
        &(struct hub_client_call){ .path = EVENTS,
                                   .query = { { "action", "list" }, { "after", after } },
                                   .query_count = 2 },
        &answer);
    complain(program, code, answer);
    if (code != 0) {
        return;
    }
    data = json_object_get(answer, "data");
    if (hub_number(data, "last") == hub_number(program->state, "seen")) {
        return;
    }
    json_array_foreach(json_object_get(data, "events"), index, event)
    {
        add_job(json_object_get(program->state, "jobs"), event);
    }
    json_object_set(program->state, "seen", json_object_get(data, "last"));
    save(program);
}

/* In the order they came; what cannot be done yet stays. */
static void do_jobs(struct program *program)
{
    json_t *jobs = json_object_get(program->state, "jobs");
    size_t next = 0;

    while (next < json_array_size(jobs) && !ended) {
        const json_t *job = json_array_get(jobs, next);

        if (find_duty(job)->answer(program, job) == LATER) {
            next++;
        } else {
            json_array_remove(jobs, next);
            save(program);
        }
    }
}

static json_t *read_state(const char *path)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };
    json_t *state = NULL;

    if (hub_file_read(path, &text, &err) == GK_OK) {
        state = json_loads(text, 0, NULL);
    }
    return state != NULL ? state : json_pack("{s:i,s:[],s:{}}", "seen", 0, "jobs", "answers");
}

/* A line NAME=VALUE or NAME='VALUE' of hub.env; the caller frees it. */
static char *read_environment(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            const char *value = text + length + 1;
            bool quoted = *value == '\'';

            return strndup(value + quoted, strcspn(value + quoted, quoted ? "'" : "\n"));
        }
    }
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int work(const struct run *run, struct program *program)
{
    const char *length = hubctl_option(run, "--for");
    int64_t until_ms = length != NULL ? now_ms() + 1000 * strtoll(length, NULL, 10) : INT64_MAX;

    do {
        read_events(program);
        do_jobs(program);
        if (hubctl_option(run, "--once") != NULL) {
            break;
        }
        usleep(PAUSE_MS * 1000);
    } while (!ended && now_ms() < until_ms);
    return !program->is_deaf && json_array_size(json_object_get(program->state, "jobs")) == 0 ? 0
                                                                                              : 1;
}

/* Where the hub is, as it says itself. */
struct place {
    char *url;
    char *ca_file;
    char *org_id;
};

static void place_clear(struct place *place)
{
    free(place->url);
    free(place->ca_file);
    free(place->org_id);
}

static bool read_place(struct place *place)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct gk_error err = { 0 };

    if (hub_file_read(HUB_ENVIRONMENT_FILE, &text, &err) != GK_OK) {
        return false;
    }
    place->url = read_environment(text, "HUB_API_URL");
    place->ca_file = read_environment(text, "HUB_CA_FILE");
    place->org_id = read_environment(text, "HUB_ORG_ID");
    return place->url != NULL && place->ca_file != NULL && place->org_id != NULL;
}

static json_t *find_application(const struct run *run, const char *name)
{
    CLEANUP(hub_store_closep) struct hub_store *store = hubctl_store(run);

    return store == NULL
               ? NULL
               : hub_store_row(store, "SELECT * FROM application WHERE name = ?", "s", name);
}

int hubctl_operate(struct run *run)
{
    const char *given = hubctl_option(run, "--app");
    const char *name = given != NULL ? given : HUB_APPLICATION_FIRST;
    CLEANUP(json_decrefp) json_t *application = find_application(run, name);
    CLEANUP(place_clear) struct place place = { 0 };
    CLEANUP(gk_freep) char *state_file = hub_print("applications/%s.json", name);
    CLEANUP(hub_client_freep) struct hub_client *client = NULL;
    struct hub_client_options options;
    struct program program;
    int code;

    if (application == NULL || !read_place(&place)) {
        return hubctl_fail("there is no application %s, or no hub runs in %s", name,
                           run->directory);
    }
    if (state_file == NULL || (mkdir("applications", 0700) != 0 && errno != EEXIST)) {
        return hubctl_fail("cannot write in %s", run->directory);
    }
    options = (struct hub_client_options){ place.url, place.ca_file, place.org_id,
                                           hub_text(application, "appKey"),
                                           hub_text(application, "appSecret") };
    client = hub_client_new(&options);
    program = (struct program){ client, state_file, false, read_state(state_file) };
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    code = client != NULL ? work(run, &program) : 1;
    json_decref(program.state);
    return code;
}
