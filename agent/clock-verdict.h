/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Was the clock tampered with? Looks at clocks in, a verdict and its sentence out: nothing here
 * reads a clock or a file, so every case can be put into a table
 * (tests/agent/test-clock-verdict.c).
 *
 * What can be proved, and by what:
 *
 *   in one boot             CLOCK_BOOTTIME: setting the clock does not move it, slewing moves both.
 *   in another boot, while  the TPM's clock, within GK_CLOCK_ERROR_PERCENT.
 *   the TPM kept its power
 *   across a power-off      only that the clock went back; how long the machine was off, nobody
 *                           here knows: the TPM's clock stands still meanwhile, and goes back a
 *                           little when power was cut (safe = NO). After TPM2_Clear it begins
 *                           anew, and proves nothing either.
 *   always                  that it stands before the floor (agent/clock.h).
 *
 * A clock that is set while the kernel counts it as not synchronised is no step but a first
 * setting, once in a boot. One that stands before the floor and was not set since the machine
 * started is no tampering: it has no battery, and waits to be set.
 *
 * Threads: pure functions.
 */
#ifndef GATEKEY_AGENT_CLOCK_VERDICT_H
#define GATEKEY_AGENT_CLOCK_VERDICT_H

#include "agent/budget.h"
#include "tpm/admin.h"

#include <stdbool.h>
#include <stdint.h>

/* All clocks at one moment. */
struct agent_clock_look {
    int64_t wall_ms;            /* CLOCK_REALTIME */
    struct agent_moment moment; /* CLOCK_BOOTTIME */
    bool synchronised;          /* adjtimex(2): not STA_UNSYNC */
    bool has_battery;           /* the kernel took its time from a hardware clock */
    bool has_tpm;               /* tpm was read */
    struct gk_clock tpm;
};

/* What is known from looks before, as clock.json keeps it. */
struct agent_clock_mark {
    bool known;
    int64_t wall_ms; /* the clock in this boot, when it was last right or set: what a step counts
                        from */
    struct agent_moment moment; /* of that */
    bool settled;    /* the kernel was synchronised, or the clock set once, since the machine
                        started */
    int64_t last_ms; /* the last that it is known to have stood at, and with it: */
    bool has_tpm;
    struct gk_clock tpm;
    int64_t settled_ms; /* the same of the last boot in which it was settled; 0 for none */
};

enum agent_clock_verdict {
    AGENT_CLOCK_NEW,          /* nothing was known before */
    AGENT_CLOCK_RIGHT,        /* it went on as a clock does */
    AGENT_CLOCK_UNPROVABLE,   /* the machine was off, and it did not go back */
    AGENT_CLOCK_FIRST_SET,    /* set for the first time since the machine started */
    AGENT_CLOCK_UNSET,        /* it waits to be set */
    AGENT_CLOCK_FORWARD,      /* somebody set it forward */
    AGENT_CLOCK_BACK,         /* somebody set it back */
    AGENT_CLOCK_WENT_BACK,    /* it went back while the machine was off */
    AGENT_CLOCK_BEFORE_FLOOR, /* it stands before a moment that has passed */
};

/* What the TPM says has happened to it since the mark. */
enum agent_clock_tpm {
    AGENT_TPM_UNKNOWN, /* it was not asked, then or now */
    AGENT_TPM_RAN,     /* it kept its power */
    AGENT_TPM_OFF,     /* it lost it, or slept */
    AGENT_TPM_UNSAFE,  /* it lost it, and its clock may have gone back (safe = NO) */
    AGENT_TPM_CLEARED, /* TPM2_Clear */
};

struct agent_clock_judgement {
    enum agent_clock_verdict verdict;
    enum agent_clock_tpm tpm;
    int64_t off_ms;     /* how far the clock is ahead of what is proved; negative: behind it */
    char sentence[320]; /* one, without a full stop */
};

/* As clock.json, "status" and the event show them. */
const char *agent_clock_verdict_name(enum agent_clock_verdict verdict);
const char *agent_clock_tpm_name(enum agent_clock_tpm tpm);

/* Is this tampering, as far as can be proved? */
bool agent_clock_is_tampered(enum agent_clock_verdict verdict);

/* How long until the clock has passed by itself what it stands behind; 0: it never will, or need
 * not. */
int64_t agent_clock_wait_ms(const struct agent_clock_judgement *judgement);

/*
 * floor_s        agent_clock_floor().
 * tolerance_s    what is no step, besides a hundred millionths of the time that passed.
 */
struct agent_clock_judgement agent_clock_judge(const struct agent_clock_mark *mark,
                                               const struct agent_clock_look *look, int64_t floor_s,
                                               unsigned tolerance_s);

/* The tampering that was found last. */
struct agent_clock_report {
    enum agent_clock_verdict kind; /* AGENT_CLOCK_NEW: none was ever found */
    int64_t seconds;               /* as off_ms */
    int64_t at;                    /* where the clock stood then, UNIX time in seconds */
    bool stands;                   /* the clock is still wrong, as far as is known */
    bool held; /* a restart has made it impossible to say more: somebody has to accept it */
    bool told; /* the hub knows */
    char detail[sizeof(((struct agent_clock_judgement *)NULL)->sentence)];
};

/* What a judgement does to the report. */
enum agent_clock_news { AGENT_CLOCK_NO_NEWS, AGENT_CLOCK_TAMPERED, AGENT_CLOCK_RIGHT_AGAIN };

enum agent_clock_news agent_clock_report(struct agent_clock_report *report,
                                         const struct agent_clock_look *look,
                                         const struct agent_clock_judgement *judgement,
                                         unsigned tolerance_s);

/*
 * The mark after that judgement: moved where the clock is right, kept where it is not, so that it
 * can be right again.
 */
struct agent_clock_mark agent_clock_remember(const struct agent_clock_mark *mark,
                                             const struct agent_clock_look *look,
                                             const struct agent_clock_judgement *judgement);

#endif
