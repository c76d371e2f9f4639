/* SPDX-License-Identifier: Apache-2.0 */
/* A library context of our own, the providers in it, and keys by URI. */
#include "agent/openssl.h"

#include "agent/secret.h"
#include "agent/sentence.h"
#include "provider/crypto.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#define KEY_BITS 2048

struct agent_openssl {
    OSSL_LIB_CTX *context;
    OSSL_PROVIDER *base; /* "default": everything but the device key */
    OSSL_PROVIDER *provider;
    const char *propquery;
    const char *key_auth_file;
    struct prov_crypto where;
    struct gk_crypto crypto;
};

GK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
GK_DEFINE_CLEANUP(UI_METHOD, UI_destroy_method)

static void store_closep(OSSL_STORE_CTX **store)
{
    if (*store != NULL) {
        OSSL_STORE_close(*store);
    }
}

static void info_freep(OSSL_STORE_INFO **info)
{
    OSSL_STORE_INFO_free(*info);
}

/* gatekey's provider raises its status above the reasons that OpenSSL keeps for itself. */
#define PROVIDER_REASONS 100

/* What a failure comes down to. */
struct cause {
    struct gk_error own; /* as gatekey's own provider said it; GK_OK when it said nothing */
    char text[sizeof(((struct gk_error *)NULL)->object)];
};

static void consider(struct cause *cause, unsigned long code, const char *data, int flags)
{
    const char *library = ERR_lib_error_string(code);
    const char *reason = ERR_reason_error_string(code);
    const char *detail = (flags & ERR_TXT_STRING) != 0 && data != NULL ? data : "";
    int status = ERR_GET_REASON(code) - PROVIDER_REASONS;

    if (library != NULL && strcmp(library, "gatekey") == 0 && status > GK_OK &&
        status < GK_STATUS_COUNT && cause->own.status == GK_OK) {
        agent_sentence_read(detail, (enum gk_status)status, &cause->own);
    } else if (cause->text[0] == '\0' && cause->own.status == GK_OK) {
        /* The oldest entry is the root; what follows are its callers' complaints about it. */
        snprintf(cause->text, sizeof(cause->text), "%s%s%s", reason != NULL ? reason : "",
                 reason != NULL && detail[0] != '\0' ? ": " : "", detail);
    }
}

static enum gk_status tell(const struct cause *cause, struct gk_error *err, enum gk_status status,
                           const char *what)
{
    if (cause->own.status == GK_OK) {
        return gk_fail(err, status, "%s%s%s", what, cause->text[0] != '\0' ? ": " : "",
                       cause->text);
    }
    if (err != NULL) {
        *err = cause->own;
    }
    /* The provider knows neither our callback nor our configuration. */
    if (cause->own.status == GK_BAD_AUTH || cause->own.status == GK_NEED_AUTH) {
        gk_advise(err, "check [tpm] key_auth_file, and the file it names");
    }
    return cause->own.status;
}

enum gk_status agent_openssl_error(struct gk_error *err, enum gk_status status, const char *what)
{
    struct cause cause = { 0 };
    const char *data = NULL;
    int flags = 0;
    unsigned long code;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        consider(&cause, code, data, flags);
    }
    return tell(&cause, err, status, what);
}

enum gk_status agent_openssl_peek(struct gk_error *err, enum gk_status status, const char *what)
{
    struct cause cause = { 0 };
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);

    if (code == 0) {
        return GK_OK;
    }
    consider(&cause, code, data, flags);
    return tell(&cause, err, status, what);
}

/* "/DIR/NAME.so" -> DIR and NAME; false when it is a bare name. */
static bool split_module(const char *path, char **directory, char **name)
{
    const char *slash = strrchr(path, '/');
    size_t length;

    if (slash == NULL) {
        return false;
    }
    *directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    *name = strdup(slash + 1);
    if (*name != NULL) {
        length = strlen(*name);
        if (length > 3 && strcmp(*name + length - 3, ".so") == 0) {
            (*name)[length - 3] = '\0';
        }
    }
    return true;
}

static enum gk_status load_provider(struct agent_openssl *openssl, const char *wanted,
                                    struct gk_error *err)
{
    CLEANUP(gk_freep) char *directory = NULL;
    CLEANUP(gk_freep) char *name = NULL;
    enum gk_status status;
    char what[256];

