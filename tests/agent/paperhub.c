/* SPDX-License-Identifier: Apache-2.0 */
/* A hub on paper, and a session that goes to it. */
#include "tests/agent/paperhub.h"

#include "agent/service/log.h"
#include "tests/agent/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct service paper_service;
struct agent_config paper_config;
struct paper_request paper[PAPER_MAX];
size_t paper_count;

enum gk_status paper_link;
enum gk_status paper_subscribing;
bool paper_clock_is_right;
bool paper_broker_is_there;
enum gk_status paper_takes;
unsigned paper_reconnects;
unsigned paper_subscribed, paper_unsubscribed;
unsigned paper_logged;
char paper_log[1024];
char paper_told[1024];
unsigned paper_told_count, paper_retained;

static bool connected;
static int last_mid;
static char word[2][32] = { "pk", "dk" };

/* --- in place of the service's own ----------------------------------------------------------- */

enum gk_status __wrap_session_require(const struct session *session, struct gk_error *err);
enum gk_status __wrap_session_accepts(const struct session *session, struct gk_error *err);
enum gk_status __wrap_session_publish(struct session *session, const char *rest,
                                      const void *payload, size_t size, struct gk_error *err);
enum gk_status __wrap_session_publish_mid(struct session *session, const char *rest,
                                          const void *payload, size_t size, int *mid,
                                          struct gk_error *err);
enum gk_status __wrap_session_subscribe(struct session *session, const char *rest,
                                        struct gk_error *err);
enum gk_status __wrap_session_unsubscribe(struct session *session, const char *rest,
                                          struct gk_error *err);
void __wrap_session_reconnect(struct session *session, session_verdict *verdict, void *context);
enum gk_status __wrap_clock_watch_permit(const struct clock_watch *watch, struct gk_error *err);
bool __wrap_relay_is_up(const struct relay *relay);
enum gk_status __wrap_relay_publish(struct relay *relay, const char *topic, const void *payload,
                                    size_t size, bool retain, struct gk_error *err);
void __wrap_log_line(enum log_level level, const char *format, ...);
void __wrap_log_failure(enum log_level level, const char *operation, const struct gk_error *err);

enum gk_status __wrap_session_require(const struct session *session, struct gk_error *err)
{
    (void)session;
    return connected ? GK_OK : gk_fail(err, GK_UNREACHABLE, "no connection");
}

enum gk_status __wrap_session_accepts(const struct session *session, struct gk_error *err)
{
    (void)session;
    return paper_takes == GK_OK ? GK_OK : gk_fail(err, paper_takes, NULL);
}

static void write_down(const char *rest, const void *payload, size_t size, int mid)
{
    struct paper_request *request = &paper[paper_count++];
    json_t *whole = mid == 0 ? json_loadb(payload, size, 0, NULL) : NULL;
    const json_t *params = json_object_get(whole, "params");

    assert_true(paper_count < PAPER_MAX);
    *request = (struct paper_request){ .size = size, .mid = mid, .sent_ms = loop_now_ms() };
    snprintf(request->rest, sizeof(request->rest), "%s", rest);
    request->text = strndup(payload, size);
    request->entries = json_is_array(params) ? json_array_size(params) : 1;
    if (mid == 0) {
        assert_non_null(params);
        snprintf(request->id, sizeof(request->id), "%s",
                 json_string_value(json_object_get(whole, "id")));
        request->last = strtoll(request->id, NULL, 10);
    }
    json_decref(whole);
}

static enum gk_status publish(const char *rest, const void *payload, size_t size, int mid,
                              struct gk_error *err)
{
    enum gk_status status = __wrap_session_require(NULL, err);

    if (status == GK_OK && paper_link != GK_OK) {
        status = gk_fail(err, paper_link, "the test says so");
    }
    if (status == GK_OK) {
        write_down(rest, payload, size, mid);
    }
    return status;
}

enum gk_status __wrap_session_publish(struct session *session, const char *rest,
                                      const void *payload, size_t size, struct gk_error *err)
{
    (void)session;
    return publish(rest, payload, size, 0, err);
}

enum gk_status __wrap_session_publish_mid(struct session *session, const char *rest,
                                          const void *payload, size_t size, int *mid,
                                          struct gk_error *err)
{
    enum gk_status status = publish(rest, payload, size, last_mid + 1, err);

    (void)session;
    if (status == GK_OK) {
        *mid = ++last_mid;
    }
    return status;
}

enum gk_status __wrap_session_subscribe(struct session *session, const char *rest,
                                        struct gk_error *err)
{
    (void)session;
    (void)rest;
    paper_subscribed++;
    return paper_subscribing == GK_OK ? __wrap_session_require(NULL, err)
                                      : gk_fail(err, paper_subscribing, "the test says so");
}

enum gk_status __wrap_session_unsubscribe(struct session *session, const char *rest,
                                          struct gk_error *err)
{
    (void)session;
    (void)rest;
    paper_unsubscribed++;
    return __wrap_session_require(NULL, err);
}

void __wrap_session_reconnect(struct session *session, session_verdict *verdict, void *context)
{
    (void)session;
    (void)verdict;
    (void)context;
    paper_reconnects++;
}

enum gk_status __wrap_clock_watch_permit(const struct clock_watch *watch, struct gk_error *err)
{
    (void)watch;
    return paper_clock_is_right ? GK_OK : gk_fail(err, GK_CLOCK_WRONG, NULL);
}

bool __wrap_relay_is_up(const struct relay *relay)
{
    (void)relay;
    return paper_broker_is_there;
}

enum gk_status __wrap_relay_publish(struct relay *relay, const char *topic, const void *payload,
                                    size_t size, bool retain, struct gk_error *err)
{
    (void)relay;
    (void)err;
    paper_told_count++;
    paper_retained += retain;
    snprintf(paper_told, sizeof(paper_told), "%s %.*s", topic, (int)size, (const char *)payload);
    return GK_OK;
}

