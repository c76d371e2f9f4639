/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of gatekeyd and how they meet. One thread, one sd-event loop; every function here is
 * called from it and returns at once, but for the device key and the sealed secret, which wait for
 * the TPM.
 *
 *     session    the connection to the hub: when to connect, when to wait, when to leave it
 *     patience   how often it may connect, and how long it waits after failures
 *     storage    the spool itself, opened, or tried again
 *     intake     takes what local programs hand over into the spool (agent/spool/spool.h)
 *     uplink     what waits in the spool, on its way to the hub
 *     publisher  requests to the hub that wait for its answer
 *     commander  what the hub asks for, and the programs that answer it
 *     relay      the local broker, where applications are
 *     notices    what the service itself has to tell the hub
 *     clock      whether the wall clock can be right
 *     server     the local socket
 */
#ifndef GATEKEY_AGENT_SERVICE_SERVICE_H
#define GATEKEY_AGENT_SERVICE_SERVICE_H

#include "agent/config.h"
#include "agent/enos/message.h"
#include "agent/link.h"
#include "agent/openssl.h"
#include "cleanup.h"
#include "error.h"

#include <jansson.h>
#include <openssl/types.h>
#include <systemd/sd-event.h>

struct patience;
struct session;
struct spool;
struct intake;
struct uplink;
struct publisher;
struct commander;
struct relay;
struct metrics;
struct server;
struct notices;
struct expiry;
struct lists;
struct clock_watch;
struct storage;

struct service {
    const struct agent_config *config;
    struct agent_openssl *openssl;
    sd_event *event;
    struct patience *patience;
    struct session *session;
    struct spool *spool; /* never NULL, but not always open (spool_is_open()) */
    struct storage *storage;
    struct intake *intake;
    struct uplink *uplink;
    struct publisher *publisher;
    struct commander *commander;
    struct relay *relay;
    struct metrics *metrics;
    struct server *server;
    struct notices *notices;
    struct expiry *expiry;
    struct lists *lists;
    struct clock_watch *clock;
};

/* --- session.c ------------------------------------------------------------------------------- */

/* What "reconnect" is answered with; err is NULL when the hub accepted us. Called once. */
typedef void session_verdict(void *context, const struct gk_error *err);

/* Begins at once where this gateway is enrolled. The caller frees it first of all parts. */
enum gk_status session_new(struct service *service, struct session **session,
                           struct gk_error *err) GK_MUST_CHECK;
void session_free(struct session *session); /* says goodbye to the hub; NULL is fine */
GK_DEFINE_CLEANUP(struct session, session_free)

/*
 * Publish, subscribe, unsubscribe by the topic's part after /sys/PK/DK/. Fail as
 * agent_link_publish() does.
 */
enum gk_status session_publish(struct session *session, const char *rest, const void *payload,
                               size_t size, struct gk_error *err) GK_MUST_CHECK;
/* The same for whoever wants to know of the PUBACK: publisher_acknowledged() is told this mid. One
 * that did not come before uplink_down() does not come any more. */
enum gk_status session_publish_mid(struct session *session, const char *rest, const void *payload,
                                   size_t size, int *mid, struct gk_error *err) GK_MUST_CHECK;
enum gk_status session_subscribe(struct session *session, const char *rest,
                                 struct gk_error *err) GK_MUST_CHECK;
enum gk_status session_unsubscribe(struct session *session, const char *rest,
                                   struct gk_error *err) GK_MUST_CHECK;

/* Why there is no connection, as an error to hand on; GK_OK when there is one. */
enum gk_status session_require(const struct session *session, struct gk_error *err) GK_MUST_CHECK;

/*
 * May something be taken into the spool for this identity? Not before there is one, and not while
 * it is being destroyed; without a connection, revoked, or by a wrong clock it may. Fails with
 * GK_NOT_ENROLLED.
 */
enum gk_status session_accepts(const struct session *session, struct gk_error *err) GK_MUST_CHECK;

/*
 * A planned reconnect is on its way: what cannot be sent now can be in a moment, so it should be
 * kept.
 */
bool session_is_moving(const struct session *session);

/*
 * Read the identity anew, connect now as far as the budget allows, and tell. A connection that
 * stands is only left when its successor may be made.
 */
void session_reconnect(struct session *session, session_verdict *verdict, void *context);
/*
 * Leave the connection for one with the pair in next/ and tell how that went; refused or
 * unreachable, go back to the current pair at once. Nothing is left, and GK_THROTTLED told, when
 * the budget has no room soon for the way there and back. Fails with GK_NO_FILE (nothing in next/)
 * and what an attempt fails with.
 */
