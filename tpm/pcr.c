/* SPDX-License-Identifier: Apache-2.0 */
/* Names PCRs, reads them, and makes the policy that they stay as they are. */
#include "tpm/admin_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#define BITS_SIZE 3 /* of a selection: one bit for each of 24 PCRs (TPM 2.0 PC Client Profile) */

static const struct {
    const char *name;
    TPMI_ALG_HASH hash;
    size_t size;
} banks[] = {
    { "sha256", TPM2_ALG_SHA256, TPM2_SHA256_DIGEST_SIZE },
    { "sha384", TPM2_ALG_SHA384, TPM2_SHA384_DIGEST_SIZE },
};

#define BANK_COUNT (sizeof(banks) / sizeof(banks[0]))

/* The one bank that is selected from; BANK_COUNT for none that is known here. */
static size_t bank_of(const struct pcrs *pcrs)
{
    size_t bank = 0;

    while (bank < BANK_COUNT && pcrs->selection.pcrSelections[0].hash != banks[bank].hash) {
        bank++;
    }
    return bank;
}

static bool is_selected(const TPMS_PCR_SELECTION *selection, unsigned number)
{
    return (selection->pcrSelect[number / 8] >> number % 8 & 1) != 0;
}

static void count_numbers(struct pcrs *pcrs)
{
    pcrs->count = 0;
    for (unsigned number = 0; number < PCRS_MAX; number++) {
        if (is_selected(&pcrs->selection.pcrSelections[0], number)) {
            pcrs->numbers[pcrs->count++] = number;
        }
    }
}

enum gk_status pcrs_parse(const char *text, struct pcrs *pcrs, struct gk_error *err)
{
    TPMS_PCR_SELECTION *selection = &pcrs->selection.pcrSelections[0];
    const char *at = strchr(text, ':');
    size_t bank = 0;

    while (at != NULL && bank < BANK_COUNT &&
           (strlen(banks[bank].name) != (size_t)(at - text) ||
            strncmp(banks[bank].name, text, (size_t)(at - text)) != 0)) {
        bank++;
    }
    if (at == NULL || bank == BANK_COUNT) {
        return gk_fail(err, GK_USAGE, "PCRs %.40s", text);
    }
    *pcrs = (struct pcrs){ .selection.count = 1 };
    selection->hash = banks[bank].hash;
    selection->sizeofSelect = BITS_SIZE;
    do {
        char *end;
        unsigned long number = strtoul(at + 1, &end, 10);

        if (!isdigit((unsigned char)at[1]) || number >= PCRS_MAX || (*end != ',' && *end != '\0')) {
            return gk_fail(err, GK_USAGE, "PCRs %.40s", text);
        }
        selection->pcrSelect[number / 8] |= (BYTE)(1U << number % 8);
        at = end;
    } while (*at == ',');
    count_numbers(pcrs);
    return GK_OK;
}

bool pcrs_are_the_same(const struct pcrs *one, const struct pcrs *other)
{
    return bank_of(one) == bank_of(other) && one->count == other->count &&
           memcmp(one->numbers, other->numbers, one->count * sizeof(one->numbers[0])) == 0;
}

/*
 * What these commands say is no secret, but has to be what the TPM said: the session goes with them
 * as one that audits, since it must be of some use, and afterwards encrypts again.
 */
static TSS2_RC use_session(const struct storage *storage, TPMA_SESSION use)
{
    return Esys_TRSess_SetAttributes(storage->root.admin->esys, storage->session.handle,
                                     TPMA_SESSION_CONTINUESESSION | use, 0xff);
}

#define FOR_AUDIT TPMA_SESSION_AUDIT
#define FOR_SECRETS (TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)

/* Part 3, "TPM2_PCR_Read": gives 8 at a time at most, and leaves out what there is not. */
static enum gk_status read_one(const struct storage *storage, const struct pcrs *pcrs,
                               unsigned number, TPM2B_DIGEST *value, struct gk_error *err)
{
    CLEANUP(gk_freep) TPML_PCR_SELECTION *there = NULL;
    CLEANUP(gk_freep) TPML_DIGEST *values = NULL;
    TPML_PCR_SELECTION wanted = pcrs->selection;
    size_t bank = bank_of(pcrs);
    struct gk_admin *admin = storage->root.admin;
    TSS2_RC code;

    memset(wanted.pcrSelections[0].pcrSelect, 0, sizeof(wanted.pcrSelections[0].pcrSelect));
    wanted.pcrSelections[0].pcrSelect[number / 8] = (BYTE)(1U << number % 8);
    code = use_session(storage, FOR_AUDIT);
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_PCR_Read(admin->esys, storage->session.handle, ESYS_TR_NONE, ESYS_TR_NONE,
                             &wanted, NULL, &there, &values);
        use_session(storage, FOR_SECRETS);
    }
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "reading the PCRs");
    }
    if (values->count != 1 || values->digests[0].size != banks[bank].size) {
        /* A policy would pass over it in silence, and so hold less than was asked for. */
        gk_fail(err, GK_NOT_OFFERED, "this TPM has no PCR %u in its bank %s", number,
                banks[bank].name);
        gk_advise(err, "name a bank and PCRs that tpm2_pcrread shows in [tpm] seal_pcrs");
        return GK_NOT_OFFERED;
    }
    *value = values->digests[0];
    return GK_OK;
}

