/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of a PEM text (RFC 7468). */
#include "pkcs11/internal.h"

#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

void p11_chain_clear(struct p11_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        free(chain->der[i]);
    }
    *chain = (struct p11_chain){ 0 };
}

/* Split the first line off a text; without its end and the blanks before it. */
static bool take_line(struct p11_bytes *text, struct p11_bytes *line)
{
    const uint8_t *end;

    if (text->size == 0) {
        return false;
    }
    *line = *text;
    end = memchr(text->data, '\n', text->size);
    if (end != NULL) {
        line->size = (size_t)(end - text->data);
    }
    text->data += line->size + (end != NULL);
    text->size -= line->size + (end != NULL);
    while (line->size > 0 && memchr("\r\t ", line->data[line->size - 1], 3) != NULL) {
        line->size--;
    }
    return true;
}

static bool starts_with(struct p11_bytes line, const char *start)
{
    return line.size >= strlen(start) && memcmp(line.data, start, strlen(start)) == 0;
}

static bool ends_with(struct p11_bytes line, const char *end)
{
    return line.size >= strlen(end) &&
           memcmp(line.data + line.size - strlen(end), end, strlen(end)) == 0;
}

/* The label of a line like "-----BEGIN label-----". */
static bool boundary(struct p11_bytes line, const char *start, struct p11_bytes *label)
{
    size_t around = strlen(start) + strlen(DASHES);

    if (line.size < around || !starts_with(line, start) || !ends_with(line, DASHES)) {
        return false;
    }
    *label = (struct p11_bytes){ line.data + strlen(start), line.size - around };
    return true;
}

static bool same(struct p11_bytes a, struct p11_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Take the rest of the block of that label off a text; false where it has no end. */
static bool take_body(struct p11_bytes *text, struct p11_bytes label, struct p11_bytes *body)
{
    struct p11_bytes line, ended;

    body->data = text->data;
    while (take_line(text, &line)) {
        if (boundary(line, END, &ended) && same(ended, label)) {
            body->size = (size_t)(line.data - body->data);
            return true;
        }
    }
    return false;
}

/* NULL where it is no certificate; out_of_memory tells why. */
static uint8_t *decode(struct p11_bytes body, size_t *size, bool *out_of_memory)
{
    CLEANUP(gk_freep) uint8_t *der = malloc(BASE64_DECODE_LENGTH(body.size) + 1);
    struct base64_decode_ctx base64;
    struct p11_certificate certificate;

    *out_of_memory = der == NULL;
    if (der == NULL) {
        return NULL;
    }
    base64_decode_init(&base64);
    if (!base64_decode_update(&base64, size, der, body.size, (const char *)body.data) ||
        !base64_decode_final(&base64) || !p11_certificate_parse(der, *size, &certificate)) {
        return NULL;
    }
    return TAKE(der);
}

static enum gk_status add(struct p11_chain *chain, struct p11_bytes body, const char *path,
                          struct gk_error *err)
{
    bool out_of_memory;
    size_t size;
    uint8_t *der;

    if (chain->count == P11_CERTIFICATES_MAX) {
        return gk_fail(err, GK_BAD_FILE, "%s holds more than %d certificates", path,
                       P11_CERTIFICATES_MAX);
    }
    der = decode(body, &size, &out_of_memory);
    if (der == NULL && out_of_memory) {
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    }
    if (der == NULL) {
        return gk_fail(err, GK_BAD_FILE, "certificate %zu of %s is damaged", chain->count + 1,
                       path);
    }
    chain->der[chain->count] = der;
    chain->size[chain->count++] = size;
    return GK_OK;
}

enum gk_status p11_chain_parse(const struct gk_content *content, const char *path,
                               struct p11_chain *chain, struct gk_error *err)
{
    CLEANUP(p11_chain_clear) struct p11_chain parsed = { 0 };
    struct p11_bytes text = { (const uint8_t *)content->data, content->size };
    struct p11_bytes line, label, body;

    while (take_line(&text, &line)) {
        enum gk_status status = GK_OK;

        if (!starts_with(line, BEGIN)) {
            continue;
        }
        if (!boundary(line, BEGIN, &label) || !take_body(&text, label, &body)) {
            return gk_fail(err, GK_BAD_FILE, "a PEM block of %s has no end", path);
        }
        if (ends_with(label, "PRIVATE KEY")) {
            return gk_fail(err, GK_BAD_FILE, "%s holds a private key", path);
        }
        if (same(label, (struct p11_bytes){ (const uint8_t *)"CERTIFICATE", 11 })) {
            status = add(&parsed, body, path, err);
        }
        if (status != GK_OK) {
            return status;
        }
    }
    *chain = parsed;
    parsed.count = 0;
    return GK_OK;
}
