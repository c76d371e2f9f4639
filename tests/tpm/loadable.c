/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of loadable keys share. */
#include "tests/tpm/loadable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct proxy *loadable_proxy;
struct gk_tpm *loadable_tpm;
static const uint8_t digest[GK_HASH_MAX_SIZE] = { 3, 2, 1 };

void loadable_make(const char *name, const char *parent, const char *settings)
{
    char command[1024];

    snprintf(command, sizeof(command),
             "tpm2_create -Q -C %s -u %s.pub -r %s.priv %s && tpm2_flushcontext -t", parent, name,
             name, settings);
    fixture_run(command);
}

void loadable_make_under(const char *name, const char *hierarchy, const char *algorithm,
                         const char *settings)
{
    char command[1024];

    snprintf(command, sizeof(command),
             "tpm2_createprimary -Q -C %s -G %s -a '" TEMPLATE
             "' -c primary.ctx && tpm2_flushcontext -t",
             hierarchy, algorithm);
    fixture_run(command);
    loadable_make(name, "primary.ctx", settings);
}

size_t loadable_read_file(const char *name, const char *suffix, uint8_t *bytes, size_t capacity)
{
    CLEANUP(gk_fclosep) FILE *file = NULL;
    char path[64];

    snprintf(path, sizeof(path), "%s.%s", name, suffix);
    file = fopen(path, "rb");
    assert_non_null(file);
    return fread(bytes, 1, capacity, file);
}

enum gk_status loadable_try_read(const char *name, uint32_t parent, struct gk_key **key,
                                 struct gk_error *err)
{
    uint8_t public_area[1024], private_area[1024];
    struct gk_loadable loadable = { .parent = parent,
                                    .public_area = public_area,
                                    .private_area = private_area };

    loadable.public_size = loadable_read_file(name, "pub", public_area, sizeof(public_area));
    loadable.private_size = loadable_read_file(name, "priv", private_area, sizeof(private_area));
    return gk_key_from_loadable(&loadable, key, err);
}

struct gk_key *loadable_read(const char *name, uint32_t parent, bool rsa_parent, bool needs_auth)
{
    uint8_t public_area[1024], private_area[1024];
    struct gk_loadable loadable = { .parent = parent,
                                    .rsa_parent = rsa_parent,
                                    .needs_auth = needs_auth,
                                    .public_area = public_area,
                                    .private_area = private_area };
    struct gk_key *key = NULL;

    loadable.public_size = loadable_read_file(name, "pub", public_area, sizeof(public_area));
    loadable.private_size = loadable_read_file(name, "priv", private_area, sizeof(private_area));
    assert_int_equal(gk_key_from_loadable(&loadable, &key, NULL), GK_OK);
    return key;
}

enum gk_status loadable_sign_by(const struct gk_key *key, const struct gk_auth *auth,
                                enum gk_scheme scheme, enum gk_hash hash, size_t salt_size,
                                struct gk_error *err)
{
    uint8_t signature[GK_RSA2048_SIZE];

    return gk_key_sign(loadable_tpm, key, auth, fixture_crypto(), scheme, hash, digest, salt_size,
                       signature, err);
}

enum gk_status loadable_sign(const struct gk_key *key, struct gk_error *err)
{
    return loadable_sign_by(key, NULL, GK_RSAPSS, GK_SHA256, 32, err);
}

void loadable_warm_up(void)
{
    CLEANUP(gk_key_freep)
    struct gk_key *key = loadable_read("persistent", PERSISTENT, false, false);

    assert_int_equal(loadable_sign(key, NULL), GK_OK);
}

int loadable_set_up(void **state)
{
    (void)state;
    fixture_run("tpm2_createprimary -Q -C o -G ecc -a '" TEMPLATE "' -c srk.ctx && "
                "tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001 && tpm2_flushcontext -t");
    fixture_run("tpm2_createprimary -Q -C o -G ecc -a '" TEMPLATE "' -p secret -c pw.ctx && "
                "tpm2_evictcontrol -Q -C o -c pw.ctx 0x81000002 && tpm2_flushcontext -t");
    loadable_make("persistent", "0x81000001", "-G rsa2048:null -a '" SIGNING "'");
    loadable_make_under("owner", "o", "ecc", "-G rsa2048:null -a '" SIGNING "'");
    loadable_proxy = proxy_start();
    assert_int_equal(gk_tpm_new(proxy_tcti(loadable_proxy), &loadable_tpm, NULL), GK_OK);
    loadable_warm_up();
    return 0;
}

int loadable_tear_down(void **state)
{
    (void)state;
    gk_tpm_free(loadable_tpm);
    proxy_stop(loadable_proxy);
    return 0;
}

int loadable_begin(void **state)
{
    (void)state;
    proxy_fault_next(loadable_proxy, PROXY_CUT, 0, 0);
    proxy_count(loadable_proxy);
    return 0;
}

int loadable_end(void **state)
{
    (void)state;
    proxy_fault_next(loadable_proxy, PROXY_CUT, 0, 0);
    fixture_assert_nothing_left_loaded();
    return 0;
}

void loadable_assert_costs(const struct gk_key *key, unsigned first, unsigned later)
{
    proxy_count(loadable_proxy);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(loadable_sign(key, NULL), GK_OK);
        assert_int_equal(proxy_count(loadable_proxy), i == 0 ? first : later);
        fixture_assert_nothing_left_loaded();
    }
}
