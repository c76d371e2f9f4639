/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to gatekeyd on its socket ([local] socket): a JSON object per line, one answer per
 * request.
 *
 * Up to 64 requests of one connection are under way at a time, 512 of one of uid 0 or the service's
 * own; the answers come in the order of the requests. Who writes many lines before he reads gets
 * them stored together, and far more of them.
 *
 *     {"op":"publish","topic":"thing/measurepoint/post","params":{...}}
 *         topic is what follows /sys/PK/DK/; the answer comes when the message is in the spool, on
 *         disk: {"ok":true,"id":"2992..."}; with "wait":true when the hub answered, which may take
 *         long: {"ok":true,"id":"2992...","code":200,"data":{}}; with "timeout":SECONDS no longer
 *         than that: GK_UNREACHABLE, and the message stays in the spool. Who is gone by then has
 * handed it over all the same. Numbers in params reach the hub as they are written.
 *         thing/event/certificateRequest, certificateSuperseded and revokeMe: uid 0 or the
 *         service's own, since the application beside the hub acts on them.
 *         "now":true, for the same uids: sent if there is a connection, and not kept; the answer is
 *         the hub's
 *     {"op":"relay","topic":"gatekey/up/thing/measurepoint/post","payload":"{...}"}
 *         the local broker's plugin: a message as it came, "base64":true where it is no UTF-8;
 *         {"ok":true,"id":"2992..."} once it is in the spool; "ok":false with "final":true when it
 *         need not come again (it was answered on gatekey/error/...); uid 0 or the service's own.
 *         One that has to come again ends the connection: of what was sent after it nothing is
 *         taken
 *     {"op":"relay","password":"..."}
 *         the same uids: {"ok":true} if that is how gatekeyd proves itself to the broker
 *     {"op":"spool","do":"list","lane":"refused","after":0,"limit":100}
 *         lane is refused, points, telemetry or kept, limit 100 at most, after the last id seen:
 *         {"ok":true,"messages":[{"id":"2992...","lane":"refused","topic":...,"accepted":UNIXMS,
 *         "size":BYTES,"raw":false,"refused":UNIXMS,"code":1202,"reason":"..."}],"more":false}
 *     {"op":"spool","do":"show","id":"2992..."}
 *         uid 0 or the service's own, as for retry and drop: {"ok":true,"message":{...,"body":
 *         "..."}}, or "base64" for "body"; with "cut":true the first 160 KiB of it
 *     {"op":"spool","do":"retry","id":"2992..."}
 *         put a refused one back into its lane, under a new id; "drop": drop a refused or a waiting
 *         one. With "all":true for id each that was refused. {"ok":true,"count":1}
 *     {"op":"status"}
 *         {"ok":true,"state":"connected","connected":true,"since":1795..., ...}
 *     {"op":"reconnect","directory":"/var/lib/gatekey","product_key":"PK","device_key":"DK"}
 *         uid 0 or the service's own: read the identity anew, connect, give the verdict; refused
 *         with GK_NO_SERVICE where the service is for another identity (what is left out matches)
 *         {"ok":true,"connected":true}
 *         A connection that stands is left when its successor may be made: GK_THROTTLED says in how
 *         many seconds the service does so by itself.
 *     {"op":"try","directory":...}
 *         the same uids, the same members: disconnect, connect with the pair in next/, and stay
 *         with it when the hub accepts it; otherwise go back to the current pair at once, and say
 *         why the other was refused
 *         {"ok":true,"connected":true}
 *         Nothing is left for what cannot be: GK_NO_FILE (nothing in next/), GK_BAD_CERTIFICATE (it
 *         is for another key), GK_THROTTLED (no room in the connect budget for the way there and
 *         back; run it again in so many seconds). The verdict comes within a minute.
 *     {"op":"stop","directory":...}
 *         the same uids, the same members: disconnect and stay so until the identity is replaced
 *         {"ok":true}; with "forget":true what the service keeps for this identity (the inbox,
 *         clock.json, events that the hub was to be told) is erased too
 *
 * What fails is answered {"ok":false,"status":"GK_HUB_REFUSED","error":"cannot publish:
 * ...","exit":1}, with "code" where the hub gave one.
 */
#ifndef GATEKEY_AGENT_LOCAL_H
#define GATEKEY_AGENT_LOCAL_H

#include "agent/config.h"
#include "error.h"

#include <jansson.h>

/* The longest line either side sends, its newline included: a message of 512 KiB, each byte of
 * which may take two. */
#define AGENT_LOCAL_LINE_MAX ((size_t)1032 * 1024)

/* What gatekey/status says when there is no gatekeyd: its last word, its will, and what its broker
 * begins with. */
#define AGENT_LOCAL_ENDED "{\"state\":\"not-running\",\"connected\":false}"

/* Connect to it; *fd is non-blocking, the caller's to close(2). Fails as agent_local_call() does.
 */
enum gk_status agent_local_open(const struct agent_config *config, int *fd,
                                struct gk_error *err) GK_MUST_CHECK;

/*
 * Send one request and wait for its answer. request is borrowed; *reply is given also when it says
 * "ok":false, and is the caller's to json_decref().
 * Blocks for timeout_s at most. Fails with GK_NO_SERVICE (nobody listens, or the answer did not
 * come in time), GK_FILE_DENIED (this user may not), GK_BAD_FILE (the answer makes no sense),
 * GK_USAGE (the request is too long), GK_NO_MEMORY.
 */
enum gk_status agent_local_call(const struct agent_config *config, const json_t *request,
                                int timeout_s, json_t **reply, struct gk_error *err) GK_MUST_CHECK;

/* The same for a request that is text already, one line of JSON without its newline, so that
 * numbers in it go as they were written. */
enum gk_status agent_local_call_text(const struct agent_config *config, const char *request,
                                     int timeout_s, json_t **reply,
                                     struct gk_error *err) GK_MUST_CHECK;

#endif
