/* SPDX-License-Identifier: Apache-2.0 */
/* Administration on a line that breaks: whichever command goes wrong, the TPM's slots are free
 * afterwards. */
#include "tests/tpm/fixture.h"
#include "tests/tpm/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HANDLE 0x81000100U
#define TPM_RC_FAILURE 0x101U
#define COMMANDS_MAX 40

static const char secret[] = "a device secret of EnOS";

static enum gk_status remember_nothing(void *context, const struct gk_key *key,
                                       struct gk_error *err)
{
    (void)context;
    (void)key;
    (void)err;
    return GK_OK;
}

static enum gk_status create(struct gk_admin *admin, struct gk_error *err)
{
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;

    return gk_admin_key_create(admin, HANDLE, NULL, fixture_crypto(), remember_nothing, NULL, &key,
                               err);
}

static enum gk_status seal_and_unseal(struct gk_admin *admin, struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = NULL;
    uint8_t opened[GK_SECRET_MAX_SIZE];
    size_t size = 0;
    enum gk_status status =
        gk_admin_seal(admin, (const uint8_t *)secret, strlen(secret), &text, err);

    return status == GK_OK ? gk_admin_unseal(admin, text, strlen(text), opened, &size, err)
                           : status;
}

/* Run a job with one command mistreated after skip others; false when it ended before that. */
static bool goes_wrong(enum gk_status (*job)(struct gk_admin *, struct gk_error *), unsigned skip,
                       enum proxy_fault fault)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    struct proxy *proxy = proxy_start();
    struct gk_error err = { 0 };
    enum gk_status status;
    bool reached;

    proxy_fault_after(proxy, skip, fault, 1, TPM_RC_FAILURE);
    status = gk_admin_open(proxy_tcti(proxy), NULL, &admin, &err);
    if (status == GK_OK) {
        status = job(admin, &err);
    }
    gk_admin_close(TAKE(admin));
    reached = proxy_count(proxy) > skip;
    proxy_stop(proxy);
    if (reached && status != GK_OK && err.status != status) {
        fail_msg("command %u: status %d, but the error says %d", skip, (int)status,
                 (int)err.status);
    }
    return reached;
}

static void each_command_in_turn(enum gk_status (*job)(struct gk_admin *, struct gk_error *),
                                 enum proxy_fault fault)
{
    unsigned skip = 0;

    for (; skip < COMMANDS_MAX; skip++) {
        bool reached = goes_wrong(job, skip, fault);

        print_message("command %u\n", skip + 1);
        fixture_assert_nothing_left_loaded();
        fixture_run("tpm2_clear -Q -c p");
        if (!reached) {
            break;
        }
    }
    /* It did go on for a while, and it did come to an end. */
    assert_in_range(skip, 5, COMMANDS_MAX - 1);
}

static void creating_leaves_nothing_when_the_line_is_cut(void **state)
{
    (void)state;
    each_command_in_turn(create, PROXY_CUT);
}

static void creating_leaves_nothing_when_an_answer_is_garbled(void **state)
{
    (void)state;
    each_command_in_turn(create, PROXY_GARBLE);
}

static void creating_leaves_nothing_when_the_tpm_fails(void **state)
{
    (void)state;
    each_command_in_turn(create, PROXY_ANSWER);
}

static void sealing_leaves_nothing_when_the_line_is_cut(void **state)
{
    (void)state;
    each_command_in_turn(seal_and_unseal, PROXY_CUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating_leaves_nothing_when_the_line_is_cut),
        cmocka_unit_test(creating_leaves_nothing_when_an_answer_is_garbled),
        cmocka_unit_test(creating_leaves_nothing_when_the_tpm_fails),
        cmocka_unit_test(sealing_leaves_nothing_when_the_line_is_cut),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
