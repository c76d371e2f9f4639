/* SPDX-License-Identifier: Apache-2.0 */
/* Judges what the wall clock did by what cannot be set. */
#include "agent/clock-verdict.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define DRIFT_PER_MILLION 100 /* of a machine's oscillator, at worst */
#define TPM_SLACK_MS 1000     /* between reading one of the TPM's clocks and the other */
#define TIME_TEXT 24

const char *agent_clock_verdict_name(enum agent_clock_verdict verdict)
{
    switch (verdict) {
    case AGENT_CLOCK_NEW:
        return "new";
    case AGENT_CLOCK_RIGHT:
        return "right";
    case AGENT_CLOCK_UNPROVABLE:
        return "unprovable";
    case AGENT_CLOCK_FIRST_SET:
        return "firstSetting";
    case AGENT_CLOCK_UNSET:
        return "unset";
    case AGENT_CLOCK_FORWARD:
        return "setForward";
    case AGENT_CLOCK_BACK:
        return "setBack";
    case AGENT_CLOCK_WENT_BACK:
        return "wentBack";
    case AGENT_CLOCK_BEFORE_FLOOR:
        return "beforeFloor";
    }
    return "";
}

const char *agent_clock_tpm_name(enum agent_clock_tpm tpm)
{
    switch (tpm) {
    case AGENT_TPM_UNKNOWN:
        return "unknown";
    case AGENT_TPM_RAN:
        return "ran";
    case AGENT_TPM_OFF:
        return "off";
    case AGENT_TPM_UNSAFE:
        return "unsafe";
    case AGENT_TPM_CLEARED:
        return "cleared";
    }
    return "";
}

bool agent_clock_is_tampered(enum agent_clock_verdict verdict)
{
    switch (verdict) {
    case AGENT_CLOCK_NEW:
    case AGENT_CLOCK_RIGHT:
    case AGENT_CLOCK_UNPROVABLE:
    case AGENT_CLOCK_FIRST_SET:
    case AGENT_CLOCK_UNSET:
        return false;
    case AGENT_CLOCK_FORWARD:
    case AGENT_CLOCK_BACK:
    case AGENT_CLOCK_WENT_BACK:
    case AGENT_CLOCK_BEFORE_FLOOR:
        break;
    }
    return true;
}

int64_t agent_clock_wait_ms(const struct agent_clock_judgement *judgement)
{
    switch (judgement->verdict) {
    case AGENT_CLOCK_UNSET:
    case AGENT_CLOCK_WENT_BACK:
    case AGENT_CLOCK_BEFORE_FLOOR:
        return -judgement->off_ms;
    case AGENT_CLOCK_NEW:
    case AGENT_CLOCK_RIGHT:
    case AGENT_CLOCK_UNPROVABLE:
    case AGENT_CLOCK_FIRST_SET:
    case AGENT_CLOCK_FORWARD:
    case AGENT_CLOCK_BACK: /* the one it is measured by goes on as fast */
        break;
    }
    return 0;
}

/* --- what the TPM went through --------------------------------------------------------------- */

/* What it stood at when it was powered: only TPM2_Clear lowers that, only TPM2_ClockSet raises it.
 */
static int64_t at_power_on(const struct gk_clock *clock)
{
    return (int64_t)clock->ms - (int64_t)clock->up_ms;
}

static enum agent_clock_tpm tpm_since(const struct agent_clock_mark *mark,
                                      const struct agent_clock_look *look)
{
    const struct gk_clock *before = &mark->tpm, *now = &look->tpm;

    if (!mark->has_tpm || !look->has_tpm) {
        return AGENT_TPM_UNKNOWN;
    }
    if (now->resets < before->resets) {
        return AGENT_TPM_CLEARED; /* nothing else counts backwards */
    }
    if (now->resets > before->resets) {
        return now->ms + GK_CLOCK_LOST_MS < before->ms ? AGENT_TPM_CLEARED
               : now->safe                             ? AGENT_TPM_OFF
                                                       : AGENT_TPM_UNSAFE;
    }
    if (now->restarts > before->restarts) {
        return AGENT_TPM_OFF;
    }
    if (now->restarts < before->restarts || now->up_ms < before->up_ms ||
        at_power_on(now) + TPM_SLACK_MS < at_power_on(before)) {
        return AGENT_TPM_CLEARED;
    }
    return AGENT_TPM_RAN;
}

