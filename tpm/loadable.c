/* SPDX-License-Identifier: Apache-2.0 */
/* A loadable key as an object: what its file says of it. No TPM is asked. */
#include "tpm/internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include <tss2/tss2_mu.h>

/* TPM 2.0 Library Part 2, "TPM_HT": what a handle is stands in its first byte. */
#define HANDLE_KIND(handle) ((handle) >> 24)
#define KIND_NV 0x01U
#define KIND_TRANSIENT 0x80U
#define KIND_PERSISTENT 0x81U

struct loadable *loadable_copy(const struct loadable *loadable)
{
    struct loadable *copy = calloc(1, sizeof(*copy));

    /* Not by a compound literal, which leaves the password on the stack. */
    if (copy != NULL) {
        copy->parent = loadable->parent;
        copy->rsa_parent = loadable->rsa_parent;
        copy->parent_auth = loadable->parent_auth;
        copy->private_area = loadable->private_area;
    }
    return copy;
}

void loadable_free(struct loadable *loadable)
{
    if (loadable != NULL) {
        gk_auth_clear(&loadable->parent_auth);
        free(loadable);
    }
}

void gk_key_set_parent_auth(struct gk_key *key, const struct gk_auth *auth)
{
    if (key->loadable != NULL) {
        key->loadable->parent_auth = *auth;
    }
}

bool handle_is_hierarchy(uint32_t handle)
{
    return handle == TPM2_RH_OWNER || handle == TPM2_RH_ENDORSEMENT || handle == TPM2_RH_PLATFORM ||
           handle == TPM2_RH_NULL;
}

/* NULL when a key can be loaded under it, else what is wrong. */
static const char *wrong_parent(uint32_t parent)
{
    if (handle_is_hierarchy(parent) || HANDLE_KIND(parent) == KIND_PERSISTENT) {
        return NULL;
    }
    switch (HANDLE_KIND(parent)) {
    case KIND_TRANSIENT:
        return "is a transient handle, which meant something only when the key was made";
    case KIND_NV:
        return "is an NV index, not a key";
    default:
        return "is neither a persistent handle nor a hierarchy";
    }
}

static const char *unmarshal(const struct gk_loadable *from, TPM2B_PUBLIC *public_area,
                             TPM2B_PRIVATE *private_area)
{
    size_t public_size = 0, private_size = 0;

    *public_area = (TPM2B_PUBLIC){ .size = 0 };
    *private_area = (TPM2B_PRIVATE){ .size = 0 };
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(from->public_area, from->public_size, &public_size,
                                       public_area) != TSS2_RC_SUCCESS ||
        public_size != from->public_size) {
        return "its public area is garbled";
    }
    if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(from->private_area, from->private_size, &private_size,
                                        private_area) != TSS2_RC_SUCCESS ||
        private_size != from->private_size || private_area->size == 0) {
        return "its private area is garbled";
    }
    return NULL;
}

enum gk_status gk_key_from_loadable(const struct gk_loadable *from, struct gk_key **key,
                                    struct gk_error *err)
{
    uint32_t parent = from->parent != 0 ? from->parent : TPM2_RH_OWNER;
    CLEANUP(gk_key_freep) struct gk_key *k = NULL;
    TPM2B_PUBLIC public_area;
    TPM2B_PRIVATE private_area;
    const char *wrong = unmarshal(from, &public_area, &private_area);
    enum gk_status status;

    if (wrong != NULL) {
        return gk_fail(err, GK_BAD_REFERENCE, "%s", wrong);
    }
    wrong = wrong_parent(parent);
    if (wrong != NULL) {
        return gk_fail(err, GK_WRONG_KIND, "its parent 0x%08" PRIx32 " %s", parent, wrong);
    }
    status = key_from_area(0, from->needs_auth ? REFERENCE_HAS_PASSWORD : 0, &public_area,
                           "the key", &k, err);
    if (status != GK_OK) {
        return status;
    }
    k->loadable = calloc(1, sizeof(*k->loadable));
    if (k->loadable == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    k->loadable->parent = parent;
    k->loadable->rsa_parent = from->rsa_parent;
    k->loadable->private_area = private_area;
    *key = TAKE(k);
    return GK_OK;
}
