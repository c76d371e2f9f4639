/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the spool, and goes on without one: a disk that is full or cannot be written is no reason
 * to leave the hub. It is tried again every minute.
 */
#include "agent/service/log.h"
#include "agent/service/service.h"
#include "agent/spool/spool.h"

#include <errno.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#define RETRY_US ((uint64_t)60 * 1000000)

struct storage {
    struct service *service;
    sd_event_source *retry;
    enum gk_status said; /* why it could not be opened, as the log has it */
};

static void on_alive(void)
{
    sd_notify(0, "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
}

/* It may be that it could not be begun anew either. */
static void on_said(void *context, const char *sentence)
{
    struct storage *storage = context;

    log_line(LOG_LEVEL_ERROR, "%s", sentence);
    if (storage->retry != NULL) {
        sd_event_source_set_time_relative(storage->retry, RETRY_US);
        sd_event_source_set_enabled(storage->retry, SD_EVENT_ONESHOT);
    }
}

/* True once it is open. */
static bool try_it(struct storage *storage)
{
    const char *directory = storage->service->config->state_directory;
    struct gk_error err = { 0 };
    enum gk_status status = GK_OK;

    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        status = gk_fail_file(&err, errno, directory);
    }
    if (status == GK_OK) {
        status = spool_start(storage->service->spool, on_alive, &err);
    }
    if (status != storage->said) {
        if (status == GK_OK) {
            log_line(LOG_LEVEL_NOTICE, "the spool can be used again");
        } else {
            log_failure(LOG_LEVEL_ERROR, "open the spool, so that nothing is taken", &err);
        }
    }
    storage->said = status;
    return status == GK_OK;
}

static int on_retry(sd_event_source *source, uint64_t time, void *context)
{
    struct storage *storage = context;

    (void)time;
    if (spool_is_open(storage->service->spool)) {
        return 0;
    }
    if (try_it(storage)) {
        uplink_stored(storage->service->uplink);
        return 0;
    }
    sd_event_source_set_time_relative(source, RETRY_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static enum gk_status make_spool(struct storage *storage, struct gk_error *err)
{
    const struct agent_config *config = storage->service->config;
    const struct spool_settings settings = { .directory = config->state_directory,
                                             .product_key = config->product_key,
                                             .device_key = config->device_key,
                                             .max_bytes = config->spool_bytes,
                                             .max_age_ms = (int64_t)config->spool_age_s * 1000,
                                             .said = on_said,
                                             .context = storage };

    return spool_new(&settings, &storage->service->spool, err);
}

enum gk_status storage_new(struct service *service, struct storage **storage, struct gk_error *err)
{
    CLEANUP(storage_freep) struct storage *made = calloc(1, sizeof(*made));
    enum gk_status status;
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    made->said = GK_OK;
    status = make_spool(made, err);
    if (status != GK_OK) {
        return status;
    }
    code = sd_event_add_time_relative(service->event, &made->retry, CLOCK_BOOTTIME, RETRY_US, 0,
                                      on_retry, made);
    if (code >= 0 && try_it(made)) {
        code = sd_event_source_set_enabled(made->retry, SD_EVENT_OFF);
    }
    if (code < 0) {
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *storage = TAKE(made);
    return GK_OK;
}

void storage_free(struct storage *storage)
{
    if (storage != NULL) {
        sd_event_source_unref(storage->retry);
        spool_close(TAKE(storage->service->spool));
        free(storage);
    }
}
