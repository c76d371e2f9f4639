/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tpm/ share. */
#include "tests/tpm/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void fixture_run(const char *command)
{
    assert_int_equal(system(command), 0);
}

void fixture_assert_says(const struct gk_error *err, const char *text)
{
    char sentence[1024];

    gk_error_sentence(err, "do it", sentence, sizeof(sentence));
    if (strstr(sentence, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", sentence, text);
    }
}

void fixture_assert_nothing_left_loaded(void)
{
    fixture_run("test -z \"$(tpm2_getcap handles-transient)\" && "
                "test -z \"$(tpm2_getcap handles-loaded-session)\"");
}
