/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey renew: decides whether it is time, then goes on from where the last run stopped. */
#include "agent/command/renew.h"

#include "agent/clock.h"
#include "agent/command/devicekey.h"
#include "agent/command/enroll.h"
#include "agent/command/next.h"
#include "agent/command/promotion.h"
#include "agent/command/renew-schedule.h"
#include "agent/command/unrevoked.h"
#include "agent/file.h"
#include "agent/link.h"
#include "config.h"
#include "identity/identity.h"

#include <time.h>

/* How much of a hurry somebody is in. */
enum hurry {
    IF_DUE, /* the timer: nothing happens before its time */
    ASKED,  /* by hand: now, unless an overlap is not over */
    AT_ONCE /* even then */
};

enum gk_status renewal_open(struct run *run, struct renewal *renewal, struct gk_error *err)
{
    enum gk_status status;

    *renewal = (struct renewal){ .run = run, .config = run->config };
    status = run_openssl(run, &renewal->openssl, err);
    if (status == GK_OK) {
        status = agent_link_init(err);
    }
    return status == GK_OK ? agent_state_read(run->config->directory, &renewal->state, err)
                           : status;
}

void renewal_close(struct renewal *renewal)
{
    hub_free(renewal->hub);
}

enum gk_status renewal_hub(struct renewal *renewal, struct hub **hub, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (renewal->hub == NULL) {
        status = hub_new(renewal->config, renewal->openssl, &renewal->hub, err);
    }
    *hub = renewal->hub;
    return status;
}

enum gk_status renewal_write(struct renewal *renewal, enum agent_renewal stands,
                             struct gk_error *err)
{
    renewal->state.renewal = stands;
    return agent_state_write(renewal->config->directory, &renewal->state, err);
}

/* Programs are told, whatever became of the overlap. */
static enum gk_status promote(struct renewal *r, struct gk_error *err)
{
    enum gk_status status = promotion_run(r, err);

    if (status == GK_OK && r->config->reloaded != NULL) {
        renewal_reload(r->run, GK_SYSTEMCTL, r->config->reloaded);
    }
    return status;
}

static void format_time(int64_t when, char text[static 32])
{
    struct tm tm;
    time_t time = (time_t)when;

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &tm));
}

static void say_overlap(const struct renewal *r)
{
    char until[32];

    format_time(r->state.old_until, until);
    say_note(r->run,
             "certificate %s stays valid beside it until %s, then renew --if-due revokes it",
             r->state.old_sn, until);
}

/* From a pair in next/ to one in place. */
static enum gk_status try_and_promote(struct renewal *r, struct gk_error *err)
{
    enum gk_status status = renewal_try(r, err);

