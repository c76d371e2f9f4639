/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey key adopt: a key that gatekey did not make becomes the device's, on somebody's word. */
#include "agent/command/devicekey.h"
#include "agent/command/sibling.h"
#include "agent/file.h"
#include "agent/secret.h"
#include "agent/state.h"
#include "identity/identity.h"
#include "tpm/admin.h"

#include <inttypes.h>
#include <time.h>

static void free_tpmp(struct gk_tpm **tpm)
{
    gk_tpm_free(*tpm);
}

static enum gk_status read_handle(const char *text, uint32_t *handle, struct gk_error *err)
{
    char *end;
    unsigned long value = strtoul(text, &end, 16);

    if (*text == '\0' || *end != '\0' || value < GK_HANDLE_FIRST || value > GK_HANDLE_LAST) {
        gk_fail(err, GK_USAGE, "%.40s is no handle", text);
        gk_advise(err,
                  "name a persistent handle of the owner's, 0x%08x to 0x%08x; "
                  "tpm2_getcap handles-persistent lists them",
                  GK_HANDLE_FIRST, GK_HANDLE_LAST);
        return GK_USAGE;
    }
    *handle = (uint32_t)value;
    return GK_OK;
}

/* Whoever has a key already gives that one up first. *same: it is this one. */
static enum gk_status refuse_another(const struct run *run, const struct gk_key *key, bool *same,
                                     struct gk_error *err)
{
    CLEANUP(devicekey_clear) struct devicekey d = { 0 };
    enum gk_status status = devicekey_read(run->config, &d, err);

    if (status != GK_OK) {
        return status;
    }
    if (d.planned != NULL) {
        gk_fail(err, GK_REFUSED, "a key is being made in %s", run->config->directory);
        gk_advise(err, "run gatekey key create, which finishes that");
        return GK_REFUSED;
    }
    *same =
        d.key != NULL && gk_key_identical(d.key, key) && gk_key_handle(d.key) == gk_key_handle(key);
    if (d.key != NULL && !*same) {
        gk_fail(err, GK_REFUSED, "the device key is another one, at 0x%08" PRIx32,
                gk_key_handle(d.key));
        gk_advise(err, "run gatekey key delete first, or gatekey reset where a certificate stands "
                       "on it");
        return GK_REFUSED;
    }
    return GK_OK;
}

/* Both ways to sign that TLS needs; that also shows whether the password is right. */
static enum gk_status try_it(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    static const uint8_t digest[GK_HASH_MAX_SIZE] = "a key that is to be adopted";
    CLEANUP(gk_auth_clear) struct gk_auth auth = { 0 };
    CLEANUP(free_tpmp) struct gk_tpm *tpm = NULL;
    struct agent_openssl *openssl;
    uint8_t signature[GK_RSA2048_SIZE];
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = agent_auth_read_file(run->config->key_auth_file, &auth, err);
    }
    if (status == GK_OK) {
        status = gk_tpm_new(run->config->tcti, &tpm, err);
    }
    if (status == GK_OK) {
        status = gk_key_sign(tpm, key, &auth, agent_openssl_crypto(openssl), GK_RSASSA, GK_SHA256,
                             digest, 0, signature, err);
    }
    return status == GK_OK ? gk_key_sign(tpm, key, &auth, agent_openssl_crypto(openssl), GK_RSAPSS,
                                         GK_SHA256, digest, gk_hash_size(GK_SHA256), signature, err)
                           : status;
}

/* What the keys that gatekey makes are, and this one is not. */
static void show_weaknesses(struct run *run, const struct gk_key *key)
{
    const struct {
        bool is_so;
        const char *name, *text;
    } all[] = {
        { !gk_key_is_fixed(key), "movable",
          "not fixedTPM: it can be moved to another TPM, and somebody may hold a copy" },
        { !gk_key_was_made_inside(key), "imported",
          "imported: it was made outside of the TPM, and somebody may hold a copy" },
        { gk_key_pads_in_software(key), "decrypt",
          "decrypt: who may sign with it may decrypt with it as well" },
        { gk_key_counts_attempts(key), "lockout",
          "no noDA: wrong passwords of this key drive the TPM into lockout" },
        { !gk_key_needs_auth(key), "no password",
          "no password: everybody who may open the TPM may sign with it" },
    };
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].is_so) {
            say_line(run, "weakness %s", all[i].text);
            json_array_append_new(list, json_string(all[i].name));
        }
    }
    say_member(run, "weaknesses", list);
}

/* The mark goes before the file, so that no key is the device's without anybody having said so. */
static enum gk_status take(struct run *run, const struct gk_key *key, struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = NULL;
    struct agent_state state;
    enum gk_status status = agent_state_read(run->config->directory, &state, err);

    if (status == GK_OK) {
        state.adopted = time(NULL);
        status = agent_state_write(run->config->directory, &state, err);
    }
    if (status == GK_OK) {
        status = gk_key_format(key, &text, err);
    }
    return status == GK_OK ? agent_file_replace(run->config->directory, GK_FILE_DEVICE, text,
                                                strlen(text), AGENT_FOR_ALL, err)
                           : status;
}

static enum gk_status adopt(struct run *run, uint32_t handle, bool yes, struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    char question[256];
    bool same = false;
    enum gk_status status = agent_admin_open(run->config, &admin, err);

    if (status == GK_OK) {
        status = gk_admin_key_describe(admin, handle, &key, err);
    }
    if (status == GK_NO_KEY) {
        gk_advise(err, "tpm2_getcap handles-persistent lists where the TPM has one");
    }
    gk_admin_close(TAKE(admin)); /* one connection at a time, for TPMs without a resource manager */
    if (status == GK_OK) {
        status = refuse_another(run, key, &same, err);
    }
    if (status == GK_OK && same) {
        say_step(run, "0x%08" PRIx32 " is the device key already; nothing was changed", handle);
        return GK_OK;
    }
    if (status == GK_OK) {
        status = sibling_refuse_shared(run->config, key, err);
    }
    if (status != GK_OK) {
        return status;
    }
    if (run->config->key_auth_file != NULL) {
        gk_key_set_needs_auth(key);
    }
    status = try_it(run, key, err);
    if (status == GK_OK) {
        status = devicekey_show(run, key, err);
    }
    if (status != GK_OK) {
        return status;
    }
    show_weaknesses(run, key);
    snprintf(question, sizeof(question),
             "The key at 0x%08" PRIx32 " becomes this gateway's identity and must serve no other "
             "purpose; gatekey reset destroys it.",
             handle);
    status = ask_to_go_on(yes, question, err);
    if (status == GK_OK) {
        status = take(run, key, err);
    }
    if (status == GK_OK) {
        say_step(run, "key at 0x%08" PRIx32 " adopted as the device key", handle);
    }
    return status;
}

enum gk_status command_key_adopt(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(agent_lock_releasep) struct agent_lock *lock = NULL;
    bool yes = false;
    const struct word words[] = { { "yes", NULL, &yes }, { 0 } };
    char **rest = NULL;
    uint32_t handle = 0;
    enum gk_status status = words_read(run, argc, argv, words, 1, 1, &rest, err);

    if (status == GK_OK) {
        status = read_handle(rest[0], &handle, err);
    }
    if (status == GK_OK) {
        status = devicekey_refuse_foreign(run, err);
    }
    if (status == GK_OK) {
        status = run_lock(run, &lock, err);
    }
    return status == GK_OK ? adopt(run, handle, yes, err) : status;
}
