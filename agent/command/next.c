/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the folder next/: its key, its request, its certificate. */
#include "agent/command/next.h"

#include "agent/command/devicekey.h"
#include "agent/file.h"
#include "agent/tls.h"
#include "identity/identity.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static void free_biop(BIO **bio)
{
    BIO_free(*bio);
}

static void free_requestp(X509_REQ **request)
{
    X509_REQ_free(*request);
}

static void free_pkeyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static enum gk_status folder_of(const struct agent_config *config, char **folder,
                                struct gk_error *err)
{
    *folder = agent_pair_folder(config, AGENT_PAIR_NEXT);
    return *folder != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

/* [tpm] handle, or the one behind it while the key in use lies there. */
static enum gk_status find_handle(const struct agent_config *config, uint32_t *handle,
                                  struct gk_error *err)
{
    CLEANUP(devicekey_clear) struct devicekey current = { 0 };
    enum gk_status status = devicekey_read(config, &current, err);

    if (status != GK_OK) {
        return status;
    }
    if (current.key == NULL) {
        return gk_fail(err, GK_NOT_ENROLLED, "no " GK_FILE_DEVICE " in %s", config->directory);
    }
    *handle = current.handle == config->handle ? config->handle + 1 : config->handle;
    return GK_OK;
}

static enum gk_status make_key(struct run *run, const char *folder, struct gk_error *err)
{
    struct devicekey_place place = { folder, 0 };
    bool made = false;
    enum gk_status status = find_handle(run->config, &place.handle, err);

    if (status == GK_OK) {
        status = devicekey_ensure_at(run, &place, &made, err);
    }
    if (status == GK_OK) {
        say_step(run, "a new device key %s the TPM at 0x%08x", made ? "made in" : "found in",
                 (unsigned)place.handle);
    }
    return status;
}

/* Two names for one key: a crash may leave that behind, and then it is not one to be destroyed. */
static bool is_in_use(const struct agent_config *config, const char *folder)
{
    CLEANUP(gk_content_clear) struct gk_content current = { 0 };
    CLEANUP(gk_content_clear) struct gk_content next = { 0 };

    return gk_identity_read(config->directory, GK_FILE_DEVICE, &current, NULL) == GK_OK &&
           gk_identity_read(folder, GK_FILE_DEVICE, &next, NULL) == GK_OK &&
           current.size == next.size && memcmp(current.data, next.data, next.size) == 0;
}

static enum gk_status destroy_key(struct run *run, const char *folder, bool *evicted,
                                  struct gk_error *err)
{
    const struct devicekey_place place = { folder, run->config->handle };
    enum gk_status status = GK_OK;

    *evicted = false;
    if (is_in_use(run->config, folder)) {
        status = agent_file_remove(folder, GK_FILE_DEVICE, err);
    }
    return status == GK_OK ? devicekey_destroy_at(run, &place, evicted, err) : status;
}

/*
 * A key that an overlap could not destroy when it ended lies where the next one is to be made.
 * Where none is made, it can wait for another time.
 */
static enum gk_status destroy_left_over(struct run *run, struct gk_error *err)
{
    bool evicted = false;
    enum gk_status status = devicekey_destroy_old(run, &evicted, err);

    if (status == GK_OK && evicted) {
        say_step(run, "a device key from before, which was left over, destroyed");
    }
    return run->config->rotate_key ? status : GK_OK;
}

/* The answer to a request that is under way fits its key alone. */
static bool has_asked(const char *folder)
{
    CLEANUP(gk_content_clear) struct gk_content request = { 0 };
    CLEANUP(gk_content_clear) struct gk_content key = { 0 };

    return gk_identity_read(folder, NEXT_FILE_REQUEST, &request, NULL) == GK_OK &&
           gk_identity_read(folder, GK_FILE_DEVICE, &key, NULL) == GK_OK;
}

enum gk_status next_prepare(struct run *run, bool awaits_answer, struct gk_error *err)
{
    CLEANUP(gk_freep) char *folder = NULL;
    enum gk_status status = folder_of(run->config, &folder, err);
    bool evicted;

