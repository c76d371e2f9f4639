/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The revocation that a reset begins with: what is ours, who is asked, and what is left to be done
 * by hand.
 *
 * It is noted in the state before the key goes, since without the key nobody could ask again by
 * event.
 */
#include "agent/command/certificate.h"
#include "agent/command/hub.h"
#include "agent/command/inbox.h"
#include "agent/command/reset.h"
#include "identity/identity.h"

#include <time.h>

enum gk_status reset_certificate(struct reset *reset, enum agent_pair pair,
                                 struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(gk_freep) char *folder = agent_pair_folder(reset->run->config, pair);
    CLEANUP(gk_content_clear) struct gk_content pem = { 0 };
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(reset->run, &openssl, err);

    if (folder == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (status == GK_OK) {
        status = gk_identity_read(folder, GK_FILE_CERTIFICATE, &pem, err);
    }
    if (status == GK_NO_FILE) {
        return gk_fail(err, GK_NOT_ENROLLED, "no %s in %s", GK_FILE_CERTIFICATE, folder);
    }
    /* Nothing is believed because of it, so who issued it does not matter. */
    return status == GK_OK ? certificate_parse(openssl, pem.data, pem.data, certificate, err)
                           : status;
}

/* --- what is ours -----------------------------------------------------------------------------
 */

static bool is_noted(const struct reset *reset, const char *serial)
{
    for (size_t i = 0; i < reset->serial_count; i++) {
        if (strcmp(reset->serials[i], serial) == 0) {
            return true;
        }
    }
    return false;
}

static void note_serial(struct reset *reset, const char *serial)
{
    if (serial[0] != '\0' && !is_noted(reset, serial) && reset->serial_count < RESET_SERIALS_MAX) {
        snprintf(reset->serials[reset->serial_count++], RESET_SERIAL_SIZE, "%s", serial);
    }
}

static void note_unrevoked(struct reset *reset)
{
    char list[sizeof(reset->state.unrevoked)], *rest = list;

    memcpy(list, reset->state.unrevoked, sizeof(list));
    for (char *serial; (serial = strsep(&rest, " ")) != NULL;) {
        note_serial(reset, serial);
    }
}

/*
 * Certificates that the hub's application sent for a renewal and that nobody took in yet. What lies
 * there was not judged: a serial among it is a claim of the hub's, about this device.
 */
static void note_letters(struct reset *reset)
{
    CLEANUP(inbox_closep) struct inbox *inbox = NULL;

    if (reset->state.renewal != AGENT_RENEWAL_ASKING ||
        inbox_open(reset->run->config, &inbox, NULL) != GK_OK) {
        return;
    }
    for (size_t i = 0; i < inbox_count(inbox); i++) {
        CLEANUP(gk_content_clear) struct gk_content content = { 0 };
        CLEANUP(json_freep) json_t *letter = NULL;
        struct enos_certificate sent;

        if (inbox_read(inbox, i, &content, NULL) != GK_OK) {
            continue;
        }
        letter = json_loadb(content.data, content.size, JSON_REJECT_DUPLICATES, NULL);
        if (enos_certificate_parse(letter, &sent, NULL) == GK_OK) {
            note_serial(reset, sent.serial);
        }
    }
}

void reset_note_serials(struct reset *reset)
{
    static const enum agent_pair pairs[] = { AGENT_PAIR_NEXT, AGENT_PAIR_CURRENT };

    note_serial(reset, reset->state.old_sn);
    note_serial(reset, reset->state.next_sn);
    note_serial(reset, reset->state.certificate_sn);
    note_unrevoked(reset);
    note_letters(reset);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        CLEANUP(certificate_freep) struct certificate *certificate = NULL;

        if (reset_certificate(reset, pairs[i], &certificate, NULL) == GK_OK) {
            note_serial(reset, certificate_serial(certificate));
        }
    }
}

/*
 * What was applied for and never arrived stands in the hub's list only. Who applied by the API
 * wrote down before what was valid without him.
 */
static bool is_ours(const struct reset *reset, const char *serial)
{
    return is_noted(reset, serial) ||
           (reset->state.common_name[0] != '\0' && !agent_state_knows_other(&reset->state, serial));
}

