/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the identity directory, which others write, and tells by content what was replaced. */
#include "identity/identity.h"
#include "agent/crl.h"
#include "agent/file.h"
#include "agent/service/service.h"
#include "agent/state.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define MODES "let the user that gatekeyd runs as read it; gatekey(1) has the modes under FILES"

GK_DEFINE_CLEANUP(X509, X509_free)

static void bio_freep(BIO **bio)
{
    BIO_free(*bio);
}

static void fclosep(FILE **file)
{
    if (*file != NULL) {
        fclose(*file);
    }
}

/* --- marks
 * ---------------------------------------------------------------------------------------- */

/* Each part comes with its size, so that no two lists of parts look alike. */
static void add_part(FILE *parts, const void *data, size_t size)
{
    fwrite(&size, sizeof(size), 1, parts);
    fwrite(data, 1, size, parts);
}

/*
 * The certificate alone, without the chain that came with it: a pair is the same wherever it was
 * moved to.
 */
static void add_certificate(FILE *parts, struct agent_openssl *openssl,
                            const struct gk_content *content)
{
    CLEANUP(bio_freep) BIO *pem = BIO_new_mem_buf(content->data, (int)content->size);
    CLEANUP(X509_freep)
    X509 *certificate =
        X509_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));
    unsigned char *der = NULL;
    int size = -1;

    if (pem != NULL && certificate != NULL &&
        PEM_read_bio_X509(pem, &certificate, NULL, NULL) != NULL) {
        size = i2d_X509(certificate, &der);
    }
    if (size > 0) {
        add_part(parts, der, (size_t)size);
    } else {
        /* An attempt will say what is wrong with it. */
        add_part(parts, content->data, content->size);
    }
    OPENSSL_free(der);
    ERR_clear_error();
}

static void add_content(FILE *parts, struct agent_openssl *openssl, const char *name,
                        const struct gk_content *content)
{
    if (strcmp(name, GK_FILE_CERTIFICATE) == 0) {
        add_certificate(parts, openssl, content);
    } else {
        add_part(parts, content->data, content->size);
    }
}

/* One file of several that make a mark. */
struct part {
    const char *folder; /* NULL: name is a path */
    const char *name;
    bool optional; /* what cannot be read is as good as missing: an attempt says what is wrong */
    bool there;    /* is told */
};

static enum gk_status read_optional(const struct part *part, struct gk_content *content)
{
    CLEANUP(gk_freep) char *path = NULL;

    if (asprintf(&path, "%s%s%s", part->folder != NULL ? part->folder : "",
                 part->folder != NULL ? "/" : "", part->name) < 0) {
        path = NULL;
        return GK_NO_MEMORY;
    }
    return agent_file_read(path, AGENT_CRL_FILE_MAX, content, NULL);
}

/* A file that is missing is an empty part. */
static enum gk_status add_file(FILE *parts, const struct service *service, struct part *part,
                               struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = part->optional
                                ? read_optional(part, &content)
                                : gk_identity_read(part->folder, part->name, &content, err);

    part->there = status == GK_OK;
    if (status == GK_OK) {
        add_content(parts, service->openssl, part->name, &content);
    } else if (status == GK_NO_FILE || part->optional) {
        add_part(parts, "", 0);
        status = GK_OK;
    } else if (status == GK_FILE_DENIED) {
        gk_advise(err, MODES);
    }
    return status;
}

static enum gk_status take_mark(const struct service *service, struct part *parts, size_t count,
                                struct mark *mark, struct gk_error *err)
{
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(fclosep) FILE *stream = NULL;
    size_t size = 0;
    enum gk_status status = GK_OK;