enum gk_status pcrs_read(const struct storage *storage, struct pcrs *pcrs, struct gk_error *err)
{
    for (unsigned i = 0; i < pcrs->count; i++) {
        enum gk_status status = read_one(storage, pcrs, pcrs->numbers[i], &pcrs->values[i], err);

        if (status != GK_OK) {
            return status;
        }
    }
    return GK_OK;
}

enum gk_status pcrs_hold(const struct storage *storage, const struct pcrs *pcrs, bool trial,
                         struct object *session, struct gk_error *err)
{
    struct gk_admin *admin = storage->root.admin;
    const TPM2B_DIGEST as_they_are = { .size = 0 };
    enum gk_status status = admin_policy_session(admin, trial, session, err);
    TSS2_RC code;

    if (status != GK_OK) {
        return status;
    }
    code = use_session(storage, FOR_AUDIT);
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_PolicyPCR(admin->esys, session->handle, storage->session.handle, ESYS_TR_NONE,
                              ESYS_TR_NONE, &as_they_are, &pcrs->selection);
        use_session(storage, FOR_SECRETS);
    }
    return code == TSS2_RC_SUCCESS ? GK_OK : admin_fail(err, code, "holding on to the PCRs");
}

enum gk_status pcrs_policy(const struct storage *storage, const struct pcrs *pcrs,
                           TPM2B_DIGEST *policy, struct gk_error *err)
{
    CLEANUP(object_release) struct object session = { .handle = ESYS_TR_NONE };
    CLEANUP(gk_freep) TPM2B_DIGEST *digest = NULL;
    enum gk_status status = pcrs_hold(storage, pcrs, true, &session, err);
    TSS2_RC code;

    if (status != GK_OK) {
        return status;
    }
    code = use_session(storage, FOR_AUDIT);
    if (code == TSS2_RC_SUCCESS) {
        code = Esys_PolicyGetDigest(storage->root.admin->esys, session.handle,
                                    storage->session.handle, ESYS_TR_NONE, ESYS_TR_NONE, &digest);
        use_session(storage, FOR_SECRETS);
    }
    /* An empty one would be no policy at all. */
    if (code == TSS2_RC_SUCCESS && digest->size != TPM2_SHA256_DIGEST_SIZE) {
        code = TSS2_ESYS_RC_MALFORMED_RESPONSE;
    }
    if (code != TSS2_RC_SUCCESS) {
        return admin_fail(err, code, "the policy of the PCRs");
    }
    *policy = *digest;
    return GK_OK;
}

enum gk_status pcrs_explain(const struct storage *storage, const struct pcrs *pcrs, TSS2_RC code,
                            struct gk_error *err)
{
    struct pcrs now = *pcrs;
    char list[160] = "";
    size_t used = 0;
    enum gk_status status = pcrs_read(storage, &now, err);

    if (status != GK_OK) {
        return status;
    }
    for (unsigned i = 0; i < pcrs->count; i++) {
        if (pcrs->values[i].size != now.values[i].size ||
            memcmp(pcrs->values[i].buffer, now.values[i].buffer, now.values[i].size) != 0) {
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%u", used > 0 ? ", " : "",
                                     pcrs->numbers[i]);
        }
    }
    /* They may have been put back since: another reset of the TPM does. */
    status = gk_fail_tpm(err, GK_PCRS_CHANGED, code, "bank %s, PCR %s", banks[bank_of(pcrs)].name,
                         used > 0 ? list : "not known");
    code_describe(err);
    gk_advise(err, "%s", gk_status_advice(status)); /* and not what helps with a key's policy */
    return status;
}

bool pcrs_marshal(const struct pcrs *pcrs, uint8_t *binary, size_t capacity, size_t *offset)
{
    bool fine = Tss2_MU_TPML_PCR_SELECTION_Marshal(&pcrs->selection, binary, capacity, offset) ==
                TSS2_RC_SUCCESS;

    for (unsigned i = 0; fine && i < pcrs->count; i++) {
        fine = Tss2_MU_TPM2B_DIGEST_Marshal(&pcrs->values[i], binary, capacity, offset) ==
               TSS2_RC_SUCCESS;
    }
    return fine;
}

bool pcrs_unmarshal(struct pcrs *pcrs, const uint8_t *binary, size_t size, size_t *offset)
{
    bool fine = Tss2_MU_TPML_PCR_SELECTION_Unmarshal(binary, size, offset, &pcrs->selection) ==
                    TSS2_RC_SUCCESS &&
                pcrs->selection.count == 1 &&
                pcrs->selection.pcrSelections[0].sizeofSelect == BITS_SIZE &&
                bank_of(pcrs) < BANK_COUNT;

    if (fine) {
        count_numbers(pcrs);
        fine = pcrs->count > 0;
    }
    for (unsigned i = 0; fine && i < pcrs->count; i++) {
        fine = Tss2_MU_TPM2B_DIGEST_Unmarshal(binary, size, offset, &pcrs->values[i]) ==
                   TSS2_RC_SUCCESS &&
               pcrs->values[i].size == banks[bank_of(pcrs)].size;
    }
    return fine;
}
