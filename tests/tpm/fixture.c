/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of tpm/ share. */
#include "tests/tpm/fixture.h"

#include "provider/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct gk_crypto *fixture_crypto(void)
{
    static struct prov_crypto where;
    static struct gk_crypto crypto;

    if (crypto.hash == NULL) {
        prov_crypto_fill(&where, &crypto);
    }
    return &crypto;
}

const char *fixture_tcti(void)
{
    const char *tcti = getenv("GATEKEY_TCTI");

    assert_non_null(tcti);
    return tcti;
}

struct gk_auth fixture_auth(const char *password)
{
    struct gk_auth auth = { .size = strlen(password) };

    assert_true(auth.size <= sizeof(auth.bytes));
    memcpy(auth.bytes, password, auth.size);
    return auth;
}

static enum gk_status remember_nothing(void *context, const struct gk_key *key,
                                       struct gk_error *err)
{
    (void)context;
    (void)key;
    (void)err;
    return GK_OK;
}

struct gk_key *fixture_key(uint32_t handle, const char *password)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    struct gk_auth auth = fixture_auth(password != NULL ? password : "");
    struct gk_key *key = NULL;
    struct gk_error err = { 0 };

    assert_int_equal(gk_admin_open(fixture_tcti(), NULL, &admin, &err), GK_OK);
    assert_int_equal(gk_admin_key_create(admin, handle, &auth, fixture_crypto(), remember_nothing,
                                         NULL, &key, &err),
                     GK_OK);
    return key;
}

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
