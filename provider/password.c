/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords: of the device key, and of the parent of a key that is loaded from a file.
 *
 * A file that openssl.cnf names goes before the application's pass-phrase callback, so that what
 * runs unattended never stops to ask. Nothing is ever taken from the environment or from a URI.
 */
#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

static enum gk_status read_password(const char *setting, const char *path, struct gk_auth *auth,
                                    struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { NULL, 0 };
    enum gk_status status;

    auth->size = 0;
    if (path == NULL) {
        return GK_OK;
    }
    if (path[0] != '/') {
        (void)gk_fail(err, GK_BAD_CONFIG, "%s = %s in openssl.cnf", setting, path);
        gk_advise(err, "write a path that begins with /");
        return GK_BAD_CONFIG;
    }
    status = gk_secret_read(path, GK_AUTH_MAX_SIZE, &content, err);
    if (status == GK_OK) {
        memcpy(auth->bytes, content.data, content.size);
        auth->size = content.size;
    }
    return status;
}

enum gk_status prov_context_auth(struct prov_context *context, struct gk_auth *auth,
                                 struct gk_error *err)
{
    return read_password("auth-file", context->settings.auth_file, auth, err);
}

enum gk_status prov_context_parent_auth(struct prov_context *context, struct gk_auth *auth,
                                        struct gk_error *err)
{
    return read_password("parent-auth-file", context->settings.parent_auth_file, auth, err);
}

/*
 * The file is for the device key. One that another tool made has a password of its own, and may
 * count every wrong one towards the lockout of the whole TPM.
 */
static bool has_file(const struct prov_key *key)
{
    return key->context->settings.auth_file != NULL && !gk_key_is_loadable(key->reference);
}

static void ask_for_password(struct prov_key *key, OSSL_PASSPHRASE_CALLBACK *ask, void *argument)
{
    char what[] = "the device key";
    char phrase[1024]; /* as much as OpenSSL's own prompts take */
    size_t size = 0;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, what, 0),
        OSSL_PARAM_construct_end(),
    };

    /* No answer is no failure of ours, so what OpenSSL says of it must not outlive the call. */
    prov_error_mark(key->context);
    key->answered = ask(phrase, sizeof(phrase), &size, params, argument) == 1;
    if (!key->answered) {
        size = 0;
    }
    prov_error_drop(key->context);
    key->answer_too_long = size > GK_AUTH_MAX_SIZE;
    if (!key->answer_too_long) {
        memcpy(key->auth.bytes, phrase, size);
        key->auth.size = size;
    }
    explicit_bzero(phrase, sizeof(phrase));
}

void prov_key_find_password(struct prov_key *key, OSSL_PASSPHRASE_CALLBACK *ask, void *argument)
{
    if (!gk_key_needs_auth(key->reference)) {
        return;
    }
    if (has_file(key)) {
        (void)!prov_context_auth(key->context, &key->auth, NULL);
    } else if (ask != NULL) {
        ask_for_password(key, ask, argument);
    }
}

/*
 * The mark in a key file of others is not to be trusted: tpm2_encodeobject 5.4 writes the opposite.
 * So an empty answer is tried; and no answer at all where a mistake does no harm.
 */
enum gk_status prov_key_password(const struct prov_key *key, struct gk_auth *auth,
                                 struct gk_error *err)
{
    char about[GK_KEY_ABOUT_SIZE];

    *auth = key->auth;
    if (!gk_key_needs_auth(key->reference) || auth->size > 0) {
        return GK_OK;
    }
    if (key->answer_too_long) {
        (void)gk_fail(err, GK_BAD_AUTH, "it is longer than %d bytes", GK_AUTH_MAX_SIZE);
        gk_advise(err, "give the key's own password as the pass phrase");
        return GK_BAD_AUTH;
    }
    if (has_file(key)) {
        return prov_context_auth(key->context, auth, err);
    }
    if (gk_key_is_loadable(key->reference) &&
        (key->answered || !gk_key_counts_attempts(key->reference))) {
        return GK_OK;
    }
    gk_key_describe(key->reference, about);
    (void)gk_fail(err, GK_NEED_AUTH, "%s", about);
    gk_advise(err, gk_key_is_loadable(key->reference)
                       ? "give it as the program's pass phrase; if the key has none its file is "
                         "wrong, as some versions of tpm2_encodeobject are about -p"
                       : "give it as the program's pass phrase, or by auth-file in openssl.cnf");
    return GK_NEED_AUTH;
}

void prov_key_explain_password(const struct prov_key *key, struct gk_error *err)
{
    const char *file = key->context->settings.auth_file;

    if (gk_key_is_loadable(key->reference)) {
        /* The key's or its parent's: that was said where it was known. */
        return;
    }
    if (gk_key_needs_auth(key->reference)) {
        if (file != NULL) {
            gk_advise(err, "check what auth-file in openssl.cnf names, %.150s", file);
        } else {
            gk_advise(err, "give the key's own password as the pass phrase");
        }
        return;
    }
    err->status = GK_NEED_AUTH;
    if (key->by_handle) {
        gk_advise(err,
                  "write gatekey:handle=0x%08x?pass, and give it as the pass phrase or by "
                  "auth-file in openssl.cnf",
                  gk_key_handle(key->reference));
    } else {
        gk_advise(err,
                  "its reference says that it has none; name it gatekey:handle=0x%08x?pass, or "
                  "make a new key",
                  gk_key_handle(key->reference));
    }
}

void prov_key_find_parent_password(struct prov_key *key)
{
    CLEANUP(gk_auth_clear) struct gk_auth auth = { .size = 0 };

    if (!gk_key_is_loadable(key->reference) || key->context->settings.parent_auth_file == NULL) {
        return;
    }
    if (prov_context_parent_auth(key->context, &auth, NULL) == GK_OK) {
        gk_key_set_parent_auth(key->reference, &auth);
    } else {
        key->parent_auth_unread = true;
    }
}

enum gk_status prov_key_parent_password(const struct prov_key *key, struct gk_key **with,
                                        struct gk_error *err)
{
    CLEANUP(gk_auth_clear) struct gk_auth auth = { .size = 0 };
    enum gk_status status;

    if (!key->parent_auth_unread) {
        return GK_OK;
    }
    status = prov_context_parent_auth(key->context, &auth, err);
    if (status != GK_OK) {
        return status;
    }
    /* The key itself is shared and never changes. */
    *with = gk_key_copy(key->reference);
    if (*with == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    gk_key_set_parent_auth(*with, &auth);
    return GK_OK;
}
