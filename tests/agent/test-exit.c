/* SPDX-License-Identifier: Apache-2.0 */
/* The exit codes that gatekey(1) promises to scripts. */
#include "agent/exit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void each_outcome_has_its_code(void **state)
{
    (void)state;
    assert_int_equal(agent_exit_code(GK_OK), 0);
    assert_int_equal(agent_exit_code(GK_HUB_REFUSED), 1);
    assert_int_equal(agent_exit_code(GK_UNTRUSTED), 1);
    assert_int_equal(agent_exit_code(GK_BAD_CONFIG), 1);
    assert_int_equal(agent_exit_code(GK_USAGE), 2);
    assert_int_equal(agent_exit_code(GK_NOT_ENROLLED), 3);
    assert_int_equal(agent_exit_code(GK_REVOKED), 4);
    assert_int_equal(agent_exit_code(GK_UNREACHABLE), 5);
    assert_int_equal(agent_exit_code(GK_THROTTLED), 5);
    assert_int_equal(agent_exit_code(GK_NO_TPM), 6);
    assert_int_equal(agent_exit_code(GK_TPM_DENIED), 6);
    assert_int_equal(agent_exit_code(GK_LOCKED), 6);
}

static void only_success_is_zero(void **state)
{
    (void)state;
    for (int status = GK_OK + 1; status < GK_STATUS_COUNT; status++) {
        assert_in_range(agent_exit_code((enum gk_status)status), 1, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_outcome_has_its_code),
        cmocka_unit_test(only_success_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
