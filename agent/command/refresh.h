/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey refresh: what is fetched from time to time so that trust stays current, and what is
 * remembered of it in refresh.json.
 *
 * What comes is believed by what is trusted already, whoever sent it: a list by its signature, a
 * new root by a link certificate. Until something better is in place, what is there stays.
 *
 * One thread; what writes holds the lock of the identity directory. Errors: see error.h.
 */
#ifndef GATEKEY_COMMAND_REFRESH_H
#define GATEKEY_COMMAND_REFRESH_H

#include "agent/command/command.h"
#include "agent/command/http.h"
#include "agent/crl.h"
#include "agent/roots.h"

/* In the order in which they are fetched: a new root may have signed the new list. */
enum refresh_kind { REFRESH_ROOTS, REFRESH_CRL, REFRESH_SERVER_CRL, REFRESH_KINDS };

/* What refresh.json and --json call it, what people read, and where it is installed. */
const char *refresh_kind_name(enum refresh_kind kind);
const char *refresh_kind_words(enum refresh_kind kind);
const char *refresh_kind_file(enum refresh_kind kind);

#define REFRESH_URL_SIZE 1025

/* Times are UNIX time, seconds; 0 never. */
struct refresh_item {
    char url[REFRESH_URL_SIZE]; /* where it came from last; empty: nowhere yet */
    char etag[HTTP_FIELD_SIZE], modified[HTTP_FIELD_SIZE];
    int64_t checked;  /* when it was last known to be the newest */
    int64_t tried;    /* when it was last asked for */
    int64_t next;     /* when to ask again */
    int64_t failures; /* in a row */
    char error[512];  /* why it failed last, a sentence; empty: it did not */
};

/* As many removed roots as are remembered; older ones are forgotten first. */
#define REFRESH_REMOVED_MAX 32

struct refresh_memory {
    struct refresh_item items[REFRESH_KINDS];
    char removed[REFRESH_REMOVED_MAX][AGENT_FINGERPRINT_SIZE];
    size_t removed_count;
};

/* Read refresh.json; a missing one remembers nothing. Fails with GK_BAD_FILE, GK_FILE_DENIED,
 * GK_FILE_FAILED, GK_NO_MEMORY. */
enum gk_status refresh_memory_read(const struct agent_config *config, struct refresh_memory *memory,
                                   struct gk_error *err) GK_MUST_CHECK;

/* Replace it. Fails as agent_file_replace() does. */
enum gk_status refresh_memory_write(const struct agent_config *config,
                                    const struct refresh_memory *memory,
                                    struct gk_error *err) GK_MUST_CHECK;

/* Roots that somebody removed are not believed again by themselves. */
bool refresh_was_removed(const struct refresh_memory *memory, const X509 *root);
void refresh_note_removed(struct refresh_memory *memory, const X509 *root);
void refresh_forget_removed(struct refresh_memory *memory, const X509 *root);

/*
 * Note how it went, and when to ask again: after [trust] refresh; before the last tenth of the
 * list's time (crl may be NULL); after a failure soon, then less and less often, but at least as
 * often as that.
 */
void refresh_note_success(const struct agent_config *config, struct refresh_item *item, int64_t now,
                          const struct agent_crl *crl);
void refresh_note_failure(const struct agent_config *config, struct refresh_item *item, int64_t now,
                          const char *sentence);
bool refresh_is_due(const struct refresh_item *item, const char *url, int64_t now);

/* One run. */
struct refresh {
    struct run *run;
    const struct agent_config *config;
    struct agent_openssl *openssl;
    struct refresh_memory memory;
    int64_t now; /* agent_clock_now() */
};

/*
 * Where it is to be fetched from: *url is the caller's to free(3), NULL when nobody said.
 * refresh-address.c
 */
enum gk_status refresh_address(const struct agent_config *config, struct agent_openssl *openssl,
                               enum refresh_kind kind, char **url,
                               struct gk_error *err) GK_MUST_CHECK;

/* What became of it. */
struct refresh_outcome {
    bool changed;
    struct agent_crl *crl; /* the one in place now; NULL for roots */
};

/*
 * Check and install a list that came, or (304) keep the one that is there. Fails with GK_BAD_CRL,
 * GK_STALE_CRL, GK_HUB_GARBLED, and as agent_file_replace(). refresh-list.c
 */
enum gk_status refresh_take_list(struct refresh *refresh, enum refresh_kind kind,
                                 const struct http_reply *reply, struct refresh_outcome *outcome,
                                 struct gk_error *err) GK_MUST_CHECK;

/* The installed list, verified; NULL when there is none that can be believed. refresh-list.c */
struct agent_crl *refresh_installed_list(const struct refresh *refresh, enum refresh_kind kind);

/*
 * Judge the roots that came: install what is vouched for, let wait what is not. Fails with
 * GK_HUB_GARBLED, and as agent_file_replace(). refresh-roots.c
 */
enum gk_status refresh_take_roots(struct refresh *refresh, const struct http_reply *reply,
                                  struct refresh_outcome *outcome,
                                  struct gk_error *err) GK_MUST_CHECK;

#endif
