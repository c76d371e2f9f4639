/* SPDX-License-Identifier: Apache-2.0 */
/* The part of gatekey status about the certificate that comes next. */
#include "agent/command/status.h"

#include "agent/command/renew-schedule.h"
#include "agent/command/trust.h"

static const char *by_whom(enum agent_renew_by by)
{
    switch (by) {
    case AGENT_RENEW_API:
        return "by the API";
    case AGENT_RENEW_EVENT:
        return "by an application beside the hub";
    case AGENT_RENEW_AUTO:
    case AGENT_RENEW_HAND:
        break;
    }
    return "by hand: gatekey csr, gatekey install";
}

static void show_due(struct run *run, const struct certificate *certificate)
{
    const struct renewal_life life = { certificate_begin(certificate),
                                       certificate_end(certificate) };
    char text[TRUST_TIME_SIZE];

    trust_format_time(renewal_due_at(&life), text);
    say_line(run, "%-12s due %s, %s", "renewal", text, by_whom(run->config->renew_by));
    say_text(run, "renewalDue", text);
}

void status_show_renewal(struct run *run, const struct agent_state *state,
                         const struct certificate *certificate)
{
    char text[TRUST_TIME_SIZE];

    show_due(run, certificate);
    say_text(run, "renewal", agent_renewal_name(state->renewal));
    if (state->renewal == AGENT_RENEWAL_OVERLAP) {
        trust_format_time(state->old_until, text);
        say_line(run, "%-12s overlap: certificate %s is valid too, until it is revoked on %s", "",
                 state->old_sn, text);
        say_text(run, "oldUntil", text);
    } else if (state->renewal != AGENT_RENEWAL_NONE) {
        say_line(run, "%-12s under way: %s", "", agent_renewal_name(state->renewal));
    }
    if (state->failures > 0) {
        trust_format_time(state->tried_at, text);
        say_line(run, "%-12s failed %lld times, last on %s", "", (long long)state->failures, text);
        say_member(run, "renewalFailures", json_integer((json_int_t)state->failures));
    }
}