    stream = open_memstream(&text, &size);
    if (stream == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    for (size_t i = 0; status == GK_OK && i < count; i++) {
        status = add_file(stream, service, &parts[i], err);
    }
    if (status == GK_OK && fflush(stream) != 0) {
        status = gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (status == GK_OK && EVP_Q_digest(agent_openssl_context(service->openssl), "SHA256",
                                        agent_openssl_propquery(service->openssl), text, size,
                                        mark->bytes, NULL) != 1) {
        status = agent_openssl_error(err, GK_CRYPTO_FAILED, "SHA256");
    }
    return status;
}

bool mark_equal(const struct mark *one, const struct mark *other)
{
    return memcmp(one->bytes, other->bytes, sizeof(one->bytes)) == 0;
}

/* --- looking
 * -------------------------------------------------------------------------------------- */

/* A software key has no device.pem, and is never replaced. */
static enum gk_status look_at_current(const struct service *service, struct identity *identity,
                                      bool *complete, struct gk_error *err)
{
    const char *directory = service->config->directory;
    struct part parts[] = { { directory, GK_FILE_CERTIFICATE, false, false },
                            { directory, GK_FILE_SECRET, false, false },
                            { directory, GK_FILE_DEVICE, false, false } };
    enum gk_status status = take_mark(service, parts, 3, &identity->current, err);

    *complete = parts[0].there && parts[1].there;
    return status;
}

/* The key is in next/ too where it is rotated. */
static enum gk_status look_at_next(const struct service *service, struct identity *identity,
                                   struct gk_error *err)
{
    const char *directory = service->config->directory;
    CLEANUP(gk_freep) char *next = agent_pair_folder(service->config, AGENT_PAIR_NEXT);
    CLEANUP(gk_freep) char *key = NULL;
    struct part parts[] = { { next, GK_FILE_CERTIFICATE, true, false },
                            { directory, GK_FILE_SECRET, true, false },
                            { next, GK_FILE_DEVICE, true, false } };
    enum gk_status status;

    if (next == NULL || asprintf(&key, "%s/" GK_FILE_DEVICE, next) < 0) {
        key = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (access(key, F_OK) != 0) {
        parts[2].folder = directory;
    }
    status = take_mark(service, parts, 3, &identity->next, err);
    identity->has_next = parts[0].there && parts[1].there;
    return status;
}

static enum gk_status look_at_trust(const struct service *service, struct identity *identity,
                                    struct gk_error *err)
{
    const char *directory = service->config->directory;
    const char *ca_file = service->config->hub_ca_file;
    struct part trust[] = { { directory, GK_FILE_SERVER_CA, true, false },
                            { directory, GK_FILE_SERVER_CRL, true, false },
                            { NULL, ca_file, true, false } };
    /* The list counts for what these say of it. */
    struct part list[] = { { directory, GK_FILE_CRL, true, false },
                           { directory, GK_FILE_ISSUER_CA, true, false },
                           { directory, GK_FILE_LINK_CA, true, false } };
    enum gk_status status =
        take_mark(service, trust, ca_file != NULL ? 3 : 2, &identity->trust, err);

    return status == GK_OK ? take_mark(service, list, 3, &identity->list, err) : status;
}

enum gk_status identity_look(const struct service *service, struct identity *identity,
                             struct gk_error *err)
{
    struct agent_state state = { 0 };
    bool complete = false;
    enum gk_status status;

    *identity = (struct identity){ 0 };
    status = look_at_current(service, identity, &complete, err);
    if (status == GK_OK) {
        status = look_at_next(service, identity, err);
    }
    if (status == GK_OK) {
        status = look_at_trust(service, identity, err);
    }
    if (status != GK_OK) {
        return status;
    }
    status = agent_state_read(service->config->directory, &state, err);
    if (status == GK_FILE_DENIED) {
        gk_advise(err, MODES);
    }
    if (status != GK_OK) {
        return status;
    }
    identity->enrolled = complete && state.stage == AGENT_STAGE_ENROLLED;
    identity->certified = complete && state.stage == AGENT_STAGE_CERTIFIED;
    identity->resetting = state.stage == AGENT_STAGE_RESETTING;
    identity->promoting = state.renewal == AGENT_RENEWAL_PROMOTING;
    identity->newest = state.next_at > state.certified ? state.next_at : state.certified;
    return GK_OK;
}
