/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey refresh: fetches revocation lists and new roots when they are due, and says what came. */
#include "agent/command/refresh.h"

#include "agent/clock.h"
#include "agent/state.h"

#include <time.h>

/* Roots are few. */
#define ROOTS_MAX ((size_t)256 * 1024)

/* Whatever fails, the rest is done all the same; the first failure is the command's, the others are
 * told here. */
static void note_problem(const struct run *run, enum refresh_kind kind, struct gk_error *first,
                         const struct gk_error *err)
{
    char sentence[1024];

    if (first->status == GK_OK) {
        *first = *err;
    } else if (err->status != GK_OK) {
        gk_error_sentence(err, NULL, sentence, sizeof(sentence));
        say_note(run, "%s: %s", refresh_kind_words(kind), sentence);
    }
}

/* Anything but the whole thing, or "as you have it". */
static enum gk_status judge_reply(const struct http_reply *reply, const char *url, bool conditional,
                                  struct gk_error *err)
{
    if (reply->status == 200 || (reply->status == 304 && conditional)) {
        return GK_OK;
    }
    if (reply->status == 429) {
        return gk_fail(err, GK_THROTTLED, "%s: code 429", url);
    }
    if (reply->status >= 500) {
        return gk_fail(err, GK_UNREACHABLE, "%s: code %ld", url, reply->status);
    }
    gk_fail(err, GK_HUB_REFUSED, "%s: code %ld", url, reply->status);
    if (reply->status >= 300 && reply->status < 400) {
        gk_advise(err, "redirects are not followed; set crl_url or root_url to the address itself");
    } else {
        gk_advise(err, "check crl_url or root_url");
    }
    return GK_HUB_REFUSED;
}

/* Is there a list that came from there, and can still be believed? Then it need not be sent again.
 */
static bool have_current(const struct refresh *refresh, enum refresh_kind kind, const char *url)
{
    CLEANUP(agent_crl_freep) struct agent_crl *installed = NULL;

    /* Roots are judged anew each time: what is trusted may have changed, though they did not. */
    if (kind != REFRESH_ROOTS && strcmp(refresh->memory.items[kind].url, url) == 0) {
        installed = refresh_installed_list(refresh, kind);
    }
    return installed != NULL;
}

static enum gk_status fetch(const struct refresh *refresh, enum refresh_kind kind, const char *url,
                            struct http_reply *reply, struct gk_error *err)
{
    const struct refresh_item *known = &refresh->memory.items[kind];
    const struct agent_config *config = refresh->config;
    bool api =
        kind != REFRESH_SERVER_CRL && (config->api_url != NULL || config->api_ca_file != NULL);
    char none_match[HTTP_FIELD_SIZE + 16], modified_since[HTTP_FIELD_SIZE + 20];
    const char *headers[] = { NULL, NULL, NULL };
    struct http_request request = { .url = url,
                                    .headers = headers,
                                    .file_max = kind == REFRESH_ROOTS ? ROOTS_MAX : AGENT_CRL_MAX,
                                    .plain = kind != REFRESH_ROOTS };
    CLEANUP(http_freep) struct http *http = NULL;
    enum gk_status status = http_new(config, api ? AGENT_TRUST_API : AGENT_TRUST_HUB, &http, err);
    bool have = status == GK_OK && have_current(refresh, kind, url);
    size_t count = 0;

    if (status != GK_OK) {
        return status;
    }
    if (have && known->etag[0] != '\0') {
        snprintf(none_match, sizeof(none_match), "If-None-Match: %s", known->etag);
        headers[count++] = none_match;
    }
    if (have && known->modified[0] != '\0') {
        snprintf(modified_since, sizeof(modified_since), "If-Modified-Since: %s", known->modified);
        headers[count++] = modified_since;
    }
    status = http_call(http, &request, reply, err);
    return status == GK_OK ? judge_reply(reply, url, count > 0, err) : status;
}

static void outcome_clear(struct refresh_outcome *outcome)
{
    agent_crl_free(outcome->crl);
}

static void format_time(int64_t time, char text[static 32])
{
    time_t seconds = (time_t)time;
    struct tm tm;

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
}

/* One line, and one member of the --json object. why is said once, by whoever ends with it. */
static void say_outcome(struct run *run, enum refresh_kind kind, const char *result,
                        const struct agent_crl *crl, const char *why)
{
    json_t *member = json_pack("{ss ss*}", "result", result, "error", why);
    char text[32];

    if (crl != NULL) {
        format_time(agent_crl_next_update(crl), text);
        say_line(run, "%-12s %s, next by %s", refresh_kind_words(kind), result, text);
        json_object_set_new(member, "nextUpdate", json_string(text));
    } else {
        say_line(run, "%-12s %s", refresh_kind_words(kind), result);
    }
    say_member(run, refresh_kind_name(kind), member);
}

/* What belongs to another address says nothing of this one. */
static void keep_address(struct refresh_item *item, const char *url)
{
    if (strcmp(item->url, url) != 0) {
        item->etag[0] = item->modified[0] = '\0';
        snprintf(item->url, sizeof(item->url), "%s", url);
    }
}

