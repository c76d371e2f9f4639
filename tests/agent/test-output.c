/* SPDX-License-Identifier: Apache-2.0 */
/* What others wrote neither steers the terminal nor looks like a line of ours. */
#include "agent/command/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void becomes(const char *text, const char *wanted)
{
    char copy[64];

    snprintf(copy, sizeof(copy), "%s", text);
    agent_text_tame(copy);
    assert_string_equal(copy, wanted);
}

static void leaves_text_as_it_is(void **state)
{
    (void)state;
    becomes("", "");
    becomes("cannot enroll: 100 % (gw-1); ask", "cannot enroll: 100 % (gw-1); ask");
    becomes("\u00a0\u00e9 \u8bbe\u5907 \U0001f511", "\u00a0\u00e9 \u8bbe\u5907 \U0001f511");
}

static void lets_no_control_character_through(void **state)
{
    (void)state;
    becomes("\033]0;owned\a\033[2Jgone", "?]0;owned??[2Jgone");
    becomes("one\ngatekey: all is well\r\t\b", "one?gatekey: all is well???");
    becomes("\177", "?");
    /* U+009B begins a sequence as ESC [ does, here in UTF-8 and alone. */
    becomes("a\302\2332Jb", "a??2Jb");
    becomes("a\2332Jb", "a?2Jb");
}

static void lets_nothing_through_that_is_no_utf8(void **state)
{
    (void)state;
    becomes("\303", "?");
    becomes("\303(", "?(");
    becomes("\342\202", "??");
    becomes("\300\257", "??");
    becomes("\340\202\233", "???");
    becomes("\360\200\202\233", "????");
    becomes("\377\376x", "??x");
    becomes("\364\217\277", "???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_text_as_it_is),
        cmocka_unit_test(lets_no_control_character_through),
        cmocka_unit_test(lets_nothing_through_that_is_no_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