/* --- the verdict ----------------------------------------------------------------------------- */

/* What is judged, and what is found on the way. */
struct scene {
    const struct agent_clock_mark *mark;
    const struct agent_clock_look *look;
    int64_t floor_ms, tolerance_ms;
    bool is_same_boot;
    bool is_settled; /* in this boot, as of now */
    struct agent_clock_judgement found;
};

static bool is_same_boot(const struct agent_clock_mark *mark, const struct agent_clock_look *look)
{
    return mark->known && strcmp(mark->moment.boot, look->moment.boot) == 0 &&
           mark->moment.since_boot_ms <= look->moment.since_boot_ms;
}

static void conclude(struct scene *scene, enum agent_clock_verdict verdict, int64_t off_ms)
{
    scene->found.verdict = verdict;
    scene->found.off_ms = off_ms;
}

/* Nobody has set it, so that it is wrong proves nothing: not where it has no battery to run on. */
static void conclude_back(struct scene *scene, enum agent_clock_verdict verdict, int64_t off_ms)
{
    bool is_excused = !scene->is_settled && !scene->look->has_battery;

    conclude(scene, is_excused ? AGENT_CLOCK_UNSET : verdict, off_ms);
}

static void judge_first_setting(struct scene *scene, int64_t off_ms)
{
    int64_t settled_off_ms = scene->look->wall_ms - scene->mark->settled_ms;

    scene->is_settled = true;
    if (settled_off_ms < -scene->tolerance_ms) {
        conclude(scene, AGENT_CLOCK_WENT_BACK, settled_off_ms);
    } else {
        conclude(scene, AGENT_CLOCK_FIRST_SET, off_ms);
    }
}

static void judge_in_boot(struct scene *scene)
{
    const struct agent_clock_mark *mark = scene->mark;
    const struct agent_clock_look *look = scene->look;
    int64_t passed_ms = look->moment.since_boot_ms - mark->moment.since_boot_ms;
    int64_t off_ms = look->wall_ms - mark->wall_ms - passed_ms;
    int64_t allowed_ms = scene->tolerance_ms + passed_ms / 1000000 * DRIFT_PER_MILLION;

    if (off_ms >= -allowed_ms && off_ms <= allowed_ms) {
        conclude(scene, AGENT_CLOCK_RIGHT, off_ms);
    } else if (!mark->settled) {
        judge_first_setting(scene, off_ms);
    } else {
        conclude(scene, off_ms > 0 ? AGENT_CLOCK_FORWARD : AGENT_CLOCK_BACK, off_ms);
    }
}

static void judge_by_tpm(struct scene *scene)
{
    int64_t passed_ms = (int64_t)(scene->look->tpm.up_ms - scene->mark->tpm.up_ms);
    int64_t off_ms = scene->look->wall_ms - scene->mark->last_ms - passed_ms;
    int64_t allowed_ms = scene->tolerance_ms + passed_ms / 100 * GK_CLOCK_ERROR_PERCENT;

    if (off_ms > allowed_ms) {
        conclude(scene, AGENT_CLOCK_FORWARD, off_ms);
    } else if (off_ms < -allowed_ms) {
        conclude_back(scene, AGENT_CLOCK_BACK, off_ms);
    } else {
        conclude(scene, AGENT_CLOCK_RIGHT, off_ms);
    }
}

static void judge_across_power_off(struct scene *scene)
{
    const struct agent_clock_mark *mark = scene->mark;
    int64_t last_ms = mark->settled_ms > mark->last_ms ? mark->settled_ms : mark->last_ms;
    int64_t off_ms = scene->look->wall_ms - last_ms;

    if (off_ms < -scene->tolerance_ms) {
        conclude_back(scene, AGENT_CLOCK_WENT_BACK, off_ms);
    } else {
        conclude(scene, AGENT_CLOCK_UNPROVABLE, 0);
    }
}

