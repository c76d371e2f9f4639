/* SPDX-License-Identifier: Apache-2.0 */
/* The device key as an object: its handle and public part. */
#include "tpm/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TPM_DEFAULT_EXPONENT 65537U

size_t gk_hash_size(enum gk_hash hash)
{
    static const size_t sizes[] = {
        [GK_SHA256] = 32,
        [GK_SHA384] = 48,
        [GK_SHA512] = 64,
        [GK_SHA1] = 20,
    };

    return sizes[hash];
}

void gk_auth_clear(struct gk_auth *auth)
{
    explicit_bzero(auth, sizeof(*auth));
}

bool handle_is_persistent(uint32_t handle)
{
    return handle >= GK_HANDLE_FIRST && handle <= GK_HANDLE_LAST;
}

static const char *wrong_kind(TPMA_OBJECT attributes)
{
    if ((attributes & TPMA_OBJECT_SIGN_ENCRYPT) == 0) {
        return "is not for signing";
    }
    if ((attributes & TPMA_OBJECT_RESTRICTED) != 0) {
        return "is restricted: it signs only what the TPM hashed itself";
    }
    if ((attributes & TPMA_OBJECT_USERWITHAUTH) == 0) {
        return "is used by a policy only";
    }
    return NULL;
}

enum gk_status key_from_area(uint32_t handle, uint32_t flags, const TPM2B_PUBLIC *area,
                             const char *about, struct gk_key **key, struct gk_error *err)
{
    const TPMT_PUBLIC *public = &area->publicArea;
    const TPM2B_PUBLIC_KEY_RSA *modulus = &public->unique.rsa;
    const char *wrong;
    struct gk_key *k;

    if (public->type != TPM2_ALG_RSA || public->parameters.rsaDetail.keyBits != 2048 ||
        modulus->size != GK_RSA2048_SIZE || (modulus->buffer[0] & 0x80) == 0) {
        return gk_fail(err, GK_NOT_RSA2048, "%s", about);
    }
    wrong = wrong_kind(public->objectAttributes);
    if (wrong != NULL) {
        return gk_fail(err, GK_WRONG_KIND, "%s %s", about, wrong);
    }
    k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    k->handle = handle;
    k->flags = flags;
    k->area = *area;
    memcpy(k->public_part.modulus, modulus->buffer, GK_RSA2048_SIZE);
    /* Part 2, "TPMS_RSA_PARMS": zero stands for the default exponent. */
    k->public_part.exponent = public->parameters.rsaDetail.exponent != 0
                                  ? public->parameters.rsaDetail.exponent
                                  : TPM_DEFAULT_EXPONENT;
    *key = k;
    return GK_OK;
}

TSS2_RC tpm_read_public(TSS2_SYS_CONTEXT *sys, void *context)
{
    struct read_public *read = context;
    TPM2B_NAME qualified_name = { .size = 0 };
    TSS2_RC code = Tss2_Sys_ReadPublic_Prepare(sys, read->handle);

    if (code == TSS2_RC_SUCCESS) {
        code = tpm_execute(sys);
    }
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    read->area = (TPM2B_PUBLIC){ .size = 0 };
    read->name = (TPM2B_NAME){ .size = 0 };
    return Tss2_Sys_ReadPublic_Complete(sys, &read->area, &read->name, &qualified_name);
}

enum gk_status gk_key_read(struct gk_tpm *tpm, uint32_t handle, struct gk_key **key,
                           struct gk_error *err)
{
    struct read_public read = { .handle = handle };
    enum gk_status status;
    char about[16];

    snprintf(about, sizeof(about), "0x%08" PRIx32, handle);
    if (!handle_is_persistent(handle)) {
        gk_fail(err, GK_BAD_REFERENCE, "%s is not a persistent handle of the owner", about);
        gk_advise(err, "use a handle from 0x%x to 0x%x", GK_HANDLE_FIRST, GK_HANDLE_LAST);
        return GK_BAD_REFERENCE;
    }
    status = tpm_run(tpm, tpm_read_public, &read, about, err);
    if (status != GK_OK) {
        return status;
    }
    return key_from_area(handle, 0, &read.area, about, key, err);
}

struct gk_key *gk_key_copy(const struct gk_key *key)
{
    CLEANUP(gk_key_freep) struct gk_key *copy = malloc(sizeof(*copy));

    if (copy == NULL) {
        return NULL;
    }
    *copy = *key;
    if (key->loadable != NULL) {
        copy->loadable = loadable_copy(key->loadable);
        if (copy->loadable == NULL) {
            return NULL;
        }
    }
    return TAKE(copy);
}

void gk_key_free(struct gk_key *key)
{
    if (key != NULL) {
        loadable_free(key->loadable);
        free(key);
    }
}

const struct gk_public *gk_key_public(const struct gk_key *key)
{
    return &key->public_part;
}

uint32_t gk_key_handle(const struct gk_key *key)
{
    return key->handle;
}

bool gk_key_is_loadable(const struct gk_key *key)
{
    return key->loadable != NULL;
}

uint32_t gk_key_parent(const struct gk_key *key)
{
    return key->loadable != NULL ? key->loadable->parent : 0;
}

void gk_key_describe(const struct gk_key *key, char about[static GK_KEY_ABOUT_SIZE])
{
    if (key->loadable != NULL) {
        snprintf(about, GK_KEY_ABOUT_SIZE, "a loaded key under 0x%08" PRIx32,
                 key->loadable->parent);
    } else {
        snprintf(about, GK_KEY_ABOUT_SIZE, "0x%08" PRIx32, key->handle);
    }
}

bool gk_key_needs_auth(const struct gk_key *key)
{
    return (key->flags & REFERENCE_HAS_PASSWORD) != 0;
}

void gk_key_set_needs_auth(struct gk_key *key)
{
    key->flags |= REFERENCE_HAS_PASSWORD;
}

bool gk_key_counts_attempts(const struct gk_key *key)
{
    return (key->area.publicArea.objectAttributes & TPMA_OBJECT_NODA) == 0;
}

bool gk_key_pads_in_software(const struct gk_key *key)
{
    return (key->area.publicArea.objectAttributes & TPMA_OBJECT_DECRYPT) != 0;
}

bool gk_key_is_fixed(const struct gk_key *key)
{
    return (key->area.publicArea.objectAttributes & TPMA_OBJECT_FIXEDTPM) != 0;
}

bool gk_key_was_made_inside(const struct gk_key *key)
{
    return (key->area.publicArea.objectAttributes & TPMA_OBJECT_SENSITIVEDATAORIGIN) != 0;
}

bool gk_key_is_local(const struct gk_key *key)
{
    return gk_key_is_fixed(key) && gk_key_was_made_inside(key);
}

bool gk_key_equal(const struct gk_key *a, const struct gk_key *b)
{
    return memcmp(a->public_part.modulus, b->public_part.modulus, GK_RSA2048_SIZE) == 0 &&
           a->public_part.exponent == b->public_part.exponent;
}