void session_try(struct session *session, session_verdict *verdict, void *context);
/* Whoever asked is gone. */
void session_forget(struct session *session, const void *context);

/* Disconnect, and stay so until the identity was replaced or session_reconnect() is called. */
void session_stop(struct session *session);

/* The clock is right, or is not any more: go on, or leave the connection; see
 * clock_watch_permit(). */
void session_clock_changed(struct session *session);

/* Add what "status" shows. */
void session_describe(const struct session *session, json_t *status);

/* --- identity.c ------------------------------------------------------------------------------ */

/* Differs whenever one of the files that were looked at was replaced by other content. */
struct mark {
    unsigned char bytes[32];
};
bool mark_equal(const struct mark *one, const struct mark *other);

/* What the identity directory holds, as far as it matters here. */
struct identity {
    bool enrolled;  /* complete, and proven by a connection */
    bool certified; /* complete; the proving connection is yet to be made */
    bool resetting; /* to be destroyed: none of the two above, whatever is there still */
    bool promoting; /* next/ is being moved into place: what is there does not belong together */
    bool has_next;  /* next/ holds a certificate */
    int64_t newest; /* when the newest certificate came, UNIX time; 0 where not known */
    struct mark current, next; /* of certificate, key and secret: equal when next/ was promoted */
    struct mark trust;         /* of the hub's roots and revocation list */
    struct mark list;          /* of crl.pem */
};
/*
 * What cannot be read is not missing: fails with GK_FILE_DENIED, GK_FILE_FAILED, GK_BAD_FILE,
 * GK_CRYPTO_FAILED or GK_NO_MEMORY, and says that nothing is there then.
 */
enum gk_status identity_look(const struct service *service, struct identity *identity,
                             struct gk_error *err) GK_MUST_CHECK;

/* --- watch.c --------------------------------------------------------------------------------- */

/* Call changed when something in the directory did; also every half minute while it does not exist.
 */
struct watch;
typedef void watch_changed(void *context);
enum gk_status watch_new(sd_event *event, const char *directory, watch_changed *changed,
                         void *context, struct watch **watch, struct gk_error *err) GK_MUST_CHECK;
void watch_free(struct watch *watch); /* NULL is fine */

/* The hub's answer to one publish: err is NULL when its code was 200. data is borrowed. */
typedef void publisher_done(void *context, const char *id, json_int_t code, json_t *data,
                            const struct gk_error *err);

/* --- storage.c ------------------------------------------------------------------------------- */

/*
 * Make service->spool and open it. Where that fails it is said, and tried again every minute: the
 * service goes on, and what is handed over is refused with the reason. storage_free() closes it.
 */
enum gk_status storage_new(struct service *service, struct storage **storage,
                           struct gk_error *err) GK_MUST_CHECK;
void storage_free(struct storage *storage); /* NULL is fine */
GK_DEFINE_CLEANUP(struct storage, storage_free)

/* --- intake.c -------------------------------------------------------------------------------- */

/* What a local program hands over: on the socket, by gatekey publish, or through the broker. */
struct intake_message {
    const char *topic;   /* what follows /sys/PK/DK/ */
    const void *payload; /* as it came: the bare params, a whole envelope, or raw bytes */
    size_t size;
    bool is_params; /* certainly the bare params, whatever they look like */
    bool trusted;   /* may send what the application beside the hub acts on (request.c) */
};

/* Called once: err is NULL when the message is in the spool, on disk, under that id. */
typedef void intake_done(void *context, int64_t id, const struct gk_error *err);

enum gk_status intake_new(struct service *service, struct intake **intake,
                          struct gk_error *err) GK_MUST_CHECK;
void intake_free(struct intake *intake); /* NULL is fine */

/*
 * Check a message, wrap it and put it into the spool; telemetry without a time gets the present
 * one. done (may be NULL) is called when it is durable or that failed, which is before this loop
 * iteration ends; not when intake_take() itself fails. Fails with GK_USAGE (topic, no JSON, too
 * large), GK_REFUSED, GK_NOT_ENROLLED, GK_SPOOL_FULL, GK_BUSY and as spool_put() does.
 */
enum gk_status intake_take(struct intake *intake, const struct intake_message *message,
                           intake_done *done, void *context, struct gk_error *err) GK_MUST_CHECK;
/* Make durable at once all that was taken, and call their done. Fails as spool_commit() does;
 * nothing of it is in the spool then. */