void __wrap_log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;

    (void)level;
    va_start(arguments, format);
    vsnprintf(paper_log, sizeof(paper_log), format, arguments);
    va_end(arguments);
    paper_logged++;
}

void __wrap_log_failure(enum log_level level, const char *operation, const struct gk_error *err)
{
    (void)level;
    gk_error_sentence(err, operation, paper_log, sizeof(paper_log));
    paper_logged++;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static void burn(void)
{
    for (size_t i = 0; i < paper_count; i++) {
        free(paper[i].text);
    }
    paper_count = 0;
}

void paper_reset(void)
{
    static char here[] = ".";
    struct gk_error err = { 0 };

    burn();
    assert_int_equal(spool_erase(".", &err), GK_OK);
    paper_config = (struct agent_config){ .directory = here,
                                          .state_directory = here,
                                          .product_key = word[0],
                                          .device_key = word[1],
                                          .spool_bytes = 16 * 1024 * 1024,
                                          .spool_age_s = 3600,
                                          .resume_after_s = 60 };
    paper_link = paper_subscribing = paper_takes = GK_OK;
    paper_clock_is_right = true;
    paper_broker_is_there = false;
    paper_reconnects = paper_subscribed = paper_unsubscribed = paper_logged = 0;
    paper_told_count = paper_retained = 0;
    paper_log[0] = paper_told[0] = '\0';
}

void paper_start(void)
{
    static char session, relay; /* only whether there is one is looked at */
    struct service *service = &paper_service;
    struct gk_error err = { 0 };

    connected = false;
    *service = (struct service){ .config = &paper_config,
                                 .session = (struct session *)(void *)&session,
                                 .relay = (struct relay *)(void *)&relay };
    assert_int_equal(storage_new(service, &service->storage, &err), GK_OK);
    assert_int_equal(intake_new(service, &service->intake, &err), GK_OK);
    assert_int_equal(uplink_new(service, &service->uplink, &err), GK_OK);
    assert_int_equal(publisher_new(service, &service->publisher, &err), GK_OK);
}

void paper_stop(void)
{
    uplink_free(TAKE(paper_service.uplink));
    publisher_free(TAKE(paper_service.publisher));
    intake_free(TAKE(paper_service.intake));
    storage_free(TAKE(paper_service.storage));
}

int paper_begin(void **state)
{
    (void)state;
    paper_reset();
    paper_start();
    return 0;
}

int paper_end(void **state)
{
    (void)state;
    paper_stop();
    burn();
    return 0;
}

/* --- the hub --------------------------------------------------------------------------------- */

void paper_connect(void)
{
    connected = true;
    uplink_up(paper_service.uplink);
    loop_settle();
}

void paper_cut(void)
{
    const struct gk_error why = { .status = GK_UNREACHABLE, .object = "the test cut it" };

    connected = false;
    for (size_t i = 0; i < paper_count; i++) {
        paper[i].answered = true;
    }
    uplink_down(paper_service.uplink);
    publisher_down(paper_service.publisher, &why);
    loop_settle();
}

void paper_answer(size_t i, int code)
{
    struct paper_request *request = &paper[i];
    char rest[200], text[100];

    assert_true(i < paper_count && !request->answered);
    request->answered = true;
    if (request->mid != 0) {
        publisher_acknowledged(paper_service.publisher, request->mid);
    } else {
        snprintf(rest, sizeof(rest), "%s_reply", request->rest);
        snprintf(text, sizeof(text), "{\"id\":\"%s\",\"code\":%d,\"data\":{},\"message\":\"no\"}",
                 request->id, code);
        assert_true(publisher_receive(paper_service.publisher, rest, text, strlen(text)));
    }
    loop_settle();
}

size_t paper_open_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < paper_count; i++) {
        count += !paper[i].answered;
    }
    return count;
}

size_t paper_open(void)
{
    for (size_t i = 0; i < paper_count; i++) {
        if (!paper[i].answered) {
            return i;
        }
    }
    fail_msg("nothing waits for the hub's answer");
    return 0;
}

/* --- handing over ---------------------------------------------------------------------------- */

static void on_done(void *context, int64_t id, const struct gk_error *err)
{
    struct paper_promise *promise = context;

    promise->id = id;
    promise->status = err != NULL ? err->status : GK_OK;
    promise->told++;
}

enum gk_status paper_take(const char *topic, const char *params, struct paper_promise *promise)
{
    const struct intake_message message = { .topic = topic,
                                            .payload = params,
                                            .size = strlen(params) };
    struct gk_error err = { 0 };

    *promise = (struct paper_promise){ 0 };
    return intake_take(paper_service.intake, &message, on_done, promise, &err);
}

int64_t paper_store(const char *topic, const char *params)
{
    struct paper_promise promise;

    assert_int_equal(paper_take(topic, params, &promise), GK_OK);
    loop_settle();
    assert_int_equal(promise.told, 1);
    assert_int_equal(promise.status, GK_OK);
    return promise.id;
}

int64_t paper_store_number(const char *topic, unsigned n)
{
    char params[48];

    snprintf(params, sizeof(params), "{\"n\":%u,\"time\":1}", n);
    return paper_store(topic, params);
}

struct spool_counters paper_counters(void)
{
    struct spool_counters counters;

    spool_count(paper_service.spool, &counters);
    return counters;
}

bool paper_is_saved(void)
{
    return !spool_has_settled(paper_service.spool);
}

void paper_balance(void)
{
    struct spool_counters counters = paper_counters();

    assert_int_equal(counters.accepted,
                     counters.acknowledged + counters.refused + counters.dropped + counters.queued);
}
