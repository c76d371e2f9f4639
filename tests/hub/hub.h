/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the running hub share. One process, stock mosquitto with our plugin: the
 * broker's thread owns the sessions and everything in broker.h; the API's threads reach it through
 * the queue. The CA is another process, called by ca-client.h.
 */
#ifndef GATEKEY_HUB_HUB_H
#define GATEKEY_HUB_HUB_H

#include "tests/hub/ca-client.h"
#include "tests/hub/fault.h"
#include "tests/hub/queue.h"
#include "tests/hub/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* Said by the launcher and the broker on every start. */
#define HUB_WARNING \
    "this is a DEVELOPMENT hub for tests and demonstrations; never use it in production"

struct hub_options {
    bool weak_digests; /* accept sha1 and md5 in a CONNECT */
    bool journal;      /* write down all that is posted, and keep no telemetry besides */
    int mqtts_port;
    int activation_port;
    int api_port;
    pid_t ca_pid;
    int http_port;          /* without TLS */
    char server_names[512]; /* the server certificate's, as "DNS:localhost,IP:127.0.0.1" */
};

struct hub {
    struct hub_options options;
    struct hub_store *store;
    struct hub_ca *ca;
    struct hub_queue *queue;
    struct hub_journal *journal; /* NULL: none is kept */
    struct hub_faults *faults;
    struct hub_commands *commands;
    struct hub_sessions *sessions; /* the broker's thread only */
    struct hub_api *api;
    struct hub_steward *steward;
    _Atomic int64_t crl_due_ms;    /* when there will be newer lists of the revoked */
    _Atomic int64_t server_due_ms; /* when the hub's own certificate is to be renewed */
    int reloads; /* how often the broker took up its files again; the broker's thread only */
};

#endif