enum gk_status intake_commit(struct intake *intake, struct gk_error *err) GK_MUST_CHECK;
void intake_forget(struct intake *intake, const void *context); /* whoever asked is gone */
/* UNIX time, ms, as agent_clock_now() judges it. */
int64_t intake_time_ms(struct intake *intake);
void intake_describe(const struct intake *intake, json_t *status);

/* --- uplink.c -------------------------------------------------------------------------------- */

enum gk_status uplink_new(struct service *service, struct uplink **uplink,
                          struct gk_error *err) GK_MUST_CHECK;
void uplink_free(struct uplink *uplink);   /* NULL is fine */
void uplink_up(struct uplink *uplink);     /* there is a connection */
void uplink_down(struct uplink *uplink);   /* there is none: what is under way is sent again */
void uplink_stored(struct uplink *uplink); /* the spool has something new, or again */
/* The hub has acknowledged something: there is room in the link's window. */
void uplink_acknowledged(struct uplink *uplink);
/*
 * Tell when the hub answered to this message or it was set aside, or after timeout_s (0: never)
 * that neither has happened (code 0); once, and not any more after forget.
 */
enum gk_status uplink_wait(struct uplink *uplink, int64_t id, unsigned timeout_s,
                           publisher_done *done, void *context, struct gk_error *err) GK_MUST_CHECK;
void uplink_forget(struct uplink *uplink, const void *context);
/* The hub asks for less (traffic/control): send nothing for so long. */
void uplink_pause(struct uplink *uplink, unsigned pause_ms);
void uplink_describe(const struct uplink *uplink, json_t *status);

/* --- relay.c --------------------------------------------------------------------------------- */

/*
 * The local broker, as one more of its clients. Applications publish on gatekey/up/# and
 * gatekey/reply/#; what is in the spool on disk is acknowledged to the broker, and nothing before.
 * No broker is no error: the relay waits for its socket to appear.
 */
enum gk_status relay_new(struct service *service, struct relay **relay,
                         struct gk_error *err) GK_MUST_CHECK;
void relay_free(struct relay *relay); /* NULL is fine */
/* Publish at QoS 1 to local applications; topic is what follows gatekey/. Fails with GK_UNREACHABLE
 * (no broker), GK_BUSY, GK_NO_MEMORY. */
enum gk_status relay_publish(struct relay *relay, const char *topic, const void *payload,
                             size_t size, bool retain, struct gk_error *err) GK_MUST_CHECK;
/*
 * The same for a command, which must not be carried out late or twice: the broker is told to forget
 * it before end_ms, by service_now_ms(), and it is not sent again over another connection.
 */
enum gk_status relay_command(struct relay *relay, const char *topic, const void *payload,
                             size_t size, uint64_t end_ms, struct gk_error *err) GK_MUST_CHECK;
/* Those that are on their way are for nobody any more. NULL is fine. */
void relay_forget_commands(struct relay *relay);
bool relay_is_up(const struct relay *relay);
/*
 * What came on a local topic (gatekey/up/... or gatekey/reply/...), from the broker or from its
 * plugin (agent/broker/). done as in intake_take(). A bad one is answered on gatekey/error/... and
 * fails with GK_USAGE or GK_REFUSED: it need not come again.
 */
enum gk_status relay_take(struct relay *relay, const char *topic, const void *payload, size_t size,
                          intake_done *done, void *context, struct gk_error *err) GK_MUST_CHECK;
/* Is that what we tell the broker to prove that we are gatekeyd? */
bool relay_is_password(const struct relay *relay, const char *password);
void relay_describe(const struct relay *relay, json_t *status);

/* --- metrics.c ------------------------------------------------------------------------------- */

/*
 * What the service knows of itself, for people and programs: op "status", [local] metrics_file,
 * gatekey/status, systemd's status line. The latter three are told of changes within 15 s, and of
 * what metrics_changed() announces at once; while nothing changes nobody is woken, but for the
 * file, which is written every five minutes so that a stale one shows.
 *
 * Parts that are NULL are left out, so it may be asked while the service starts and stops.
 */
enum gk_status metrics_new(struct service *service, struct metrics **metrics,
                           struct gk_error *err) GK_MUST_CHECK;
void metrics_free(struct metrics *metrics); /* tells that the service ends; NULL is fine */
/* Something worth telling now: the connection's phase, the local broker. NULL is fine. */
void metrics_changed(struct metrics *metrics);
json_t *metrics_status(const struct metrics *metrics); /* what op "status" answers; NULL: memory */

/* --- publisher.c ----------------------------------------------------------------------------- */

