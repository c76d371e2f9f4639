/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub's bad days: named faults that tests switch on, each with a value, for good or for so many
 * times.
 *
 * Where a value begins with ENDPOINT it is the name of one call of the API as route.c lists them,
 * or "*" for all of them; what follows a colon is the fault's own. Safe from several threads.
 */
#ifndef GATEKEY_HUB_FAULT_H
#define GATEKEY_HUB_FAULT_H

#include "cleanup.h"

#include <jansson.h>
#include <stdbool.h>

/* clang-format off */
#define HUB_FAULT_TABLE(ROW)                                                                        \
    /* what the API answers */                                                                      \
    ROW(HUB_FAULT_GARBAGE, "garbage", "ENDPOINT", "the answer is no JSON")                          \
    ROW(HUB_FAULT_TRUNCATED, "truncated", "ENDPOINT", "the answer ends half-way")                   \
    ROW(HUB_FAULT_HUGE, "huge", "ENDPOINT[:MIB]", "the answer is 64 MiB of JSON, or so many")       \
    ROW(HUB_FAULT_ENDLESS, "endless", "ENDPOINT", "the answer never ends")                          \
    ROW(HUB_FAULT_HTTP, "http", "ENDPOINT:STATUS", "the answer is that HTTP status, as 500 or 503") \
    ROW(HUB_FAULT_REDIRECT, "redirect", "ENDPOINT:URL", "the answer is a redirect to that URL")     \
    ROW(HUB_FAULT_SLOW, "slow", "ENDPOINT:SECONDS", "the answer comes that late")                   \
    ROW(HUB_FAULT_REFUSE, "refuse", "ENDPOINT:CODE[:WORDS]", "the call is refused with that EnOS code, in those words") \
    ROW(HUB_FAULT_DATE, "date", "ENDPOINT:SECONDS", "the answer's Date is that far from now") \
    ROW(HUB_FAULT_LOST, "lost", "ENDPOINT", "the work is done, but the connection ends without an answer") \
    /* tokens and certificates */                                                                   \
    ROW(HUB_FAULT_TOKEN_LIFE, "token-life", "SECONDS", "tokens live that long")                     \
    ROW(HUB_FAULT_WRONG_KEY, "wrong-key", "", "apply and renew answer with a certificate for another key") \
    ROW(HUB_FAULT_WRONG_CA, "wrong-ca", "", "apply and renew answer with a certificate of another CA") \
    ROW(HUB_FAULT_WRONG_SERIAL, "wrong-serial", "", "apply and renew name the serial of another certificate") \
    ROW(HUB_FAULT_WRONG_CHAIN, "wrong-chain", "", "apply and renew hand over a root that did not sign") \
    ROW(HUB_FAULT_CERTIFICATE_TERM, "certificate-term", "FROM:SECONDS", "apply and renew issue for so long, from so many seconds from now on; it may be over") \
    ROW(HUB_FAULT_ONE_CERTIFICATE, "one-certificate", "", "a new certificate revokes the device's older ones") \
    ROW(HUB_FAULT_CERTIFICATE_DELAY, "certificate-delay", "SECONDS", "a certificate is refused at CONNECT while it is younger") \
    ROW(HUB_FAULT_SERVER_CERTIFICATE, "server-certificate", "expired|other-name|other-ca", "the hub shows such a certificate") \
    ROW(HUB_FAULT_CRL, "crl", "expired|old|other-ca", "such a revocation list is published; old: the one before the last") \
    /* MQTT */                                                                                      \
    ROW(HUB_FAULT_CONNACK, "connack", "CODE", "a CONNECT is refused with that CONNACK code")        \
    ROW(HUB_FAULT_POST_CODE, "post-code", "CODE", "a post is answered with that code and not kept") \
    ROW(HUB_FAULT_POST_SILENT, "post-silent", "", "a post is kept but not answered")                \
    ROW(HUB_FAULT_POST_DROP, "post-drop", "", "the connection ends when a post arrives, which is lost") \
    ROW(HUB_FAULT_NO_ACTIVATION, "no-activation", "", "a device that activates itself is told nothing") \
    ROW(HUB_FAULT_DEAF_ACTIVATION, "deaf-activation", "", "a device's thanks for its secret are not heard")
/* clang-format on */

#define HUB_FAULT_NAME(fault, name, value, help) fault,
enum hub_fault { HUB_FAULT_TABLE(HUB_FAULT_NAME) HUB_FAULT_COUNT };
#undef HUB_FAULT_NAME

#define HUB_FAULT_VALUE_SIZE 256

struct hub_faults;

struct hub_faults *hub_faults_new(void);
void hub_faults_free(struct hub_faults *faults);
GK_DEFINE_CLEANUP(struct hub_faults, hub_faults_free)

/* Switch one on: "NAME" or "NAME=VALUE"; times 0 is for good. False when there is none of that
 * name. */
bool hub_fault_set(struct hub_faults *faults, const char *setting, int times);

/* Switch one off, or all with NULL. False when there is none of that name. */
bool hub_fault_clear(struct hub_faults *faults, const char *name);

/* Whether it is on, with its value. Uses up one of its times. value may be NULL. */
bool hub_fault_take(struct hub_faults *faults, enum hub_fault fault,
                    char value[static HUB_FAULT_VALUE_SIZE]);

/* The same for a fault whose value begins with ENDPOINT; value is what follows the colon. */
bool hub_fault_take_for(struct hub_faults *faults, enum hub_fault fault, const char *endpoint,
                        char value[static HUB_FAULT_VALUE_SIZE]);

/* Its value as a number without using it up; otherwise what it is when the fault is off. */
long hub_fault_number(struct hub_faults *faults, enum hub_fault fault, long otherwise);

/* All there are: an array of {"fault","takes","does","on","value","left"}. */
json_t *hub_faults_list(struct hub_faults *faults);

#endif