static void keep_fields(struct refresh_item *item, const struct http_reply *reply)
{
    if (reply->status == 200) {
        snprintf(item->etag, sizeof(item->etag), "%s", reply->etag);
        snprintf(item->modified, sizeof(item->modified), "%s", reply->last_modified);
    }
}

/*
 * Install what came, or note that nothing did. The network may have taken its time: only now is the
 * directory locked, and looked at as it is.
 */
static enum gk_status take(struct refresh *refresh, enum refresh_kind kind, const char *url,
                           const struct http_reply *reply, enum gk_status status,
                           struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(outcome_clear) struct refresh_outcome outcome = { 0 };
    struct refresh_item *item = &refresh->memory.items[kind];
    struct gk_error locking = { 0 };
    char sentence[512];
    enum gk_status written = run_lock(refresh->run, &lock, &locking);

    if (written == GK_OK) {
        written = refresh_memory_read(refresh->config, &refresh->memory, &locking);
    }
    if (written != GK_OK) {
        *err = locking;
        return written;
    }
    refresh->now = agent_clock_now(refresh->config);
    keep_address(item, url);
    if (status == GK_OK) {
        status = kind == REFRESH_ROOTS ? refresh_take_roots(refresh, reply, &outcome, err)
                                       : refresh_take_list(refresh, kind, reply, &outcome, err);
    }
    if (status == GK_OK) {
        keep_fields(item, reply);
        refresh_note_success(refresh->config, item, refresh->now, outcome.crl);
        say_outcome(refresh->run, kind, outcome.changed ? "new" : "unchanged", outcome.crl, NULL);
    } else {
        err->status = status;
        gk_error_sentence(err, NULL, sentence, sizeof(sentence));
        refresh_note_failure(refresh->config, item, refresh->now, sentence);
        say_outcome(refresh->run, kind, "failed", NULL, sentence);
    }
    written = refresh_memory_write(refresh->config, &refresh->memory, &locking);
    if (status == GK_OK && written != GK_OK) {
        *err = locking;
        return written;
    }
    return status;
}

static enum gk_status refresh_one(struct refresh *refresh, enum refresh_kind kind, bool if_due,
                                  struct gk_error *err)
{
    CLEANUP(http_reply_clear) struct http_reply reply = { 0 };
    CLEANUP(gk_freep) char *url = NULL;
    enum gk_status status = refresh_address(refresh->config, refresh->openssl, kind, &url, err);

    if (status != GK_OK) {
        return status;
    }
    if (url == NULL) {
        say_outcome(refresh->run, kind, "not fetched: no address is known", NULL, NULL);
        return GK_OK;
    }
    if (if_due && !refresh_is_due(&refresh->memory.items[kind], url, refresh->now)) {
        say_outcome(refresh->run, kind, "not due", NULL, NULL);
        return GK_OK;
    }
    status = fetch(refresh, kind, url, &reply, err);
    return take(refresh, kind, url, &reply, status, err);
}

/* By the list that is here now, whether it came just now or before. */
static enum gk_status look_up_own(const struct refresh *refresh, struct gk_error *err)
{
    bool listed = false;
    enum gk_status status = agent_crl_lists_own(refresh->config, refresh->openssl, &listed, err);

    if (status == GK_OK && listed) {
        return gk_fail(err, GK_REVOKED, "its serial stands in " GK_FILE_CRL);
    }
    /* A list that cannot be believed was complained of when it was fetched, or by doctor. */
    return status == GK_BAD_CRL ? GK_OK : status;
}

/*
 * Where gatekey-refresh.service runs this, the TPM and its passwords are out of reach: a reset that
 * was forced would be finished there with the key left alive. So it is left to whoever can.
 */
static enum gk_status refuse_reset(const struct agent_config *config, struct gk_error *err)
{
    struct agent_state state;

    /* What is wrong with a state that makes no sense, the others say. */
    if (agent_state_read(config->directory, &state, NULL) != GK_OK ||
        state.stage != AGENT_STAGE_RESETTING) {
        return GK_OK;
    }
    gk_fail(err, GK_NOT_ENROLLED, "%s is being reset", config->directory);
    gk_advise(err, "run gatekey reset, which finishes what was begun");
    return GK_NOT_ENROLLED;
}

enum gk_status command_refresh(struct run *run, int argc, char **argv, struct gk_error *err)
{
    bool if_due = false;
    const struct word words[] = { { "if-due", NULL, &if_due }, { 0 } };
    struct refresh refresh = { .run = run, .config = run->config };
    struct gk_error first = { 0 };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status = refuse_reset(run->config, err);
    }
    if (status == GK_OK) {
        status = run_openssl(run, &refresh.openssl, err);
    }
    if (status == GK_OK) {
        status = refresh_memory_read(run->config, &refresh.memory, err);
    }
    if (status != GK_OK) {
        return status;
    }
    refresh.now = agent_clock_now(run->config);
    for (int kind = 0; kind < REFRESH_KINDS; kind++) {
        struct gk_error own = { 0 };

        own.status = refresh_one(&refresh, (enum refresh_kind)kind, if_due, &own);
        note_problem(run, (enum refresh_kind)kind, &first, &own);
    }
    status = look_up_own(&refresh, err);
    if (status == GK_OK) {
        *err = first;
        status = first.status;
    }
    return status;
}
