/* SPDX-License-Identifier: Apache-2.0 */
/* One loaded provider: what it was told, and what it makes at first use. */
#include "provider/internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <strings.h>

static void unlock(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

#define LOCKED(mutex)                                \
    CLEANUP(unlock) pthread_mutex_t *held = (mutex); \
    pthread_mutex_lock(held)

static void take_upcalls(struct prov_upcalls *upcalls, const OSSL_DISPATCH *in)
{
    for (; in->function_id != 0; in++) {
        switch (in->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:
            upcalls->get_params = OSSL_FUNC_core_get_params(in);
            break;
        case OSSL_FUNC_CORE_NEW_ERROR:
            upcalls->new_error = OSSL_FUNC_core_new_error(in);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
            upcalls->set_error_debug = OSSL_FUNC_core_set_error_debug(in);
            break;
        case OSSL_FUNC_CORE_VSET_ERROR:
            upcalls->vset_error = OSSL_FUNC_core_vset_error(in);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_MARK:
            upcalls->set_error_mark = OSSL_FUNC_core_set_error_mark(in);
            break;
        case OSSL_FUNC_CORE_POP_ERROR_TO_MARK:
            upcalls->pop_error_to_mark = OSSL_FUNC_core_pop_error_to_mark(in);
            break;
        case OSSL_FUNC_BIO_GETS:
            upcalls->bio_gets = OSSL_FUNC_BIO_gets(in);
            break;
        case OSSL_FUNC_BIO_READ_EX:
            upcalls->bio_read_ex = OSSL_FUNC_BIO_read_ex(in);
            break;
        case OSSL_FUNC_BIO_WRITE_EX:
            upcalls->bio_write_ex = OSSL_FUNC_BIO_write_ex(in);
            break;
        case OSSL_FUNC_CORE_GET_LIBCTX:
            upcalls->get_libctx = OSSL_FUNC_core_get_libctx(in);
            break;
        case OSSL_FUNC_CRYPTO_MALLOC:
            upcalls->crypto_malloc = OSSL_FUNC_CRYPTO_malloc(in);
            break;
        case OSSL_FUNC_PROVIDER_UP_REF:
            upcalls->provider_up_ref = OSSL_FUNC_provider_up_ref(in);
            break;
        case OSSL_FUNC_PROVIDER_FREE:
            upcalls->provider_free = OSSL_FUNC_provider_free(in);
            break;
        default:
            break;
        }
    }
}

/*
 * The core keeps the strings only as long as it likes. A bare "identity" is not to be had: OpenSSL
 * takes that key for the name of the provider. A key that is not asked for here nobody ever sees,
 * so a misspelt one cannot be told.
 */
static bool take_settings(struct prov_context *context)
{
    struct prov_settings *settings = &context->settings;
    const struct {
        const char *key;
        char **setting;
    } table[] = {
        { "identity-directory", &settings->identity },
        { "tcti", &settings->tcti },
        { "auth-file", &settings->auth_file },
        { "parent-auth-file", &settings->parent_auth_file },
        { "assume-fips", &settings->assume_fips },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char *value = NULL;
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_ptr(table[i].key, &value, 0),
            OSSL_PARAM_construct_end(),
        };

        if (context->upcalls.get_params == NULL ||
            context->upcalls.get_params(context->core, params) != 1 || value == NULL) {
            continue;
        }
        *table[i].setting = strdup(value);
        if (*table[i].setting == NULL) {
            return false;
        }
    }
    return true;
}

static void settings_clear(struct prov_settings *settings)
{
    free(settings->identity);
    free(settings->tcti);
    free(settings->auth_file);
    free(settings->parent_auth_file);
    free(settings->assume_fips);
}