/* One request as it goes to the hub; all is borrowed for the call. */
struct publisher_request {
    const char *id, *rest; /* id: what the envelope says; rest: what follows /sys/PK/DK/ */
    const void *text;
    size_t size;
    bool raw; /* no envelope: the hub does not answer, its PUBACK is what there is (as code 200) */
};

enum gk_status publisher_new(struct service *service, struct publisher **publisher,
                             struct gk_error *err) GK_MUST_CHECK;
void publisher_free(struct publisher *publisher); /* NULL is fine */

/*
 * Send a request now and call done once: when the hub answered, when it did not within half a
 * minute (longer for what is large), or when the connection ended, which is code 0. Nothing is
 * kept for another connection. Fails with GK_BUSY (too many wait), GK_NO_MEMORY, and as
 * session_publish() does; done is not called then.
 */
enum gk_status publisher_send(struct publisher *publisher, const struct publisher_request *request,
                              publisher_done *done, void *context,
                              struct gk_error *err) GK_MUST_CHECK;
/* Whoever asked is gone; the answer will be dropped. */
void publisher_forget(struct publisher *publisher, const void *context);

/* The connection ended: all that wait are told why. */
void publisher_down(struct publisher *publisher, const struct gk_error *err);
/* True when the message was an answer that somebody waits for, or waited for. */
bool publisher_receive(struct publisher *publisher, const char *rest, const void *payload,
                       size_t size);
void publisher_refused(struct publisher *publisher, const char *rest);
/* The hub's PUBACK for what session_publish_mid() gave this mid. */
void publisher_acknowledged(struct publisher *publisher, int mid);
void publisher_describe(const struct publisher *publisher, json_t *status);

/* --- commander.c ----------------------------------------------------------------------------- */

enum gk_status commander_new(struct service *service, struct commander **commander,
                             struct gk_error *err) GK_MUST_CHECK;
void commander_free(struct commander *commander); /* kills what runs; NULL is fine */
void commander_up(struct commander *commander);
void commander_receive(struct commander *commander, const char *rest, const void *payload,
                       size_t size);
/* The hub's PUBACK for what session_publish_mid() gave this mid, ours or not. */
void commander_acknowledged(struct commander *commander, int mid);
/* The commands were for another identity: end what runs for them, and send no answer. */
void commander_forget(struct commander *commander);
/* True when that subscription was the commander's: the hub may not know such commands. */
bool commander_refused(struct commander *commander, const char *rest);
/*
 * A local application's answer to a command, from gatekey/reply/REST: {"id":...,"code":200,
 * "data":...}, or raw bytes where the command was raw. Fails with GK_USAGE (it makes no sense),
 * GK_NO_MESSAGE (nobody waits for it, or not any more).
 */
enum gk_status commander_answer(struct commander *commander, const char *rest, const void *payload,
                                size_t size, struct gk_error *err) GK_MUST_CHECK;
/* What relay_command() was given with this end_ms nobody has got: no application is subscribed. */
void commander_unheard(struct commander *commander, const char *rest, uint64_t end_ms);
void commander_describe(const struct commander *commander, json_t *status);

/* --- notices.c ------------------------------------------------------------------------------- */

/* What gatekeyd itself has to tell the hub, as events of this device. */
enum gk_status notices_new(struct service *service, struct notices **notices,
                           struct gk_error *err) GK_MUST_CHECK;
void notices_free(struct notices *notices); /* NULL is fine */

/*
 * Tell the hub: event (such as "clockTampered"; borrowed for good, a literal) with these members,
 * which become the caller's no longer, whatever is returned. It is kept in memory, one of a kind,
 * the newest, until the hub has answered 200; a hub that answers anything else has it as well, and
 * that is logged. Members may be NULL. Fails with GK_BUSY (too many kinds), GK_NO_MEMORY.
 */
enum gk_status service_notify(struct service *service, const char *event,
                              json_t *members) GK_MUST_CHECK;

/* The same; told is called when the hub has it, and not when something newer takes its place. */
enum gk_status service_notify_until(struct service *service, const char *event, json_t *members,
                                    void (*told)(void *context), void *context) GK_MUST_CHECK;

void notices_up(struct notices *notices);
void notices_forget(struct notices *notices); /* they were about another identity */
void notices_describe(const struct notices *notices, json_t *status);

/* --- certificate.c --------------------------------------------------------------------------- */

/* The caller's to X509_free(). NULL where there is none that can be read: whoever connects says
 * why. */
X509 *certificate_read_own(const struct service *service);

/* --- expiry.c -------------------------------------------------------------------------------- */

