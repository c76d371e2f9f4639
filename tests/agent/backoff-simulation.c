/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hub sees of many gateways that lost it at the same instant: backoff-simulation GATEWAYS
 * absent|refusing OUTAGE-SECONDS SPREAD-SECONDS FOLDER
 *
 * Each gateway's waits come from agent/budget.c itself, with a clock moved by hand, and so from the
 * same file in FOLDER (best in memory), one gateway after the other: without a limit at the hub
 * they know nothing of each other. A gateway does what gatekeyd does: it takes an attempt from the
 * budget, gives it back where no CONNECT left (the hub is absent; one that refuses has it), and
 * counts a failure.
 *
 * Printed: one line a second, from the loss on, with the attempts to reach the hub and the CONNECTs
 * of that second, then lines "NAME VALUE" of the whole.
 */
#include "agent/budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_MS 1000
#define LOST_MS (SECOND_MS * INT64_C(1000000)) /* since boot: long enough ago */
#define SECONDS_MAX 3600
#define ATTEMPTS_MAX 100

struct run {
    const char *folder;
    bool refusing;   /* takes the CONNECT while it is out of order */
    int64_t back_ms; /* when the hub is as it should be again */
    int64_t spread_ms;
    uint64_t random;
    unsigned attempts[SECONDS_MAX], connects[SECONDS_MAX], back[SECONDS_MAX];
    unsigned most_attempts, most_in_window;
};

/* The same numbers each time, so that the picture is the same; xorshift64*, Marsaglia and Vigna. */
static uint32_t draw(struct run *run)
{
    run->random ^= run->random >> 12;
    run->random ^= run->random << 25;
    run->random ^= run->random >> 27;
    return (uint32_t)((run->random * UINT64_C(2685821657736338717)) >> 32);
}

static void check(enum gk_status status, const struct gk_error *err)
{
    char sentence[800];

    if (status != GK_OK) {
        gk_error_sentence(err, "simulate", sentence, sizeof(sentence));
        fprintf(stderr, "backoff-simulation: %s\n", sentence);
        exit(1);
    }
}

static void note(unsigned seconds[static SECONDS_MAX], int64_t now_ms)
{
    int64_t second = (now_ms - LOST_MS) / SECOND_MS;

    if (second >= 0 && second < SECONDS_MAX) {
        seconds[second]++;
    }
}

/* The most of these that lie in any two minutes. */
static unsigned count_window(const int64_t *times, unsigned count)
{
    unsigned most = 0;

    for (unsigned first = 0, last = 0; last < count; last++) {
        while (times[last] - times[first] >= AGENT_BUDGET_WINDOW_MS) {
            first++;
        }
        most = last - first + 1 > most ? last - first + 1 : most;
    }
    return most;
}

static void begin_anew(const char *folder)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/connects", folder);
    unlink(path);
}

/* One attempt at that moment; whether it is due, and otherwise how long to wait for it. */
static bool take(const struct run *run, const struct agent_moment *now, int64_t *wait_ms)
{
    struct gk_error err = { 0 };

    check(agent_budget_take(run->folder, now, true, wait_ms, &err), &err);
    return *wait_ms == 0;
}

/* What one gateway remembers. */
struct gateway {
    struct agent_moment now;
    unsigned attempts, misses, count;
    int64_t connects[ATTEMPTS_MAX + 1];
};

/* It sends nothing that the hub would count. */
static int64_t miss(struct run *run, struct gateway *g)
{
    struct gk_error err = { 0 };

    check(agent_budget_give_back(run->folder, &g->now, g->now.since_boot_ms, &err), &err);
    return agent_budget_miss_ms(++g->misses, draw(run), 0);
}

/* An attempt now, and how long to wait after it; 0: it reached a hub that is in order. */
static int64_t attempt(struct run *run, struct gateway *g)
{
    bool succeeds = g->now.since_boot_ms >= run->back_ms;
    struct gk_error err = { 0 };
    int64_t wait_ms = 0;

    g->attempts++;
    note(run->attempts, g->now.since_boot_ms);
    if (!succeeds && !run->refusing) {
        return miss(run, g);
    }
    note(run->connects, g->now.since_boot_ms);
    g->connects[g->count++] = g->now.since_boot_ms;
    if (!succeeds) {
        check(agent_budget_failed(run->folder, &g->now, g->now.since_boot_ms, draw(run), 0,
                                  &wait_ms, &err),
              &err);
        return wait_ms;
    }
    note(run->back, g->now.since_boot_ms);
    return 0;
}

/* One gateway, from the loss of a connection that had lasted to the next one. */
static void live(struct run *run)
{
    struct gateway g = {
        .now = { LOST_MS - 600 * SECOND_MS, "11111111-2222-3333-4444-555555555555" },
        .connects = { LOST_MS - 600 * SECOND_MS },
        .count = 1,
    };
    struct gk_error err = { 0 };
    int64_t wait_ms;
    unsigned most;

    begin_anew(run->folder);
    take(run, &g.now, &wait_ms);
    check(agent_budget_lasted(run->folder, &g.now, &err), &err);
    g.now.since_boot_ms = LOST_MS;
    check(agent_budget_failed(run->folder, &g.now, g.now.since_boot_ms, draw(run), run->spread_ms,
                              &wait_ms, &err),
          &err);
    while (wait_ms > 0 && g.attempts < ATTEMPTS_MAX) {
        g.now.since_boot_ms += wait_ms;
        if (take(run, &g.now, &wait_ms)) {
            wait_ms = attempt(run, &g);
        }
    }
    most = count_window(g.connects, g.count);
    run->most_attempts = g.attempts > run->most_attempts ? g.attempts : run->most_attempts;
    run->most_in_window = most > run->most_in_window ? most : run->most_in_window;
}

/* The second by which so many are back. */
static unsigned by_when(const struct run *run, uint64_t wanted)
{
    uint64_t back = 0;
    unsigned second = 0;

    while (second < SECONDS_MAX && (back += run->back[second]) < wanted) {
        second++;
    }
    return second;
}

static void report(const struct run *run, unsigned gateways)
{
    unsigned end = by_when(run, gateways);
    unsigned most = 0;

    for (unsigned second = 0; second <= end && second < SECONDS_MAX; second++) {
        printf("%u %u %u\n", second, run->attempts[second], run->connects[second]);
        most = run->connects[second] > most ? run->connects[second] : most;
    }
    printf("most-connects-a-second %u\n", most);
    printf("half-back-by %u\nall-back-by %u\n", by_when(run, (gateways + 1) / 2), end);
    printf("most-attempts-of-one %u\nmost-connects-of-one-in-120-s %u\n", run->most_attempts,
           run->most_in_window);
}

int main(int count, char **arguments)
{
    static struct run run = { .random = UINT64_C(0x9e3779b97f4a7c15) };
    unsigned gateways;

    if (count != 6) {
        fputs("usage: backoff-simulation GATEWAYS absent|refusing OUTAGE-SECONDS SPREAD-SECONDS"
              " FOLDER\n",
              stderr);
        return 2;
    }
    gateways = (unsigned)strtoul(arguments[1], NULL, 10);
    run.refusing = strcmp(arguments[2], "refusing") == 0;
    run.back_ms = LOST_MS + strtol(arguments[3], NULL, 10) * SECOND_MS;
    run.spread_ms = strtol(arguments[4], NULL, 10) * SECOND_MS;
    run.folder = arguments[5];
    for (unsigned i = 0; i < gateways; i++) {
        live(&run);
    }
    report(&run, gateways);
    return 0;
}