    if (status == GK_OK) {
        status = promote(r, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (promotion_is_settled(r)) {
        return promotion_end_overlap(r, err);
    }
    say_overlap(r);
    return GK_OK;
}

enum gk_status renewal_finish(struct run *run, struct gk_error *err)
{
    CLEANUP(renewal_close) struct renewal r = { 0 };
    enum gk_status status = renewal_open(run, &r, err);

    if (status == GK_OK && r.state.renewal == AGENT_RENEWAL_PROMOTING) {
        say_note(run, "a renewal was interrupted after the hub had accepted it; it is finished "
                      "first");
        status = promote(&r, err);
    }
    return status;
}

/* For the schedule of retries. What is on disk counts, and what a step had in mind does not. */
static void note_failure(struct renewal *r)
{
    if (agent_state_read(r->config->directory, &r->state, NULL) == GK_OK) {
        r->state.tried_at = agent_clock_now(r->config);
        r->state.failures++;
        (void)!agent_state_write(r->config->directory, &r->state, NULL);
    }
}

/* The life of the certificate in use. */
static enum gk_status read_life(struct renewal *r, struct renewal_life *life, struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *current = NULL;
    enum gk_status status = certificate_read(r->config, r->openssl, &current, err);

    if (status == GK_OK) {
        *life = (struct renewal_life){ certificate_begin(current), certificate_end(current) };
    }
    return status;
}

/* Not what came late or twice. An application that was asked may think a shorter life right. */
static enum gk_status check_newer(struct renewal *r, const struct certificate *certificate,
                                  bool is_letter, struct gk_error *err)
{
    struct renewal_life life = { 0 };
    int64_t begin = certificate_begin(certificate), end = certificate_end(certificate);
    enum gk_status status = read_life(r, &life, err);
    bool is_older = begin < life.begin || (is_letter && begin == life.begin);
    bool is_shorter = r->state.renewal == AGENT_RENEWAL_NONE && end < life.end;

    if (status != GK_OK || !(is_older || is_shorter)) {
        return status;
    }
    gk_fail(err, GK_BAD_CERTIFICATE, "serial %s %s the installed one does, serial %s",
            certificate_serial(certificate),
            is_older ? begin == life.begin ? "begins when" : "begins before" : "ends before",
            r->state.certificate_sn);
    gk_advise(err, "install the one that was issued last");
    return GK_BAD_CERTIFICATE;
}

/* A letter is removed, and then nobody would know of what was in it. */
static void forgo(struct renewal *r, const char *serial)
{
    if (strcmp(serial, r->state.old_sn) != 0) {
        unrevoked_supersede(r, serial);
        (void)!renewal_write(r, r->state.renewal, NULL);
    }
}

/* A carried-in certificate announces itself as one that was asked for would. */
static enum gk_status make_room(struct renewal *r, const struct certificate *certificate,
                                bool is_letter, struct gk_error *err)
{
    enum gk_status status = GK_OK;
    char until[32];

    if (r->state.renewal == AGENT_RENEWAL_OVERLAP && promotion_is_settled(r)) {
        status = promotion_end_overlap(r, err);
        if (status != GK_OK) {
            return status;
        }
    }
    if (r->state.renewal == AGENT_RENEWAL_OVERLAP) {
        if (is_letter) {
            forgo(r, certificate_serial(certificate));
        }
        format_time(r->state.old_until, until);
        gk_fail(err, GK_BUSY, "certificate %s is valid beside the installed one until %s",
                r->state.old_sn, until);
        gk_advise(err, "install it again after that time");
        return GK_BUSY;
    }
    if (r->state.renewal == AGENT_RENEWAL_NONE || r->state.renewal == AGENT_RENEWAL_ASKING) {
        status = check_newer(r, certificate, is_letter, err);
    }
    return status == GK_OK && r->state.renewal == AGENT_RENEWAL_NONE
               ? renewal_write(r, AGENT_RENEWAL_ASKING, err)
               : status;
}

/*
 * One that was refused and that nobody could report makes room for the one that came. Not for
 * itself: then it is tried once more.
 */
static void drop_refused(struct renewal *r, const char *serial)
{
    if (strcmp(serial, r->state.next_sn) != 0) {
        unrevoked_supersede(r, r->state.next_sn);
    }
    r->state.next_sn[0] = '\0';
}

/* A second one while the first waits to be tried: the first is as good, so the second is in excess.
 */
static enum gk_status take(struct renewal *r, const struct certificate *certificate, bool is_letter,
                           struct gk_error *err)
{
    const char *serial = certificate_serial(certificate);
    enum gk_status status;

    if (strcmp(serial, r->state.certificate_sn) == 0) {
        say_step(r->run, "certificate %s is in place already", serial);
        return GK_OK;
    }
    status = make_room(r, certificate, is_letter, err);
    if (status != GK_OK) {
        return status;
    }
    if (r->state.renewal == AGENT_RENEWAL_ASKING) {
        CLEANUP(gk_freep) char *folder = agent_pair_folder(r->config, AGENT_PAIR_NEXT);

        drop_refused(r, serial);

        status = folder != NULL ? agent_file_make_directory(folder, err)
                                : gk_fail(err, GK_NO_MEMORY, NULL);
        if (status == GK_OK) {
            status = renewal_keep(r, certificate, err);
        }
    } else if (strcmp(serial, r->state.next_sn) != 0) {
        status = renewal_supersede(r, serial, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = try_and_promote(r, err);
    if (status != GK_OK) {
        note_failure(r);
    }
    return status;
}

enum gk_status renewal_take(struct run *run, const struct certificate *certificate, bool is_letter,
                            struct gk_error *err)
{
    CLEANUP(renewal_close) struct renewal r = { 0 };
    enum gk_status status = renewal_open(run, &r, err);

    if (status == GK_OK && r.state.stage != AGENT_STAGE_ENROLLED) {
        status = gk_fail(err, GK_NOT_ENROLLED, "%s", run->config->directory);
    }
    return status == GK_OK ? take(&r, certificate, is_letter, err) : status;
}

enum gk_status renewal_discard(struct run *run, bool *evicted, struct gk_error *err)
{
    bool next = false, old = false;
    enum gk_status status = next_discard(run, &next, err);

    if (status == GK_OK) {
        status = devicekey_destroy_old(run, &old, err);
    }
    *evicted = next || old;
    return status;
}

/* --- when, and what then ------------------------------------------------------------------------
 */

/* May the timer's run do anything but wait? */
static bool is_time(const struct renewal *r, const struct renewal_life *life, bool reapplying)
{
    const struct agent_state *s = &r->state;
    int64_t now = agent_clock_now(r->config);

    if (!renewal_may_retry(life, s->tried_at, s->failures, now)) {
        return false;
    }
    if (reapplying) {
        return true;
    }
    switch (s->renewal) {
    case AGENT_RENEWAL_NONE:
        return now >= renewal_due_at(life);
    case AGENT_RENEWAL_ASKING:
        /* Whoever was asked by event is asked again as if each silence were a failure. */
        return s->asked_at == 0 || renewal_may_retry(life, s->asked_at, INT64_MAX, now);
    case AGENT_RENEWAL_READY:
    case AGENT_RENEWAL_PROMOTING:
        return true;
    case AGENT_RENEWAL_OVERLAP:
        return promotion_is_settled(r);
    }
    return false;
}

/* Enrolled once, and on the way to be so again. */
static bool is_reapplying(const struct renewal *r)
{
    return (r->state.stage == AGENT_STAGE_APPLYING || r->state.stage == AGENT_STAGE_CERTIFIED) &&
           r->state.enrolled != 0 && r->config->renew_expired == AGENT_EXPIRED_APPLY &&
           hub_is_configured(r->config);
}

/* As many runs as it takes: the stage says where it stands. */
static enum gk_status apply_anew(struct renewal *r, struct gk_error *err)
{
    enum gk_status status = enroll_again(r->run, err);

    if (status == GK_OK) {
        status = agent_state_read(r->config->directory, &r->state, err);
    }
    if (status != GK_OK) {
        return status;
    }
    r->state.tried_at = r->state.failures = 0;
    return renewal_write(r, AGENT_RENEWAL_NONE, err);
}

/*
 * What ended by itself may be replaced, and nothing else. Valid at the hub: one of the two clocks
 * is wrong, and the hub's is not alone. Revoked before it ended: somebody decided so.
 */
static enum gk_status check_end(struct renewal *r, struct gk_error *err)
{
    const char *serial = r->state.certificate_sn;
    struct enos_record record;
    enum gk_status status = renewal_look_up(r, serial, &record, err);
    char now[32];

    if (status == GK_OK && record.revoked) {
        return gk_fail(err, GK_REVOKED, "serial %s, and it has expired since", serial);
    }
    if (status == GK_OK && record.valid) {
        format_time(agent_clock_now(r->config), now);
        return gk_fail(err, GK_CLOCK_WRONG,
                       "it says %s, and the hub holds certificate %s for valid", now, serial);
    }
    return status;
}

/*
 * An expired certificate cannot be renewed, nor does it open a connection: by policy another one is
 * applied for.
 */
static enum gk_status replace_expired(struct renewal *r, struct gk_error *err)
{
    enum gk_status status;

    if (r->config->renew_expired == AGENT_EXPIRED_STOP) {
        gk_fail(err, GK_EXPIRED, "serial %s; [renew] expired = stop", r->state.certificate_sn);
        gk_advise(err, "run gatekey enroll to apply for a new one");
        return GK_EXPIRED;
    }
    if (!hub_is_configured(r->config)) {
        gk_fail(err, GK_EXPIRED, "serial %s", r->state.certificate_sn);
        gk_advise(err, "run gatekey csr, have the request signed, and run gatekey install FILE");
        return GK_EXPIRED;
    }
    status = check_end(r, err);
    if (status != GK_OK) {
        return status;
    }
    say_note(r->run, "certificate %s has expired, so that a new one is applied for",
             r->state.certificate_sn);
    status = next_discard(r->run, NULL, err);
    if (status == GK_OK) {
        unrevoked_supersede(r, r->state.next_sn);
        r->state.next_sn[0] = '\0';
        r->state.next_at = r->state.asked_at = 0;
        status = renewal_write(r, AGENT_RENEWAL_NONE, err);
    }
    return status == GK_OK ? apply_anew(r, err) : status;
}

/* Then the next renewal would not get any further either. */
static bool may_pass(enum gk_status status)
{
    return status == GK_UNREACHABLE || status == GK_THROTTLED || status == GK_NO_SERVICE ||
           status == GK_NO_TPM;
}

/* What is left of the renewal before must not keep the next from happening in time. */
static enum gk_status end_overlap(struct renewal *r, bool is_due, struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = promotion_end_overlap(r, &why);
    char sentence[512];

    if (status == GK_OK || !is_due || may_pass(status)) {
        *err = why;
        return status;
    }
    gk_error_sentence(&why, NULL, sentence, sizeof(sentence));
    say_note(r->run, "certificate %s is left as it is: %s", r->state.old_sn, sentence);
    unrevoked_note(r, r->state.old_sn);
    r->state.old_sn[0] = '\0';
    r->state.old_until = 0;
    return renewal_write(r, AGENT_RENEWAL_NONE, err);
}

static enum gk_status leave_overlap(struct renewal *r, enum hurry hurry, bool is_due,
                                    struct gk_error *err)
{
    char until[32];

    if (promotion_is_settled(r) || hurry == AT_ONCE) {
        return end_overlap(r, is_due, err);
    }
    format_time(r->state.old_until, until);
    gk_fail(err, GK_BUSY, "certificate %s was renewed, and is valid until %s beside the new one",
            r->state.old_sn, until);
    gk_advise(err, "wait for that, or add --now, which revokes it at once");
    return GK_BUSY;
}

static enum gk_status go_on(struct renewal *r, enum hurry hurry, const struct renewal_life *life,
                            struct gk_error *err)
{
    int64_t now = agent_clock_now(r->config);
    bool is_due = hurry != IF_DUE || now >= renewal_due_at(life);
    enum gk_status status = GK_OK;

    if (r->state.renewal == AGENT_RENEWAL_OVERLAP) {
        status = leave_overlap(r, hurry, is_due, err);
        if (status != GK_OK || !is_due) {
            return status;
        }
    }
    if (now >= life->end && r->state.renewal != AGENT_RENEWAL_READY) {
        return replace_expired(r, err);
    }
    if (r->state.renewal != AGENT_RENEWAL_READY) {
        status = renewal_ask(r, err);
    }
    return status == GK_OK && r->state.renewal == AGENT_RENEWAL_READY ? try_and_promote(r, err)
                                                                      : status;
}

static enum gk_status renew(struct renewal *r, enum hurry hurry, struct gk_error *err)
{
    struct renewal_life life = { 0 };
    bool reapplying = is_reapplying(r);
    enum gk_status status;

    if (r->state.stage != AGENT_STAGE_ENROLLED && !reapplying) {
        return hurry == IF_DUE ? GK_OK : gk_fail(err, GK_NOT_ENROLLED, "%s", r->config->directory);
    }
    status = read_life(r, &life, err);
    if (status != GK_OK && !reapplying) {
        return status;
    }
    if (hurry == IF_DUE && !is_time(r, &life, reapplying)) {
        return GK_OK;
    }
    status = reapplying ? apply_anew(r, err) : go_on(r, hurry, &life, err);
    if (status != GK_OK && status != GK_BUSY) {
        note_failure(r);
    }
    return status;
}

enum gk_status command_renew(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    CLEANUP(renewal_close) struct renewal r = { 0 };
    bool if_due = false, now = false;
    const struct word words[] = { { "if-due", NULL, &if_due }, { "now", NULL, &now }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK && if_due && now) {
        return gk_fail(err, GK_USAGE, "--if-due and --now contradict each other");
    }
    if (status == GK_OK) {
        status = run_lock(run, &lock, err);
    }
    if (status == GK_OK) {
        status = renewal_open(run, &r, err);
    }
    if (status == GK_OK) {
        status = renew(&r, if_due ? IF_DUE : now ? AT_ONCE : ASKED, err);
    }
    say_text(run, "certSN", r.state.certificate_sn);
    say_text(run, "renewal", agent_renewal_name(r.state.renewal));
    return status;
}