static bool was_applied_for(const struct reset *reset)
{
    return reset->serial_count > 0 || reset->state.others[0] != '\0' ||
           reset->state.common_name[0] != '\0';
}

/* --- by the API -------------------------------------------------------------------------------
 */

static enum gk_status revoke_listed(struct reset *reset, struct hub *hub, struct gk_error *err)
{
    CLEANUP(gk_freep) struct enos_record *records = calloc(HUB_RECORDS_MAX, sizeof(*records));
    size_t count = 0;
    enum gk_status status;

    if (records == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = hub_certificate_list(hub, records, &count, err);
    for (size_t i = 0; status == GK_OK && i < count; i++) {
        if (!records[i].valid || !is_ours(reset, records[i].serial)) {
            continue;
        }
        status = hub_certificate_revoke(hub, records[i].serial, ENOS_CESSATION, err);
        if (status == GK_OK) {
            say_step(reset->run, "certificate %s revoked at the hub", records[i].serial);
        }
    }
    return status;
}

static enum gk_status revoke_by_api(struct reset *reset, struct gk_error *err)
{
    CLEANUP(hub_freep) struct hub *hub = NULL;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(reset->run, &openssl, err);

    if (status == GK_OK) {
        status = hub_new(reset->run->config, openssl, &hub, err);
    }
    return status == GK_OK ? revoke_listed(reset, hub, err) : status;
}

/* --- both -------------------------------------------------------------------------------------
 */

/* For people; "(serial not known)" where nobody knows. */
static void format_serials(const struct reset *reset, char *text, size_t size)
{
    size_t used = 0;

    snprintf(text, size, "(serial not known)");
    for (size_t i = 0; i < reset->serial_count; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
                                 reset->serials[i]);
    }
}

static enum gk_status note_revoked(struct reset *reset, struct gk_error *err)
{
    reset->state.revoked = time(NULL);
    return agent_state_write(reset->run->config->directory, &reset->state, err);
}

static void say_unrevoked(struct reset *reset, const struct gk_error *why, const char *serials)
{
    json_t *list = json_array();
    char sentence[512];

    gk_error_sentence(why, NULL, sentence, sizeof(sentence));
    say_note(reset->run, "not revoked at the hub: %s", sentence);
    say_note(reset->run, "revoke certificate %s there yourself", serials);
    for (size_t i = 0; i < reset->serial_count; i++) {
        json_array_append_new(list, json_string(reset->serials[i]));
    }
    say_member(reset->run, "unrevoked", list);
}

/* A hub that said no is reachable. */
static const char *next_step(enum gk_status status, bool by_api, const struct gk_error *why)
{
    if (status == GK_HUB_REFUSED && !by_api) {
        return "see that somebody there answers revokeMe";
    }
    if (status == GK_HUB_REFUSED || status == GK_HUB_CREDENTIALS || status == GK_UNTRUSTED) {
        return why->advice[0] != '\0' ? why->advice : gk_status_advice(status);
    }
    return "make the hub reachable";
}

enum gk_status reset_revoke(struct reset *reset, struct gk_error *err)
{
    bool by_api = reset->run->config->app_key != NULL;
    char serials[RESET_SERIALS_MAX * (RESET_SERIAL_SIZE + sizeof(", "))];
    struct gk_error why = { 0 };
    enum gk_status status;

    reset_note_serials(reset);
    if (reset->state.revoked != 0 || !was_applied_for(reset)) {
        return GK_OK;
    }
    status = by_api ? revoke_by_api(reset, &why) : reset_revoke_by_event(reset, &why);
    if (status == GK_OK) {
        return note_revoked(reset, err);
    }
    format_serials(reset, serials, sizeof(serials));
    if (reset->state.forced != 0) {
        say_unrevoked(reset, &why, serials);
        return GK_OK;
    }
    *err = why;
    gk_advise(
        err,
        "%.100s, and run gatekey reset again; or add --force, and revoke certificate %.60s at "
        "the hub yourself",
        next_step(status, by_api, &why), serials);
    return status;
}