static void judge_by_floor(struct scene *scene)
{
    int64_t off_ms = scene->look->wall_ms - scene->floor_ms;

    if (off_ms < 0 && scene->found.verdict != AGENT_CLOCK_UNSET &&
        !agent_clock_is_tampered(scene->found.verdict)) {
        conclude(scene, scene->is_settled ? AGENT_CLOCK_BEFORE_FLOOR : AGENT_CLOCK_UNSET, off_ms);
    }
}

/* --- its sentence ---------------------------------------------------------------------------- */

static const char *why_unprovable(enum agent_clock_tpm tpm)
{
    switch (tpm) {
    case AGENT_TPM_UNKNOWN:
        return "the TPM's clock is not known";
    case AGENT_TPM_RAN:
        return "it had not been set before";
    case AGENT_TPM_OFF:
        return "the TPM's clock stood still as well";
    case AGENT_TPM_UNSAFE:
        return "the TPM lost its power without a shutdown, and its clock may have gone back";
    case AGENT_TPM_CLEARED:
        return "the TPM was cleared, and its clock began anew";
    }
    return "";
}

static int64_t rounded_s(int64_t ms)
{
    return (ms + (ms < 0 ? -500 : 500)) / 1000;
}

static void say_time(int64_t ms, char *text, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = { 0 };

    strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
}

