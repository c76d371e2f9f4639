/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client of the local broker: its connection to the gate, the gate's own to mosquitto for it,
 * and the bytes on their way between the two, which are copied and not understood.
 *
 * What the client says goes on at once. What mosquitto says waits until gatekeyd has answered all
 * that was handed over when it was read: mosquitto acknowledges a message after it was handed over,
 * so whatever was read covers no message that is not counted by then. At most one piece of
 * PASSAGE_CHUNK waits in each direction; while it does nothing more is read, and so the one who
 * talks too much has to wait, and nobody else.
 *
 * Each end is watched for one event at a time (epoll(7)), and for the next when that can be acted
 * upon: a client that is gone while the last words to it are held is told of once, and mosquitto's
 * next words wake nobody meanwhile.
 *
 * Threads: one, the gate's.
 */
#ifndef GATEKEY_AGENT_BROKER_PASSAGE_H
#define GATEKEY_AGENT_BROKER_PASSAGE_H

#include "agent/broker/door.h"

#include <stddef.h>

#define PASSAGE_CHUNK ((size_t)16384)

struct passage_end {
    struct passage *passage;
    int fd;
    bool readable; /* as far as is known */
    bool full;     /* it takes nothing at the moment */
    bool watched;  /* epoll says when either changes */
    bool ended;    /* nothing more comes from there */
    bool closed;   /* nothing more can be sent there */
    bool hung_up;  /* both */
};

struct passage_flow {
    char *bytes;       /* what was read and is not written, NULL if nothing */
    size_t size, sent; /* of up; down is kept without what was sent */
};

struct passage {
    struct passage *next, *before; /* of all */
    struct passage *next_held;     /* the gate's queue of those that are held */
    bool held;                     /* it is in there */
    struct passage *next_ready;    /* the gate's queue of those that can go on at once */
    bool ready;                    /* it is in there */
    struct passage_end client, broker;
    struct passage_flow up, down; /* to the broker, to the client */
    uint64_t stamp;               /* down is held until so many are answered; 0: it is not */
    bool cut;                     /* the client is gone; what mosquitto still says is thrown away */
    bool over;                    /* mosquitto is done, and so are we */
};

/* Takes both over, which do not block. NULL when there is no memory; both are closed then. */
struct passage *passage_new(int epoll, int client, int broker);
void passage_free(struct passage *passage);

/* What epoll said of an end. */
void passage_note(struct passage_end *end, uint32_t events);

/*
 * Move what can be moved, one piece in each direction. True: there is more to do at once.
 * buffer is scratch space. Sets stamp where it begins to hold, and over.
 */
bool passage_move(struct passage *passage, int epoll, const struct door *door,
                  char buffer[static PASSAGE_CHUNK]);

/* The client is hung up on, what was held for it is thrown away, and mosquitto sees the end of it:
 * after what it has in its socket already, which is all that comes. */
void passage_cut(struct passage *passage);

#endif
