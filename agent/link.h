/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MQTT connection to the hub: libmosquitto over a TLS context of our own.
 *
 * One link is one attempt and, if it succeeds, one connection: made, driven until it is down,
 * freed. Nothing in it waits: the owner polls agent_link_fd() and calls agent_link_step(). A
 * connection counts as made when the hub's CONNACK says 0 and not before, because in TLS 1.3 a
 * client's certificate is refused after the handshake. Why it went down is told by the TLS alert
 * and by the CONNACK, never by libmosquitto's return codes, which say the same for a revoked
 * certificate and a pulled plug.
 *
 * Threads: one at a time per link. SIGPIPE must be ignored by the process (agent_link_init() does
 * so). Errors: see error.h. No secret is ever put into one.
 */
#ifndef GATEKEY_AGENT_LINK_H
#define GATEKEY_AGENT_LINK_H

#include "agent/config.h"
#include "agent/enos/connect.h"
#include "agent/openssl.h"
#include "agent/tls.h"
#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agent_link;

/* What a link tells its owner, from within agent_link_step(); the link must not be freed in them.
 */
struct agent_link_events {
    /* The hub accepted us: subscribe now. */
    void (*up)(void *context);
    /* Something arrived. Whatever is sent in answer leaves after this returned; so does the PUBACK.
     */
    void (*message)(void *context, const char *topic, const void *payload, size_t size);
    /* The hub refused a subscription. May be NULL. */
    void (*unsubscribed)(void *context, const char *topic);
    /* The hub's PUBACK for the publish that was given this mid. May be NULL. */
    void (*acknowledged)(void *context, int mid);
};

/* How to connect. All is borrowed until agent_link_free(). */
struct agent_link_options {
    enum enos_mode mode;  /* ENOS_STATIC: [hub] port, mutual TLS; ENOS_DYNAMIC: activation_port */
    enum agent_pair pair; /* what mutual TLS shows; ENOS_DYNAMIC shows nothing */
    const char *secret;   /* the device's or the product's; looked at in agent_link_start() only */
    const char *first_host; /* of [hub] host and fallback, the one to begin with; NULL: host */
    struct agent_tls_session *session; /* to be resumed, and kept; NULL: prove the key */
    const struct agent_link_events *events;
    void *context;
};

/* Once per process, before anything else here. */
enum gk_status agent_link_init(struct gk_error *err) GK_MUST_CHECK;

/*
 * Read certificate and roots, load the key, sign the CONNECT and begin to resolve the hub's name.
 * The caller must have taken a connect from the budget (agent/budget.h) and frees the link with
 * agent_link_free().
 * Fails with GK_NOT_ENROLLED (no certificate), GK_BAD_CERTIFICATE (it does not fit the key),
 * GK_BAD_CONFIG, and what loading the key fails with. Nothing was sent then.
 */
enum gk_status agent_link_start(const struct agent_config *config, struct agent_openssl *openssl,
                                const struct agent_link_options *options, struct agent_link **link,
                                struct gk_error *err) GK_MUST_CHECK;

/* Closes the socket without a word; see agent_link_disconnect(). NULL is fine. */
void agent_link_free(struct agent_link *link);
GK_DEFINE_CLEANUP(struct agent_link, agent_link_free)

/* What to poll now: the descriptor (it changes while connecting) and POLLIN, POLLOUT. */
int agent_link_fd(const struct agent_link *link);
short agent_link_poll(const struct agent_link *link);

/*
 * Do what can be done without waiting; revents as poll(2) gave them, 0 for the passing of time.
 * Call it when agent_link_next_ms() are over at the latest. Anything but GK_OK means down: err says
 * why, and the link is to be freed. Fails with GK_UNREACHABLE, GK_PROXY, GK_UNTRUSTED, GK_REVOKED,
 * GK_EXPIRED, GK_HUB_CREDENTIALS, GK_HUB_REFUSED, GK_HUB_GARBLED, and the device key's failures
 * (GK_NO_TPM and so on).
 */
enum gk_status agent_link_step(struct agent_link *link, short revents,
                               struct gk_error *err) GK_MUST_CHECK;

/* How long nothing but the descriptor need be waited for: until a ping is due, or its answer, or
 * patience with an address is over. Anew after each step. */
uint64_t agent_link_next_ms(const struct agent_link *link);

bool agent_link_is_up(const struct agent_link *link);

/* To which host it goes, or went last, and which one would be next; live as long as the link. */
const char *agent_link_host(const struct agent_link *link);
const char *agent_link_other_host(const struct agent_link *link);