    if (strcmp(wanted, "default") == 0) {
        return GK_OK;
    }
    if (!split_module(wanted, &directory, &name)) {
        /* Our own module is taken from where it was installed, whatever OPENSSL_MODULES says. */
        directory = strdup(strcmp(wanted, "gatekey") == 0 ? GK_PROVIDERDIR : "");
        name = strdup(wanted);
    }
    if (directory == NULL || name == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (directory[0] != '\0') {
        OSSL_PROVIDER_set_default_search_path(openssl->context, directory);
    }
    openssl->provider = OSSL_PROVIDER_load(openssl->context, name);
    if (openssl->provider == NULL) {
        snprintf(what, sizeof(what), "[identity] provider = %s", wanted);
        status = agent_openssl_error(err, GK_BAD_CONFIG, what);
        gk_advise(err, "install that OpenSSL provider, or give its absolute path");
        return status;
    }
    return GK_OK;
}

/*
 * The provider reads these two when it is loaded; here the configuration decides, not our caller.
 * tpm2-openssl has a variable of its own, without which the TSS would search for a TPM; whoever
 * sets it wants another way to the TPM for it.
 */
static enum gk_status tell_provider(const struct agent_config *config, struct gk_error *err)
{
    /* The TSS would write its own lines on standard error; ours say the same once, and what to do.
     */
    if (setenv("GATEKEY_TCTI", config->tcti, 1) != 0 ||
        setenv("GATEKEY_IDENTITY", config->directory, 1) != 0 ||
        setenv("TPM2OPENSSL_TCTI", config->tcti, 0) != 0 ||
        setenv("TSS2_LOG", "all+none", 0) != 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return GK_OK;
}

enum gk_status agent_openssl_new(const struct agent_config *config, struct agent_openssl **openssl,
                                 struct gk_error *err)
{
    CLEANUP(agent_openssl_freep) struct agent_openssl *made = calloc(1, sizeof(*made));
    enum gk_status status;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = tell_provider(config, err);
    if (status != GK_OK) {
        return status;
    }
    /* Must come first: libssl, libcurl and libmosquitto would each read openssl.cnf on start-up. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "starting OpenSSL");
    }
    made->propquery = config->propquery;
    made->key_auth_file = config->key_auth_file;
    made->context = OSSL_LIB_CTX_new();
    if (made->context == NULL) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "making a library context");
    }
    /* default first: OpenSSL then never offers software keys to the device key's provider. */
    made->base = OSSL_PROVIDER_load(made->context, "default");
    if (made->base == NULL) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "loading the default provider");
    }
    status = load_provider(made, config->provider, err);
    if (status != GK_OK) {
        return status;
    }
    made->where =
        (struct prov_crypto){ .libctx = made->context, .properties = PROV_CRYPTO_NOT_OURS };
    prov_crypto_fill(&made->where, &made->crypto);
    *openssl = TAKE(made);
    return GK_OK;
}

void agent_openssl_free(struct agent_openssl *openssl)
{
    if (openssl == NULL) {
        return;
    }
    if (openssl->provider != NULL) {
        OSSL_PROVIDER_unload(openssl->provider);
    }
    if (openssl->base != NULL) {
        OSSL_PROVIDER_unload(openssl->base);
    }
    OSSL_LIB_CTX_free(openssl->context);
    free(openssl);
}

OSSL_LIB_CTX *agent_openssl_context(const struct agent_openssl *openssl)
{
    return openssl->context;
}

const char *agent_openssl_propquery(const struct agent_openssl *openssl)
{
    return openssl->propquery;
}

const struct gk_crypto *agent_openssl_crypto(const struct agent_openssl *openssl)
{
    return &openssl->crypto;
}

/*
 * The key's password, where the key says that it needs one. Without a callback of ours OpenSSL
 * would ask for it on the terminal.
 */
static int give_password(char *text, int size, int writing, void *context)
{
    const struct agent_openssl *openssl = context;
    CLEANUP(gk_auth_clear) struct gk_auth auth = { 0 };

    if (writing != 0 || openssl->key_auth_file == NULL ||
        agent_auth_read_file(openssl->key_auth_file, &auth, NULL) != GK_OK ||
        auth.size > (size_t)size) {
        return -1;
    }
    memcpy(text, auth.bytes, auth.size);
    return (int)auth.size;
}

static EVP_PKEY *first_key(OSSL_STORE_CTX *store)
{
    EVP_PKEY *key = NULL;

    while (key == NULL && OSSL_STORE_eof(store) == 0) {
        CLEANUP(info_freep) OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (info == NULL) {
            if (OSSL_STORE_error(store) != 0) {
                break;
            }
            continue;
        }
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            key = OSSL_STORE_INFO_get1_PKEY(info);
        }
    }
    return key;
}

enum gk_status agent_openssl_load_key(struct agent_openssl *openssl, const char *uri,
                                      EVP_PKEY **key, struct gk_error *err)
{
    CLEANUP(UI_destroy_methodp)
    UI_METHOD *method = UI_UTIL_wrap_read_pem_callback(give_password, 0);
    CLEANUP(store_closep) OSSL_STORE_CTX *store = NULL;
    CLEANUP(EVP_PKEY_freep) EVP_PKEY *found = NULL;

    ERR_clear_error();
    if (method == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    store = OSSL_STORE_open_ex(uri, openssl->context, openssl->propquery, method, openssl, NULL,
                               NULL, NULL);
    if (store == NULL || OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) != 1) {
        return agent_openssl_error(err, GK_NO_KEY, uri);
    }
    found = first_key(store);
    if (found == NULL) {
        return agent_openssl_error(err, GK_NO_KEY, uri);
    }
    ERR_clear_error();
    if (EVP_PKEY_is_a(found, "RSA") != 1 || EVP_PKEY_get_bits(found) != KEY_BITS) {
        return gk_fail(err, GK_NOT_RSA2048, "%s", uri);
    }
    *key = TAKE(found);
    return GK_OK;
}

bool agent_openssl_signatures(const struct agent_openssl *openssl,
                              struct agent_signatures *signatures)
{
    struct agent_signatures known = { 0 };
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint64("gatekey-signatures", &known.made),
        OSSL_PARAM_construct_uint64("gatekey-signature-failures", &known.failed),
        OSSL_PARAM_construct_uint64("gatekey-signature-us", &known.total_us),
        OSSL_PARAM_construct_uint64("gatekey-signature-last-us", &known.last_us),
        OSSL_PARAM_construct_end(),
    };

    /* A provider leaves alone what it does not know, and says that all is well. */
    if (openssl->provider == NULL || OSSL_PROVIDER_get_params(openssl->provider, params) != 1 ||
        !OSSL_PARAM_modified(&params[0])) {
        ERR_clear_error();
        return false;
    }
    *signatures = known;
    return true;
}
