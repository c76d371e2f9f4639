/* SPDX-License-Identifier: Apache-2.0 */
/* Renews what the hub keeps before its time is over. */
#include "tests/hub/steward.h"

#include "tests/hub/api.h"
#include "tests/hub/broker.h"
#include "tests/hub/keeping.h"
#include "tests/hub/text.h"

#include <pthread.h>
#include <signal.h>

#define LONGEST_PAUSE_MS 60000
#define FIRST_RETRY_MS 500

struct hub_steward {
    struct hub *hub;
    pthread_t thread;
    bool works;           /* there is a thread */
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t news;
    bool ending;
    int failures;
    pthread_mutex_t renewing; /* held while the server's certificate changes */
};

enum gk_status hub_steward_renew(struct hub_steward *steward, bool anew, struct gk_error *err)
{
    struct hub *hub = steward->hub;
    enum gk_status status = GK_OK;
    bool changed = false;

    pthread_mutex_lock(&steward->renewing);
    if (anew && !hub_store_set(hub->store, "serverCertificate", "to be renewed")) {
        status = gk_fail(err, GK_FILE_FAILED, HUB_DATABASE_FILE);
    }
    if (status == GK_OK) {
        status = hub_keep_server_certificate(hub, &changed, err);
    }
    if (status == GK_OK && changed) {
        status = hub_api_renew(hub->api, err);
        hub_broker_reload(hub);
    }
    pthread_mutex_unlock(&steward->renewing);
    /* It may be due sooner than the thread thinks. */
    pthread_mutex_lock(&steward->lock);
    pthread_cond_signal(&steward->news);
    pthread_mutex_unlock(&steward->lock);
    return status;
}

static enum gk_status do_what_is_due(struct hub_steward *steward, struct gk_error *err)
{
    struct hub *hub = steward->hub;
    enum gk_status status = GK_OK;

    if (hub_now_ms() >= hub->crl_due_ms) {
        status = hub_keep_crl(hub, err);
        if (status == GK_OK) {
            hub_broker_reload(hub);
        }
    }
    if (status == GK_OK && hub_now_ms() >= hub->server_due_ms) {
        status = hub_steward_renew(steward, false, err);
    }
    return status;
}

/* Retries come ever later; however far off the next work is, a look at the clock comes before. */
static int64_t pause_ms(const struct hub_steward *steward)
{
    const struct hub *hub = steward->hub;
    int64_t due_ms = hub->crl_due_ms < hub->server_due_ms ? hub->crl_due_ms : hub->server_due_ms;
    int64_t pause = due_ms - hub_now_ms();

    if (steward->failures > 0) {
        pause = FIRST_RETRY_MS << (steward->failures < 8 ? steward->failures : 8);
    }
    return pause < 1 ? 1 : pause > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause;
}

/* False when it is time to end. The lock is held. */
static bool rest(struct hub_steward *steward)
{
    int64_t pause = pause_ms(steward);
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += pause / 1000;
    until.tv_nsec += pause % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (!steward->ending) {
        pthread_cond_timedwait(&steward->news, &steward->lock, &until);
    }
    return !steward->ending;
}

static void *work(void *argument)
{
    struct hub_steward *steward = argument;
    char sentence[800];

    pthread_mutex_lock(&steward->lock);
    while (rest(steward)) {
        struct gk_error err = { 0 };
        enum gk_status status;

        pthread_mutex_unlock(&steward->lock);
        status = do_what_is_due(steward, &err);
        if (status != GK_OK) {
            gk_error_sentence(&err, "renew what the CA signs", sentence, sizeof(sentence));
            hub_say("%s", sentence);
        }
        pthread_mutex_lock(&steward->lock);
        steward->failures = status == GK_OK ? 0 : steward->failures + 1;
    }
    pthread_mutex_unlock(&steward->lock);
    return NULL;
}

struct hub_steward *hub_steward_new(struct hub *hub)
{
    struct hub_steward *steward = calloc(1, sizeof(*steward));
    pthread_condattr_t monotonic;

    if (steward == NULL) {
        return NULL;
    }
    steward->hub = hub;
    pthread_mutex_init(&steward->lock, NULL);
    pthread_mutex_init(&steward->renewing, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&steward->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return steward;
}

void hub_steward_free(struct hub_steward *steward)
{
    if (steward != NULL) {
        pthread_cond_destroy(&steward->news);
        pthread_mutex_destroy(&steward->lock);
        pthread_mutex_destroy(&steward->renewing);
        free(steward);
    }
}

enum gk_status hub_steward_start(struct hub_steward *steward, struct gk_error *err)
{
    sigset_t all;
    sigset_t old;

    /* Signals are for the broker's thread alone. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    steward->works = pthread_create(&steward->thread, NULL, work, steward) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return steward->works ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

void hub_steward_stop(struct hub_steward *steward)
{
    if (steward == NULL || !steward->works) {
        return;
    }
    pthread_mutex_lock(&steward->lock);
    steward->ending = true;
    pthread_cond_signal(&steward->news);
    pthread_mutex_unlock(&steward->lock);
    pthread_join(steward->thread, NULL);
    steward->works = false;
}
