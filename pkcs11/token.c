/* SPDX-License-Identifier: Apache-2.0 */
/* The token: what the identity directory held when it was read. */
#include "pkcs11/internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

GK_DEFINE_CLEANUP(struct p11_token, p11_token_release)

/* In the order of p11_token.stamps. */
enum file { DEVICE, CERTIFICATE, IDENTITY, FILES };
static const char *const names[FILES] = { GK_FILE_DEVICE, GK_FILE_CERTIFICATE, GK_FILE_IDENTITY };

/* --- which version of a file it is --- */

/* Unsigned on the way: a file may claim any time. */
static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)((uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec);
}

static struct p11_stamp stamp(const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct stat about;

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path) ||
        lstat(path, &about) != 0) {
        return (struct p11_stamp){ 0 };
    }
    return (struct p11_stamp){
        .exists = true,
        .device = about.st_dev,
        .inode = about.st_ino,
        .size = (uint64_t)about.st_size,
        .modified_ns = nanoseconds(about.st_mtim),
        .changed_ns = nanoseconds(about.st_ctim),
    };
}

static bool same_stamp(const struct p11_stamp *a, const struct p11_stamp *b)
{
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

bool p11_token_is_stale(const struct p11_token *token, const char *directory)
{
    for (size_t i = 0; i < FILES; i++) {
        struct p11_stamp now = stamp(directory, names[i]);

        if (!same_stamp(&now, &token->stamps[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Trouble that may pass without the file being written (no descriptor left, a disk error): with its
 * stamp forgotten, the file is read again next time.
 */
static void note_trouble(struct p11_token *token, enum file file, enum gk_status status)
{
    if (status != GK_OK && status != GK_BAD_FILE && status != GK_BAD_REFERENCE &&
        status != GK_NOT_RSA2048 && status != GK_WRONG_KIND) {
        token->stamps[file] = (struct p11_stamp){ 0 };
    }
    if (status == GK_NO_DESCRIPTOR || status == GK_FILE_FAILED) {
        token->is_incomplete = true;
    }
}

/* --- reading --- */

static enum gk_status parse_key(const struct gk_content *content, const char *directory,
                                enum file file, struct gk_key **key, struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = gk_key_parse(content->data, content->size, key, &why);

    if (status != GK_OK) {
        gk_fail(err, status, "%s/%s: %s", directory, names[file], why.object);
    }
    return status;
}

static enum gk_status parse_chain(const struct gk_content *content, const char *directory,
                                  enum file file, struct p11_chain *chain, struct gk_error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", directory, names[file]);
    return p11_chain_parse(content, path, chain, err);
}

/* The user of a program cannot be told to become the owner of these files. */
static void advise_about_modes(struct gk_error *err)
{
    if (err->status == GK_FILE_DENIED) {
        gk_advise(err, "let everybody read it (chmod 644): it holds no secret");
    }
}

static enum gk_status read_key(struct p11_token *token, const char *directory)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = gk_identity_read(directory, names[DEVICE], &content, &token->error);

    if (status == GK_OK) {
        status = parse_key(&content, directory, DEVICE, &token->key, &token->error);
    }
    note_trouble(token, DEVICE, status);
    if (status == GK_NO_FILE) {
        gk_advise(&token->error,
                  "run gatekey enroll, or set GATEKEY_IDENTITY or [identity] directory");
    }
    advise_about_modes(&token->error);
    return status;
}

/*
 * Without certificates the key is still good for much, so what is wrong with cert.pem goes no
 * further than token->error, unless memory ran out. That there is none is nothing wrong.
 */
static enum gk_status read_chain(struct p11_token *token, const char *directory,
                                 struct p11_chain *chain)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    struct gk_error err = { 0 };
    enum gk_status status = gk_identity_read(directory, names[CERTIFICATE], &content, &err);

    if (status == GK_OK) {
        status = parse_chain(&content, directory, CERTIFICATE, chain, &err);
    }
    note_trouble(token, CERTIFICATE, status);
    if (status != GK_OK && status != GK_NO_FILE) {
        advise_about_modes(&err);
        token->error = err;
    }
    return status == GK_NO_MEMORY ? status : GK_OK;
}

static void id_of(const struct gk_key *key, uint8_t id[static P11_ID_SIZE])
{
    uint8_t bits[P11_PUBLIC_BITS_MAX];
    size_t size = p11_public_bits(gk_key_public(key), bits);

    p11_key_id((struct p11_bytes){ bits, size }, id);
}

/* Take key and certificates from identity.pem where those belong together. */
static enum gk_status read_both(struct p11_token *token, const char *directory,
                                struct p11_chain *chain)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    CLEANUP(p11_chain_clear) struct p11_chain other_chain = { 0 };
    CLEANUP(gk_key_freep) struct gk_key *other_key = NULL;
    uint8_t id[P11_ID_SIZE];
    enum gk_status status = gk_identity_read(directory, names[IDENTITY], &content, NULL);

    if (status == GK_OK) {
        status = parse_key(&content, directory, IDENTITY, &other_key, NULL);
    }
    if (status == GK_OK) {
        status = parse_chain(&content, directory, IDENTITY, &other_chain, NULL);
    }
    note_trouble(token, IDENTITY, status);
    if (status != GK_OK) {
        return status == GK_NO_MEMORY ? status : GK_OK;
    }
    id_of(other_key, id);
    if (p11_chain_fits(&other_chain, id)) {
        gk_key_free(token->key);
        token->key = TAKE(other_key);
        memcpy(token->id, id, sizeof(id));
        p11_chain_clear(chain);
        *chain = other_chain;
        other_chain = (struct p11_chain){ 0 };
    }
    return GK_OK;
}

/* All that the files say; only running out of memory is a failure. */
static enum gk_status read_files(struct p11_token *token, const char *directory)
{
    CLEANUP(p11_chain_clear) struct p11_chain chain = { 0 };
    enum gk_status status;

    /* Before reading, so that a change meanwhile is seen the next time. */
    for (size_t i = 0; i < FILES; i++) {
        token->stamps[i] = stamp(directory, names[i]);
    }
    token->status = read_key(token, directory);
    if (token->status != GK_OK) {
        return token->status == GK_NO_MEMORY ? GK_NO_MEMORY : GK_OK;
    }
    id_of(token->key, token->id);
    status = read_chain(token, directory, &chain);
    if (status == GK_OK && chain.count > 0 && !p11_chain_fits(&chain, token->id)) {
        status = read_both(token, directory, &chain);
        if (!p11_chain_fits(&chain, token->id)) {
            gk_fail(&token->error, GK_BAD_CERTIFICATE, "%s/%s: it is not of the key in %s",
                    directory, names[CERTIFICATE], names[DEVICE]);
            gk_advise(&token->error, "run gatekey status, then gatekey enroll");
        }
    }
    if (status != GK_OK) {
        return status;
    }
    for (size_t i = 0; i < (sizeof(token->serial) - 1) / 2; i++) {
        snprintf(token->serial + 2 * i, 3, "%02x", token->id[i]);
    }
    return p11_token_fill(token, &chain) ? GK_OK : GK_NO_MEMORY;
}

/* --- the token --- */

/* The last component of a directory, without slashes after it. */
static struct p11_bytes last_component(const char *directory)
{
    size_t end = strlen(directory), start;

    while (end > 0 && directory[end - 1] == '/') {
        end--;
    }
    start = end;
    while (start > 0 && directory[start - 1] != '/') {
        start--;
    }
    return (struct p11_bytes){ (const uint8_t *)directory + start, end - start };
}

/* Cut at a character where it is too long. */
static void set_label(struct p11_token *token, struct p11_bytes name)
{
    if (name.size > sizeof(token->label) - 1) {
        name.size = sizeof(token->label) - 1;
        while (name.size > 0 && (name.data[name.size] & 0xc0) == 0x80) {
            name.size--;
        }
    }
    memcpy(token->label, name.data, name.size);
}

static struct p11_token *make(const char *directory)
{
    struct p11_token *token = calloc(1, sizeof(*token));
    struct p11_bytes name = last_component(directory);

    if (token != NULL) {
        token->holders = 1;
        set_label(token, name.size > 0 ? name : last_component(GK_DEFAULT_DIRECTORY));
    }
    return token;
}

struct p11_token *p11_token_read(const char *directory)
{
    CLEANUP(p11_token_releasep) struct p11_token *token = make(directory);

    if (token == NULL || read_files(token, directory) != GK_OK) {
        return NULL;
    }
    return TAKE(token);
}

struct p11_token *p11_token_none(const struct gk_error *why)
{
    struct p11_token *token = make(GK_DEFAULT_DIRECTORY);

    if (token != NULL) {
        token->status = why->status;
        token->error = *why;
    }
    return token;
}

struct p11_token *p11_token_hold(struct p11_token *token)
{
    token->holders++;
    return token;
}

void p11_token_release(struct p11_token *token)
{
    if (token == NULL || --token->holders > 0) {
        return;
    }
    for (size_t i = 0; i < token->count; i++) {
        p11_object_clear(&token->objects[i]);
    }
    free(token->objects);
    gk_key_free(token->key);
    free(token);
}

/* A half of the key stays the object that it is when its certificate, and so its subject, changes.
 */
static bool is_same_object(const struct p11_object *a, const struct p11_object *b, bool same_key)
{
    bool are_keys = a->class == CKO_PRIVATE_KEY || a->class == CKO_PUBLIC_KEY;

    return (same_key && are_keys && a->class == b->class && a->private == b->private) ||
           p11_object_equal(a, b);
}

void p11_token_inherit(struct p11_token *token, const struct p11_token *older)
{
    bool same_key =
        token->key != NULL && older->key != NULL && gk_key_identical(token->key, older->key);

    if (same_key) {
        token->lacks_pss = older->lacks_pss;
    }
    for (size_t i = 0; i < token->count; i++) {
        token->objects[i].handle = CK_INVALID_HANDLE;
        /* No two objects of a token are the same: each has a CKA_UNIQUE_ID. */
        for (size_t j = 0; j < older->count; j++) {
            if (is_same_object(&token->objects[i], &older->objects[j], same_key)) {
                token->objects[i].handle = older->objects[j].handle;
            }
        }
    }
}

struct p11_object *p11_token_object(const struct p11_token *token, CK_OBJECT_HANDLE handle)
{
    for (size_t i = 0; handle != 0 && i < token->count; i++) {
        if (token->objects[i].handle == handle) {
            return &token->objects[i];
        }
    }
    return NULL;
}
