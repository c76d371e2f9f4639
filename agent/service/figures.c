/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers what the parts of the service know of themselves, and says it shorter. */
#include "agent/service/metrics-internal.h"

#include "agent/clock.h"
#include "agent/roots.h"
#include "agent/spool/spool.h"
#include "config.h"

#include <openssl/x509.h>
#include <time.h>

#define DAY_S 86400

GK_DEFINE_CLEANUP(X509, X509_free)

static void set_integer(json_t *object, const char *name, int64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int64_t wall_ms(void)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- gathering ------------------------------------------------------------------------------- */

static void describe_certificate(const struct service *service, json_t *figures)
{
    CLEANUP(X509_freep) X509 *certificate = certificate_read_own(service);
    int64_t begin, end, left;

    if (certificate == NULL || !agent_certificate_dates(certificate, &begin, &end)) {
        return;
    }
    left = end - agent_clock_now(service->config);
    json_object_set_new(figures, "certificate",
                        json_pack("{sI sI}", "not_after", (json_int_t)end, "days_left",
                                  (json_int_t)(left >= 0 ? left / DAY_S : -1)));
}

static void describe_spool(const struct service *service, json_t *figures)
{
    struct spool_counters c;
    json_t *spool = json_object();
    int64_t now_ms = wall_ms();

    if (service->spool == NULL || spool == NULL) {
        json_decref(spool);
        return;
    }
    spool_count(service->spool, &c);
    json_object_set_new(spool, "usable", json_boolean(spool_is_open(service->spool)));
    set_integer(spool, "queued", (int64_t)c.queued);
    set_integer(spool, "bytes", (int64_t)c.bytes);
    set_integer(spool, "max_bytes", (int64_t)service->config->spool_bytes);
    if (c.oldest_ms != 0) {
        set_integer(spool, "oldest", c.oldest_ms / 1000);
        /* A clock that was set back since makes it no younger than new. */
        set_integer(spool, "oldest_s", now_ms > c.oldest_ms ? (now_ms - c.oldest_ms) / 1000 : 0);
    }
    set_integer(spool, "refused_kept", (int64_t)c.refused);
    set_integer(spool, "refused_bytes", (int64_t)c.refused_bytes);
    set_integer(spool, "rebuilt", (int64_t)c.rebuilt);
    json_object_set_new(figures, "spool", spool);
    json_object_set_new(figures, "counters",
                        json_pack("{sI sI sI sI sI}", "accepted", (json_int_t)c.accepted, "stored",
                                  (json_int_t)c.queued, "acknowledged", (json_int_t)c.acknowledged,
                                  "refused", (json_int_t)c.refused, "dropped",
                                  (json_int_t)c.dropped));
}

/* What is counted on the way into the spool and out of it, beside what the spool itself counts. */
static void describe_way(json_t *figures)
{
    static const struct {
        const char *name, *member;
    } table[] = { { "rejected", "turned_away" }, { "sent", "sent" }, { "resent", "sent_again" } };
    json_t *counters = json_object_get(figures, "counters");

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        json_t *value = json_object_get(figures, table[i].member);

        if (counters != NULL && value != NULL) {
            json_object_set(counters, table[i].name, value);
        }
    }
}

/* Other providers do not count: then each handshake that was no resumption took one. */
static void describe_signatures(const struct service *service, json_t *figures)
{
    struct agent_signatures s;
    json_int_t full = integer_of(figures, "connects") - integer_of(figures, "resumed");

    if (agent_openssl_signatures(service->openssl, &s)) {
        json_object_set_new(figures, "tpm",
                            json_pack("{sI sI sf sf}", "signatures", (json_int_t)s.made,
                                      "signature_failures", (json_int_t)s.failed,
                                      "signature_ms_last", (double)s.last_us / 1000,
                                      "signature_ms_total", (double)s.total_us / 1000));
    } else if (strcmp(service->config->provider, "default") != 0) {
        json_object_set_new(figures, "tpm",
                            json_pack("{sI sb}", "signatures", full, "estimated", 1));
    }
}

/* proc_pid_statm(5): of the files about memory the one that a process whose memory nobody may read
 * can read itself. */