/* It took no proof of the key: a TLS session was resumed. */
bool agent_link_is_resumed(const struct agent_link *link);

/* What the owner should be told of a connection that is up, or NULL; see agent_tls_remark(). */
const char *agent_link_remark(const struct agent_link *link);

/* True once a CONNECT may have reached the hub, or the hub has refused our certificate; before that
 * the budget's entry can be given back. */
bool agent_link_has_sent_connect(const struct agent_link *link);

/* The hub's machine is there and the hub is not: whoever else had a connection has lost it too. */
bool agent_link_is_turned_away(const struct agent_link *link);

/*
 * Subscribe, unsubscribe, or publish at QoS 1. All only while up; what is asked goes out in the
 * order given. No more than AGENT_LINK_WINDOW publishes wait for the hub's PUBACK at a time; mid
 * (may be NULL) is what acknowledged() tells them apart by, for as long as this link is up. Fail
 * with GK_UNREACHABLE (not up), GK_BUSY (the window is full), GK_NO_MEMORY, GK_INTERNAL.
 */
#define AGENT_LINK_WINDOW 16
enum gk_status agent_link_subscribe(struct agent_link *link, const char *topic,
                                    struct gk_error *err) GK_MUST_CHECK;
enum gk_status agent_link_unsubscribe(struct agent_link *link, const char *topic,
                                      struct gk_error *err) GK_MUST_CHECK;
enum gk_status agent_link_publish(struct agent_link *link, const char *topic, const void *payload,
                                  size_t size, int *mid, struct gk_error *err) GK_MUST_CHECK;

/* How many publishes wait for their PUBACK. */
unsigned agent_link_unacknowledged(const struct agent_link *link);

/* Say goodbye; keep stepping until agent_link_step() returns something else than GK_OK, then free
 * it. */
void agent_link_disconnect(struct agent_link *link);

/* --- for gatekey: one whole conversation each, blocking
 * -------------------------------------------- */

#define AGENT_LINK_TIMEOUT_S 30

/*
 * Called with what the hub gave this device, before the hub is told that it arrived: store it
 * durably. Anything but GK_OK leaves the hub without its answer.
 */
typedef enum gk_status agent_link_store(void *context, const char *device_secret,
                                        const char *asset_id, struct gk_error *err);

/*
 * Dynamic activation: CONNECT in mode 3 at [hub] activation_port over TLS that checks the hub but
 * shows no certificate, wait for thing/activate/info, store, answer, disconnect. A device is let do
 * this once.
 *
 * Takes one connect from the budget, waiting for it where that fits into AGENT_LINK_TIMEOUT_S, and
 * blocks that long at most besides. Fails with GK_THROTTLED (err says how long), what store
 * returns, and what agent_link_step() fails with; GK_HUB_CREDENTIALS is a wrong product secret,
 * GK_HUB_REFUSED a device that may not be activated, or was before.
 */
enum gk_status agent_link_activate(const struct agent_config *config, struct agent_openssl *openssl,
                                   const char *product_secret, agent_link_store *store,
                                   void *context, struct gk_error *err) GK_MUST_CHECK;

/*
 * Prove that certificate, key and device secret are accepted: one CONNECT in mode 2 with mutual
 * TLS, wait for CONNACK 0, disconnect. Budget and time as above. It ends a gatekeyd's connection of
 * the same device, so where gatekeyd runs, let it do this ("reconnect", agent/local.h).
 */
enum gk_status agent_link_prove(const struct agent_config *config, struct agent_openssl *openssl,
                                enum agent_pair pair, const char *device_secret,
                                struct gk_error *err) GK_MUST_CHECK;

/*
 * Post messages as the service would, with mutual TLS: params (borrowed, count of them) one after
 * the other on rest, which is what follows /sys/PK/DK/, each when the hub has answered 200 to the
 * one before. Then stay until the hub cuts the connection, stay_s at most. A connection that is cut
 * after the last one was sent is fine: that may be what was asked for. Budget and time as above, to
 * which stay_s is added. Fails as agent_link_prove() does, and with GK_HUB_REFUSED where the answer
 * is not 200.
 */
enum gk_status agent_link_post(const struct agent_config *config, struct agent_openssl *openssl,
                               enum agent_pair pair, const char *device_secret, const char *rest,
                               json_t *const *params, size_t count, unsigned stay_s,
                               struct gk_error *err) GK_MUST_CHECK;

#endif