/*
 * Where certificates are renewed by hand ([renew] by = hand), tell log and hub once a day, from 60
 * days before the end, that one expires: event "certificateExpiring" with certSN, notAfter (UNIX
 * time, ms) and daysLeft.
 */
enum gk_status expiry_new(struct service *service, struct expiry **expiry,
                          struct gk_error *err) GK_MUST_CHECK;
void expiry_check(struct expiry *expiry); /* connected: look now, and then every hour */
void expiry_free(struct expiry *expiry);  /* NULL is fine */

/* --- lists.c --------------------------------------------------------------------------------- */

/* Look every hour whether our issuer's revocation list grows old, and log each change of that. */
enum gk_status lists_new(struct service *service, struct lists **lists,
                         struct gk_error *err) GK_MUST_CHECK;
void lists_free(struct lists *lists); /* NULL is fine */

/* --- clock.c --------------------------------------------------------------------------------- */

/*
 * Compare the wall clock with those that cannot be set (agent/clock-verdict.h): when the service
 * starts and ends, before each attempt to connect, every six hours, whenever the clock is set,
 * which the kernel tells, and when the floor was moved. A clock that was tampered with is logged,
 * and told to the hub by event "clockTampered". What is known is kept in clock.json: every six
 * hours, when there is news, and at the end.
 */
enum gk_status clock_watch_new(struct service *service, struct clock_watch **watch,
                               struct gk_error *err) GK_MUST_CHECK;
void clock_watch_free(struct clock_watch *watch); /* without a session any more; NULL is fine */

/* May one connect by this clock? Looks first. Fails with GK_CLOCK_WRONG. */
enum gk_status clock_watch_look(struct clock_watch *watch, struct gk_error *err) GK_MUST_CHECK;
/* The same by the last look. */
enum gk_status clock_watch_permit(const struct clock_watch *watch,
                                  struct gk_error *err) GK_MUST_CHECK;
void clock_watch_describe(const struct clock_watch *watch, json_t *status);

/* --- inbox.c --------------------------------------------------------------------------------- */

/*
 * Keep what came with the service installCertificate in [local] state_directory/inbox, as
 * UNIXMS-ID.json, durably; id as it came, may be NULL. At most 16 files of 64 KiB. Fails with
 * GK_HUB_GARBLED (no object, too large), GK_BUSY (16 wait), GK_DISK_FULL, GK_FILE_DENIED,
 * GK_FILE_FAILED, GK_NO_MEMORY; nothing was kept then.
 */
enum gk_status inbox_put(const struct agent_config *config, const json_t *id, const json_t *params,
                         struct gk_error *err) GK_MUST_CHECK;
void inbox_sweep(const struct agent_config *config); /* when the service starts */
/* They were for another identity. */
enum gk_status inbox_empty(const struct agent_config *config, struct gk_error *err) GK_MUST_CHECK;

/* --- server.c and request.c ------------------------------------------------------------------ */

struct client;

/* Fails with GK_LOCK_HELD (another gatekeyd serves that socket), GK_BAD_CONFIG, GK_FILE_DENIED. */
enum gk_status server_new(struct service *service, struct server **server,
                          struct gk_error *err) GK_MUST_CHECK;
void server_free(struct server *server); /* NULL is fine */

/* A client is one request of a connection; up to 64 of one are under way at a time and are answered
 * in the order they were asked. Answering is the end of it. */
void client_reply(struct client *client, const json_t *reply);
void client_fail(struct client *client, const char *operation, const struct gk_error *err,
                 json_int_t code);
/* The line it came in; lives as long as request_handle() runs. */
const char *client_line(const struct client *client, size_t *size);
struct service *client_service(const struct client *client);
/* How long it wants to wait, in seconds; 0: for ever. */
unsigned client_patience(const struct client *client);
void client_set_patience(struct client *client, unsigned patience_s);
/* May change things: root, or the user that gatekeyd runs as. */
bool client_is_privileged(const struct client *client);

/* Before it is answered: nothing more is taken from whoever asked, who is hung up on once all that
 * is under way is answered. */
void client_hang_up(struct client *client);

/* Do what a line asks for: client_reply() or client_fail() is called now or later, once. */
void request_handle(struct service *service, struct client *client, const char *line, size_t size);
/* Op "relay"; request-relay.c. */
void request_relay(struct service *service, struct client *client, const json_t *request);
/* Op "spool", in request-spool.c. */
void request_spool(struct service *service, struct client *client, const json_t *request);

/* --- time ------------------------------------------------------------------------------------ */

uint64_t service_now_ms(void); /* since boot, suspended or not */

#endif