static void say(struct scene *scene)
{
    struct agent_clock_judgement *found = &scene->found;
    const char *witness = scene->is_same_boot ? "the time since boot" : "the TPM's clock";
    char *text = found->sentence;
    size_t size = sizeof(found->sentence);
    int64_t off_s = rounded_s(found->off_ms < 0 ? -found->off_ms : found->off_ms);
    char wall[32], other[32];

    say_time(scene->look->wall_ms, wall, sizeof(wall));
    say_time(scene->look->wall_ms - found->off_ms, other, sizeof(other));
    switch (found->verdict) {
    case AGENT_CLOCK_NEW:
        snprintf(text, size, "nothing was known of the clock before");
        break;
    case AGENT_CLOCK_RIGHT:
        snprintf(text, size, "the clock went on as %s did", witness);
        break;
    case AGENT_CLOCK_UNPROVABLE:
        snprintf(text, size,
                 "the clock did not go back while the machine was off; more cannot be proved: %s",
                 why_unprovable(found->tpm));
        break;
    case AGENT_CLOCK_FIRST_SET:
        snprintf(text, size,
                 "the clock was set for the first time since the machine started, from %s to %s",
                 other, wall);
        break;
    case AGENT_CLOCK_UNSET:
        snprintf(text, size,
                 "the clock stands at %s, before %s, and was not set since the machine started",
                 wall, other);
        break;
    case AGENT_CLOCK_FORWARD:
    case AGENT_CLOCK_BACK:
        snprintf(text, size,
                 "the clock was set %s by %" PRId64 " s: it stands at %s, and by %s it is %s",
                 found->off_ms > 0 ? "forward" : "back", off_s, wall, witness, other);
        break;
    case AGENT_CLOCK_WENT_BACK:
        snprintf(text, size,
                 "the clock went back by %" PRId64 " s while the machine was off: it stands at %s, "
                 "and stood at %s before",
                 off_s, wall, other);
        break;
    case AGENT_CLOCK_BEFORE_FLOOR:
        snprintf(text, size, "the clock stands at %s, before %s, which has certainly passed", wall,
                 other);
        break;
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

struct agent_clock_judgement agent_clock_judge(const struct agent_clock_mark *mark,
                                               const struct agent_clock_look *look, int64_t floor_s,
                                               unsigned tolerance_s)
{
    struct scene scene = { .mark = mark,
                           .look = look,
                           .floor_ms = floor_s * 1000,
                           .tolerance_ms = (int64_t)tolerance_s * 1000,
                           .is_same_boot = is_same_boot(mark, look) };

    scene.is_settled = look->synchronised || (scene.is_same_boot && mark->settled);
    scene.found.tpm = tpm_since(mark, look);
    if (!mark->known) {
        conclude(&scene, AGENT_CLOCK_NEW, 0);
    } else if (scene.is_same_boot) {
        judge_in_boot(&scene);
    } else if (scene.found.tpm == AGENT_TPM_RAN && (mark->settled || look->has_battery)) {
        /* A clock that nobody had set is nothing to count from. */
        judge_by_tpm(&scene);
    } else {
        judge_across_power_off(&scene);
    }
    judge_by_floor(&scene);
    say(&scene);
    return scene.found;
}

static void note_tpm(struct agent_clock_mark *mark, const struct agent_clock_look *look)
{
    mark->has_tpm = look->has_tpm;
    mark->tpm = look->tpm;
}

/* A wrong clock: what was known stays, but where time has passed that can be counted. */
static void remember_wrong(struct agent_clock_mark *mark, const struct agent_clock_look *look)
{
    if (is_same_boot(mark, look) && mark->settled) {
        mark->last_ms = mark->wall_ms + look->moment.since_boot_ms - mark->moment.since_boot_ms;
        note_tpm(mark, look);
    }
}

struct agent_clock_mark agent_clock_remember(const struct agent_clock_mark *mark,
                                             const struct agent_clock_look *look,
                                             const struct agent_clock_judgement *judgement)
{
    struct agent_clock_mark next = *mark;
    bool was_here = is_same_boot(mark, look);
    bool is_set = judgement->verdict == AGENT_CLOCK_FIRST_SET;

    if (agent_clock_is_tampered(judgement->verdict)) {
        remember_wrong(&next, look);
        return next;
    }
    if (!was_here) {
        next.settled_ms = mark->settled ? mark->last_ms : mark->settled_ms;
        next.settled = false;
    }
    if (!was_here || is_set) {
        next.wall_ms = look->wall_ms;
        next.moment = look->moment;
    }
    next.known = true;
    next.settled = next.settled || is_set || look->synchronised;
    next.last_ms = look->wall_ms;
    note_tpm(&next, look);
    return next;
}

/* Is it another tampering than the one that was reported? */
static bool is_another(const struct agent_clock_report *report,
                       const struct agent_clock_judgement *judgement, unsigned tolerance_s)
{
    int64_t change = rounded_s(judgement->off_ms) - report->seconds;

    if (!report->stands || report->kind != judgement->verdict) {
        return true;
    }
    /* How far it is behind a fixed moment changes as it runs. */
    return (report->kind == AGENT_CLOCK_FORWARD || report->kind == AGENT_CLOCK_BACK) &&
           (change > (int64_t)tolerance_s || change < -(int64_t)tolerance_s);
}

enum agent_clock_news agent_clock_report(struct agent_clock_report *report,
                                         const struct agent_clock_look *look,
                                         const struct agent_clock_judgement *judgement,
                                         unsigned tolerance_s)
{
    if (agent_clock_is_tampered(judgement->verdict)) {
        if (!is_another(report, judgement, tolerance_s)) {
            return AGENT_CLOCK_NO_NEWS;
        }
        *report = (struct agent_clock_report){ .kind = judgement->verdict,
                                               .seconds = rounded_s(judgement->off_ms),
                                               .at = look->wall_ms / 1000,
                                               .stands = true };
        memcpy(report->detail, judgement->sentence, sizeof(report->detail));
        return AGENT_CLOCK_TAMPERED;
    }
    if (!report->stands || report->held || judgement->verdict == AGENT_CLOCK_UNSET) {
        return AGENT_CLOCK_NO_NEWS;
    }
    if (report->kind == AGENT_CLOCK_FORWARD && judgement->verdict != AGENT_CLOCK_RIGHT) {
        report->held = true; /* the machine was off: that it is right again cannot be proved */
        return AGENT_CLOCK_NO_NEWS;
    }
    report->stands = false;
    return AGENT_CLOCK_RIGHT_AGAIN;
}
