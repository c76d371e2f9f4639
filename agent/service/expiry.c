/* SPDX-License-Identifier: Apache-2.0 */
/* Warns the hub of a certificate that nobody renews by himself ([renew] by = hand). */
#include "agent/clock.h"
#include "agent/roots.h"
#include "agent/service/log.h"
#include "agent/service/service.h"

#include <openssl/bn.h>
#include <openssl/x509.h>

#define DAY_S ((int64_t)86400)
#define WARN_FROM_S (60 * DAY_S)
#define LOOK_US ((uint64_t)3600 * 1000000)
#define DAY_MS ((uint64_t)DAY_S * 1000)

struct expiry {
    struct service *service;
    sd_event_source *source;
    uint64_t next_ms; /* since boot: warned of until then */
};

GK_DEFINE_CLEANUP(X509, X509_free)
GK_DEFINE_CLEANUP(BIGNUM, BN_free)

static void openssl_freep(char **text)
{
    OPENSSL_free(*text);
}

static void warn(const struct expiry *expiry, const X509 *certificate, int64_t end, int64_t left)
{
    CLEANUP(BN_freep)
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    CLEANUP(openssl_freep) char *serial = number != NULL ? BN_bn2dec(number) : NULL;
    json_int_t days = left > 0 ? (json_int_t)(left / DAY_S) : 0;
    json_t *members = json_pack("{s:s*, s:I, s:I}", "certSN", serial, "notAfter",
                                (json_int_t)end * 1000, "daysLeft", days);

    log_line(LOG_LEVEL_WARNING,
             "the certificate %s %d days and [renew] by = hand: carry a new one in with gatekey "
             "csr and gatekey install",
             left > 0 ? "expires in" : "has expired;", (int)days);
    if (service_notify(expiry->service, "certificateExpiring", members) != GK_OK) {
        log_line(LOG_LEVEL_WARNING, "cannot tell the hub of the certificate's end");
    }
}

void expiry_check(struct expiry *expiry)
{
    const struct agent_config *config = expiry->service->config;
    CLEANUP(X509_freep) X509 *certificate = NULL;
    uint64_t now_ms = service_now_ms();
    int64_t begin, end, left;

    if (config->renew_by != AGENT_RENEW_HAND || now_ms < expiry->next_ms) {
        return;
    }
    certificate = certificate_read_own(expiry->service);
    if (certificate == NULL || !agent_certificate_dates(certificate, &begin, &end)) {
        return;
    }
    left = end - agent_clock_now(config);
    if (left <= WARN_FROM_S) {
        expiry->next_ms = now_ms + DAY_MS;
        warn(expiry, certificate, end, left);
    }
}

static int on_look(sd_event_source *source, uint64_t time, void *context)
{
    (void)time;
    expiry_check(context);
    sd_event_source_set_time_relative(source, LOOK_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

enum gk_status expiry_new(struct service *service, struct expiry **expiry, struct gk_error *err)
{
    struct expiry *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->service = service;
    code = sd_event_add_time_relative(service->event, &made->source, CLOCK_BOOTTIME, LOOK_US, 0,
                                      on_look, made);
    if (code < 0) {
        expiry_free(made);
        return gk_fail(err, GK_INTERNAL, "sd-event: %s", strerror(-code));
    }
    *expiry = made;
    return GK_OK;
}

void expiry_free(struct expiry *expiry)
{
    if (expiry != NULL) {
        sd_event_source_disable_unref(expiry->source);
        free(expiry);
    }
}
