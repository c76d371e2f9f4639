/* SPDX-License-Identifier: Apache-2.0 */
/* device.pem: the key reference as text and back. No TPM is asked. */
#include "tpm/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#define LABEL "GATEKEY DEVICE KEY"
#define VERSION 1
#define REFERENCE_MAX_SIZE 1024
#define KNOWN_FLAGS REFERENCE_HAS_PASSWORD

bool gk_key_is_reference(const void *data, size_t size)
{
    return armour_is_present(LABEL, data, size);
}

/* What the armour holds: version, flags, handle, public area, nothing after it. */
static const char *unmarshal(const uint8_t *binary, size_t size, uint32_t *flags, uint32_t *handle,
                             TPM2B_PUBLIC *area)
{
    uint16_t version = 0;
    size_t offset = 0;

    *area = (TPM2B_PUBLIC){ .size = 0 };
    if (Tss2_MU_UINT16_Unmarshal(binary, size, &offset, &version) != TSS2_RC_SUCCESS) {
        return "it is cut short";
    }
    if (version != VERSION) {
        return "it was written by another version of gatekey";
    }
    if (Tss2_MU_UINT32_Unmarshal(binary, size, &offset, flags) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Unmarshal(binary, size, &offset, handle) != TSS2_RC_SUCCESS) {
        return "it is cut short";
    }
    if ((*flags & ~KNOWN_FLAGS) != 0) {
        return "it has flags that this version of gatekey does not know";
    }
    if (!handle_is_persistent(*handle)) {
        return "its handle is not a persistent handle of the owner";
    }
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(binary, size, &offset, area) != TSS2_RC_SUCCESS) {
        return "its public area is garbled";
    }
    return offset == size ? NULL : "something follows its public area";
}

enum gk_status gk_key_parse(const void *data, size_t size, struct gk_key **key,
                            struct gk_error *err)
{
    uint8_t binary[REFERENCE_MAX_SIZE];
    size_t binary_size;
    TPM2B_PUBLIC area;
    uint32_t flags, handle;
    const char *wrong;

    if (!gk_key_is_reference(data, size)) {
        return gk_fail(err, GK_BAD_REFERENCE, "it holds no PEM block \"" LABEL "\"");
    }
    if (!armour_decode(LABEL, data, size, binary, sizeof(binary), &binary_size)) {
        return gk_fail(err, GK_BAD_REFERENCE, "its PEM block is garbled");
    }
    wrong = unmarshal(binary, binary_size, &flags, &handle, &area);
    if (wrong != NULL) {
        return gk_fail(err, GK_BAD_REFERENCE, "%s", wrong);
    }
    return key_from_area(handle, flags, &area, "the key in the reference", key, err);
}

static bool marshal(const struct gk_key *key, uint8_t *binary, size_t capacity, size_t *size)
{
    size_t offset = 0;

    if (Tss2_MU_UINT16_Marshal(VERSION, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Marshal(key->flags, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_UINT32_Marshal(key->handle, binary, capacity, &offset) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PUBLIC_Marshal(&key->area, binary, capacity, &offset) != TSS2_RC_SUCCESS) {
        return false;
    }
    *size = offset;
    return true;
}

enum gk_status gk_key_format(const struct gk_key *key, char **text, struct gk_error *err)
{
    uint8_t binary[REFERENCE_MAX_SIZE];
    char preamble[512];
    size_t size = 0;

    if (gk_key_is_loadable(key)) {
        return gk_fail(err, GK_WRONG_KIND, "a loadable key has no handle to refer to");
    }
    if (!marshal(key, binary, sizeof(binary), &size)) {
        return gk_fail(err, GK_INTERNAL, "the reference does not marshal");
    }
    snprintf(preamble, sizeof(preamble),
             "This is a reference to a device key: it says where the key is and holds no secret.\n"
             "The private key was made inside the TPM and cannot leave it.\n"
             "Where: TPM, persistent handle 0x%08" PRIx32 "\n"
             "What:  RSA 2048, for signing%s; password: %s\n"
             "Use:   give this file to any OpenSSL program as its key file (gatekey provider)\n",
             key->handle, gk_key_pads_in_software(key) ? " (RSA-PSS padded in software)" : "",
             gk_key_needs_auth(key) ? "yes" : "no");
    *text = armour_encode(preamble, LABEL, binary, size);
    return *text != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}

bool gk_key_identical(const struct gk_key *a, const struct gk_key *b)
{
    uint8_t area_a[REFERENCE_MAX_SIZE], area_b[REFERENCE_MAX_SIZE];
    size_t size_a = 0, size_b = 0;

    return Tss2_MU_TPM2B_PUBLIC_Marshal(&a->area, area_a, sizeof(area_a), &size_a) ==
               TSS2_RC_SUCCESS &&
           Tss2_MU_TPM2B_PUBLIC_Marshal(&b->area, area_b, sizeof(area_b), &size_b) ==
               TSS2_RC_SUCCESS &&
           size_a == size_b && memcmp(area_a, area_b, size_a) == 0;
}
