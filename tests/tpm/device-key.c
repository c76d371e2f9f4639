/* SPDX-License-Identifier: Apache-2.0 */
/* A device key in the test's own TPM. */
#include "tests/tpm/device-key.h"

#include "provider/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
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

char *fixture_key_file(uint32_t handle, const char *password)
{
    CLEANUP(gk_key_freep) struct gk_key *key = fixture_key(handle, password);
    char *text = NULL;
    struct gk_error err = { 0 };

    assert_int_equal(gk_key_format(key, &text, &err), GK_OK);
    return text;
}