    if (status == GK_OK) {
        status = agent_file_make_directory(folder, err);
    }
    if (status == GK_OK) {
        status = agent_file_sweep(folder, err);
    }
    if (status == GK_OK) {
        status = destroy_left_over(run, err);
    }
    if (status != GK_OK || (awaits_answer && has_asked(folder))) {
        return status;
    }
    return run->config->rotate_key ? make_key(run, folder, err)
                                   : destroy_key(run, folder, &evicted, err);
}

enum gk_status next_key(struct run *run, EVP_PKEY **key, struct gk_error *err)
{
    CLEANUP(gk_freep) char *uri = agent_pair_key(run->config, AGENT_PAIR_NEXT);
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (uri == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return status == GK_OK ? agent_openssl_load_key(openssl, uri, key, err) : status;
}

static bool is_for_key(X509_REQ *request, EVP_PKEY *key)
{
    CLEANUP(free_pkeyp) EVP_PKEY *own = X509_REQ_get_pubkey(request);
    unsigned char *left = NULL, *right = NULL;
    int left_size = own != NULL ? i2d_PUBKEY(own, &left) : -1;
    int right_size = i2d_PUBKEY(key, &right);
    bool same =
        left_size > 0 && left_size == right_size && memcmp(left, right, (size_t)left_size) == 0;

    OPENSSL_free(left);
    OPENSSL_free(right);
    return same;
}

static bool is_for_name(const X509_REQ *request, const char *common_name)
{
    char name[4 * CERTIFICATE_NAME_MAX + 1] = "";

    X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName, name,
                              sizeof(name));
    return strcmp(name, common_name) == 0;
}

static bool fits(struct agent_openssl *openssl, const char *pem, EVP_PKEY *key,
                 const char *common_name)
{
    CLEANUP(free_biop) BIO *bio = BIO_new_mem_buf(pem, -1);
    CLEANUP(free_requestp)
    X509_REQ *request =
        X509_REQ_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));

    if (bio == NULL || request == NULL ||
        PEM_read_bio_X509_REQ(bio, &request, NULL, NULL) == NULL) {
        agent_openssl_error(NULL, GK_CRYPTO_FAILED, NEXT_FILE_REQUEST);
        return false;
    }
    return is_for_key(request, key) && is_for_name(request, common_name);
}

enum gk_status next_request(struct run *run, EVP_PKEY *key, const char *common_name, char **csr,
                            struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content there = { 0 };
    CLEANUP(gk_freep) char *folder = NULL;
    CLEANUP(gk_freep) char *made = NULL;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = folder_of(run->config, &folder, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = gk_identity_read(folder, NEXT_FILE_REQUEST, &there, err);
    if (status == GK_OK && fits(openssl, there.data, key, common_name)) {
        *csr = TAKE(there.data);
        return GK_OK;
    }
    status = certificate_request(run->config, openssl, key, common_name, &made, err);
    if (status == GK_OK) {
        status =
            agent_file_replace(folder, NEXT_FILE_REQUEST, made, strlen(made), AGENT_FOR_ALL, err);
    }
    if (status == GK_OK) {
        *csr = TAKE(made);
    }
    return status;
}

/* cert.pem is last: whoever finds it finds what it is checked by. */
enum gk_status next_put(struct run *run, const struct certificate *certificate,
                        struct gk_error *err)
{
    CLEANUP(gk_freep) char *chain = certificate_format_chain(certificate);
    CLEANUP(gk_freep) char *issuers = certificate_format_issuers(certificate);
    CLEANUP(gk_freep) char *folder = NULL;
    enum gk_status status = folder_of(run->config, &folder, err);

    if (status == GK_OK && (chain == NULL || issuers == NULL)) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (status == GK_OK) {
        status = agent_file_replace(folder, GK_FILE_ISSUER_CA, issuers, strlen(issuers),
                                    AGENT_FOR_ALL, err);
    }
    if (status == GK_OK) {
        status = agent_file_replace(folder, GK_FILE_CERTIFICATE, chain, strlen(chain),
                                    AGENT_FOR_ALL, err);
    }
    return status;
}

enum gk_status next_read(struct run *run, struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content chain = { 0 };
    CLEANUP(gk_content_clear) struct gk_content issuers = { 0 };
    CLEANUP(gk_freep) char *folder = NULL;
    struct agent_openssl *openssl;
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = folder_of(run->config, &folder, err);
    }
    if (status == GK_OK) {
        status = gk_identity_read(folder, GK_FILE_CERTIFICATE, &chain, err);
    }
    if (status == GK_OK) {
        status = gk_identity_read(folder, GK_FILE_ISSUER_CA, &issuers, err);
    }
    return status == GK_OK ? certificate_parse(openssl, chain.data, issuers.data, certificate, err)
                           : status;
}

enum gk_status next_discard(struct run *run, bool *evicted, struct gk_error *err)
{
    CLEANUP(gk_freep) char *folder = NULL;
    enum gk_status status = folder_of(run->config, &folder, err);
    bool did = false;

    if (status == GK_OK && access(folder, F_OK) == 0) {
        status = destroy_key(run, folder, &did, err);
    }
    if (evicted != NULL) {
        *evicted = did;
    }
    return status == GK_OK ? next_remove(run->config, err) : status;
}

enum gk_status next_remove(const struct agent_config *config, struct gk_error *err)
{
    static const char *const files[] = { GK_FILE_CERTIFICATE, GK_FILE_ISSUER_CA, NEXT_FILE_REQUEST,
                                         GK_FILE_DEVICE_NEW, GK_FILE_DEVICE };
    CLEANUP(gk_freep) char *folder = NULL;
    enum gk_status status = folder_of(config, &folder, err);

    if (status != GK_OK || access(folder, F_OK) != 0) {
        return status;
    }
    status = agent_file_sweep(folder, err);
    for (size_t i = 0; status == GK_OK && i < sizeof(files) / sizeof(files[0]); i++) {
        status = agent_file_remove(folder, files[i], err);
    }
    if (status == GK_OK && rmdir(folder) != 0 && errno != ENOENT) {
        return gk_fail_file(err, errno, folder);
    }
    return status;
}