/* As OpenSSL reads its own switches. */
static bool is_yes(const char *value)
{
    static const char *const words[] = { "1", "yes", "true", "on" };

    for (size_t i = 0; value != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

struct prov_context *prov_context_new(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *upcalls)
{
    struct prov_context *context = calloc(1, sizeof(*context));

    if (context == NULL) {
        return NULL;
    }
    context->core = core;
    pthread_mutex_init(&context->lock, NULL);
    take_upcalls(&context->upcalls, upcalls);
    gk_environment_capture(&context->environment);
    if (!take_settings(context) ||
        (is_yes(context->settings.assume_fips) && !prov_tables_assume_fips(context))) {
        prov_context_free(context);
        return NULL;
    }
    return context;
}

#define HASHES (GK_SHA512 + 1)

static void software_free(struct prov_software *software)
{
    if (software != NULL) {
        for (size_t hash = 0; hash < HASHES; hash++) {
            EVP_MD_free(software->hashes[hash]);
        }
        OSSL_PROVIDER_unload(software->provider);
        OSSL_LIB_CTX_free(software->libctx);
        free(software);
    }
}
GK_DEFINE_CLEANUP(struct prov_software, software_free)

void prov_context_free(struct prov_context *context)
{
    if (context == NULL) {
        return;
    }
    prov_fork_unwatch(context);
    gk_tpm_free(context->tpm);
    gk_place_clear(&context->place);
    software_free(context->software);
    pthread_mutex_destroy(&context->lock);
    gk_environment_clear(&context->environment);
    settings_clear(&context->settings);
    prov_tables_clear(context);
    free(context);
}

/*
 * Find out where the TPM and the identity are. Two threads may do it at once; the first to finish
 * is heard, which is simpler than holding a lock while files are read.
 */
static enum gk_status resolve(struct prov_context *context, struct gk_error *err)
{
    CLEANUP(gk_place_clear) struct gk_place place = { NULL, NULL };
    CLEANUP(gk_tpm_freep) struct gk_tpm *tpm = NULL;
    enum gk_status status;

    status = gk_place_find(&context->environment, context->settings.identity,
                           context->settings.tcti, NULL, &place, err);
    if (status == GK_OK) {
        status = gk_tpm_new(place.tcti, &tpm, err);
    }
    if (status == GK_OK) {
        status = prov_fork_watch(context, err);
    }
    if (status != GK_OK) {
        return status;
    }

    LOCKED(&context->lock);
    if (context->tpm == NULL) {
        context->tpm = TAKE(tpm);
        context->place = place;
        place = (struct gk_place){ NULL, NULL };
    }
    return GK_OK;
}

static bool is_resolved(struct prov_context *context)
{
    LOCKED(&context->lock);
    return context->tpm != NULL;
}

enum gk_status prov_context_tpm(struct prov_context *context, struct gk_tpm **tpm,
                                struct gk_error *err)
{
    enum gk_status status = is_resolved(context) ? GK_OK : resolve(context, err);

    if (status == GK_OK) {
        *tpm = context->tpm;
    }
    return status;
}

enum gk_status prov_context_tcti(struct prov_context *context, const char **tcti,
                                 struct gk_error *err)
{
    enum gk_status status = is_resolved(context) ? GK_OK : resolve(context, err);

    if (status == GK_OK) {
        *tcti = context->place.tcti;
    }
    return status;
}

enum gk_status prov_context_directory(struct prov_context *context, const char **directory,
                                      struct gk_error *err)
{
    enum gk_status status = is_resolved(context) ? GK_OK : resolve(context, err);

    if (status == GK_OK) {
        *directory = context->place.directory;
    }
    return status;
}

/*
 * Not a child of the application's context: that would mirror all its providers, ourselves and any
 * other TPM's among them, and register callbacks with the parent. "default" is built into
 * libcrypto, so this reads no configuration and no file.
 */
static struct prov_software *software_new(void)
{
    CLEANUP(software_freep) struct prov_software *software = calloc(1, sizeof(*software));

    if (software == NULL) {
        return NULL;
    }
    software->libctx = OSSL_LIB_CTX_new();
    if (software->libctx == NULL) {
        return NULL;
    }
    software->provider = OSSL_PROVIDER_load(software->libctx, "default");
    if (software->provider == NULL) {
        return NULL;
    }
    for (size_t hash = 0; hash < HASHES; hash++) {
        software->hashes[hash] =
            EVP_MD_fetch(software->libctx, prov_crypto_hash_name((enum gk_hash)hash), NULL);
        if (software->hashes[hash] == NULL) {
            return NULL;
        }
    }
    software->where = (struct prov_crypto){ .libctx = software->libctx };
    return TAKE(software);
}

static struct prov_software *known_software(struct prov_context *context)
{
    LOCKED(&context->lock);
    return context->software;
}

enum gk_status prov_context_software(struct prov_context *context, struct prov_software **software,
                                     struct gk_error *err)
{
    CLEANUP(software_freep) struct prov_software *made = NULL;

    *software = known_software(context);
    if (*software != NULL) {
        return GK_OK;
    }
    ERR_set_mark();
    made = software_new();
    ERR_pop_to_mark();
    if (made == NULL) {
        return gk_fail(err, GK_CRYPTO_FAILED, "the default provider cannot be loaded");
    }
    pthread_mutex_lock(&context->lock);
    if (context->software == NULL) {
        context->software = TAKE(made);
    }
    *software = context->software;
    pthread_mutex_unlock(&context->lock);
    return GK_OK;
}