static void describe_memory(json_t *figures)
{
    CLEANUP(gk_fclosep) FILE *file = fopen("/proc/self/statm", "re");
    long resident;

    if (file != NULL && fscanf(file, "%*d %ld", &resident) == 1) {
        set_integer(figures, "resident_bytes", (int64_t)resident * sysconf(_SC_PAGESIZE));
    }
}

static void describe_parts(const struct service *service, json_t *figures)
{
    if (service->session != NULL) {
        session_describe(service->session, figures);
    }
    if (service->intake != NULL) {
        intake_describe(service->intake, figures);
    }
    if (service->uplink != NULL) {
        uplink_describe(service->uplink, figures);
    }
    if (service->publisher != NULL) {
        publisher_describe(service->publisher, figures);
    }
    if (service->commander != NULL) {
        commander_describe(service->commander, figures);
    }
    if (service->notices != NULL) {
        notices_describe(service->notices, figures);
    }
    if (service->clock != NULL) {
        clock_watch_describe(service->clock, figures);
    }
    if (service->relay != NULL) {
        relay_describe(service->relay, figures);
    }
    describe_spool(service, figures);
    describe_way(figures);
}

json_t *figures_gather(const struct service *service, uint64_t started_ms)
{
    const struct agent_config *config = service->config;
    int64_t now_ms = wall_ms(), up_s = (int64_t)(service_now_ms() - started_ms) / 1000;
    json_t *figures =
        json_pack("{s:b, s:s, s:i, s:s*, s:i, s:s*, s:s*}", "ok", 1, "version", PACKAGE_VERSION,
                  "pid", (int)getpid(), "host", config->host, "port", (int)config->port,
                  "product_key", config->product_key, "device_key", config->device_key);

    if (figures == NULL) {
        return NULL;
    }
    set_integer(figures, "time", now_ms / 1000);
    set_integer(figures, "uptime_s", up_s);
    describe_parts(service, figures);
    describe_certificate(service, figures);
    describe_signatures(service, figures);
    describe_memory(figures);
    return figures;
}

/* --- shorter --------------------------------------------------------------------------------- */

static void copy(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);

    if (value != NULL) {
        json_object_set(to, name, value);
    }
}

json_t *figures_for_applications(const json_t *figures)
{
    static const char *const members[] = { "state",      "connected", "since",
                                           "last_error", "counters",  "certificate" };
    static const char *const of_spool[] = { "usable", "queued", "bytes", "max_bytes", "oldest" };
    const json_t *spool = json_object_get(figures, "spool");
    json_t *cut = json_object();
    json_t *spool_cut = json_object();

    if (cut == NULL || spool_cut == NULL) {
        json_decref(cut);
        json_decref(spool_cut);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        copy(cut, figures, members[i]);
    }
    for (size_t i = 0; i < sizeof(of_spool) / sizeof(of_spool[0]); i++) {
        copy(spool_cut, spool, of_spool[i]);
    }
    json_object_set_new(cut, "spool", spool_cut);
    return cut;
}

static void say_connection(const json_t *figures, char *text, size_t size)
{
    const char *state = json_string_value(json_object_get(figures, "state"));
    const char *why = json_string_value(json_object_get(figures, "last_error"));

    if (json_is_true(json_object_get(figures, "connected"))) {
        snprintf(text, size, "connected to %s",
                 json_string_value(json_object_get(figures, "connected_to")));
    } else if (why != NULL && (strcmp(state, "waiting") == 0 || strcmp(state, "revoked") == 0 ||
                               strcmp(state, "clock-wrong") == 0)) {
        snprintf(text, size, "%s", why);
    } else {
        snprintf(text, size, "%s", state != NULL ? state : "starting");
    }
}

void figures_sentence(const json_t *figures, char *sentence, size_t size)
{
    const json_t *spool = json_object_get(figures, "spool");
    time_t oldest = (time_t)integer_of(spool, "oldest");
    struct tm tm = { 0 };
    char since[32] = "";
    size_t used;

    say_connection(figures, sentence, size);
    used = strlen(sentence);
    if (json_is_false(json_object_get(spool, "usable"))) {
        snprintf(sentence + used, size - used, "; the spool cannot be used, see the log");
    } else if (integer_of(spool, "queued") > 0) {
        strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&oldest, &tm));
        snprintf(sentence + used, size - used,
                 "; %" JSON_INTEGER_FORMAT " messages wait, the oldest since %s",
                 integer_of(spool, "queued"), since);
    }
}
