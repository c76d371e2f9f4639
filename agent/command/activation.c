/* SPDX-License-Identifier: Apache-2.0 */
/* The device secret: where it comes from, and that it is sealed and stored before anybody is told.
 */
#include "agent/command/enroll.h"

#include "agent/link.h"

#include <openssl/crypto.h>

static void wipe_device(struct enos_device *device)
{
    explicit_bzero(device, sizeof(*device));
}

/*
 * State first, so that secret.tpm never lies there without anybody knowing whose it is. When this
 * returns, the secret is on disk.
 */
static enum gk_status keep(struct enrolment *e, const char *secret, const char *asset_id,
                           struct gk_error *err)
{
    size_t size = strlen(secret);
    enum gk_status status = GK_OK;

    if (size == 0 || size > GK_SECRET_MAX_SIZE) {
        return gk_fail(err, GK_HUB_GARBLED, "a device secret of %zu characters", size);
    }
    if (asset_id != NULL && asset_id[0] != '\0') {
        if (strlen(asset_id) >= sizeof(e->state.asset_id)) {
            return gk_fail(err, GK_HUB_GARBLED, "an assetId of %zu characters", strlen(asset_id));
        }
        snprintf(e->state.asset_id, sizeof(e->state.asset_id), "%s", asset_id);
        status = enrolment_write(e, e->state.stage, err);
    }
    if (status == GK_OK) {
        status = agent_secret_store(e->config, secret, size, err);
    }
    if (status == GK_OK) {
        memcpy(e->secret.text, secret, size + 1);
        e->secret.size = size;
    }
    return status;
}

static enum gk_status store_activated(void *context, const char *device_secret,
                                      const char *asset_id, struct gk_error *err)
{
    return keep(context, device_secret, asset_id, err);
}

static enum gk_status from_file(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    enum gk_status status = agent_secret_read_file(e->secret_file, &secret, err);

    if (status == GK_OK) {
        status = keep(e, secret.text, NULL, err);
    }
    if (status == GK_OK) {
        say_step(e->run,
                 "device secret read from %s and sealed to the TPM; that file is no longer "
                 "needed",
                 e->secret_file);
    }
    return status;
}

static enum gk_status from_api(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(wipe_device) struct enos_device device = { 0 };
    struct hub *hub;
    enum gk_status status = enrolment_hub(e, &hub, err);

    if (status == GK_OK) {
        status = hub_device_get(hub, &device, err);
    }
    if (status == GK_OK) {
        status = keep(e, device.device_secret, device.asset_id, err);
    }
    if (status == GK_OK) {
        say_step(e->run, "device secret asked for at the hub's API and sealed to the TPM");
    }
    return status;
}

static enum gk_status by_activation(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret product = { 0 };
    enum gk_status status = agent_secret_read_file(e->config->product_secret_file, &product, err);

    if (status == GK_OK) {
        status = agent_link_activate(e->config, e->openssl, product.text, store_activated, e, err);
    }
    if (status == GK_OK) {
        say_step(e->run, "device activated by the hub; its secret is sealed to the TPM");
        return GK_OK;
    }
    if (e->secret.size > 0) {
        /* Stored, but the hub could not be told; the proving connection tells it as well. */
        say_step(e->run, "device secret received and sealed to the TPM");
        return GK_OK;
    }
    /* A device is let activate itself once; whoever lost its secret may ask for it where it has the
     * right. */
    if (status == GK_HUB_REFUSED && hub_is_configured(e->config)) {
        say_note(e->run, "the hub does not activate this device; its secret is asked for instead");
        return from_api(e, err);
    }
    if (status == GK_HUB_REFUSED) {
        gk_advise(err, "a device activates itself once; get its secret from the hub's operator and "
                       "give it with --secret-file");
    }
    return status;
}

/* Another one takes its place, and has to be proven as the first was. */
static enum gk_status replace(struct enrolment *e, struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (e->state.stage == AGENT_STAGE_ENROLLED) {
        status = enrolment_write(e, AGENT_STAGE_CERTIFIED, err);
    }
    return status == GK_OK ? from_file(e, err) : status;
}

/* It is here; what it is sealed to is what [tpm] seal_pcrs said when it was. */
static enum gk_status seal_as_set(struct enrolment *e, struct gk_error *err)
{
    enum gk_status status;

    if (agent_secret_is_sealed_as_set(e->config)) {
        say_step(e->run, "device secret found, sealed to the TPM");
        return GK_OK;
    }
    status = agent_secret_store(e->config, e->secret.text, e->secret.size, err);
    if (status == GK_OK && e->config->seal_pcrs != NULL) {
        say_step(e->run, "device secret sealed anew, to PCRs %s", e->config->seal_pcrs);
    } else if (status == GK_OK) {
        say_step(e->run, "device secret sealed anew, to no PCRs");
    }
    return status;
}

/* Another may be handed over at any time: the first may have been the wrong one, or the hub's was
 * changed. */
static enum gk_status found(struct enrolment *e, struct gk_error *err)
{
    CLEANUP(agent_secret_clear) struct agent_secret given = { 0 };
    enum gk_status status = GK_NO_FILE;

    if (e->secret_file != NULL) {
        status = agent_secret_read_file(e->secret_file, &given, err);
    }
    if (status == GK_NO_FILE || (status == GK_OK && given.size == e->secret.size &&
                                 CRYPTO_memcmp(given.text, e->secret.text, given.size) == 0)) {
        return seal_as_set(e, err);
    }
    return status == GK_OK ? replace(e, err) : status;
}

/* Where one may come from that is not here. */
static enum gk_status get(struct enrolment *e, struct gk_error *err)
{
    if (e->secret_file != NULL) {
        return from_file(e, err);
    }
    if (e->config->product_secret_file != NULL) {
        return by_activation(e, err);
    }
    return hub_is_configured(e->config) ? from_api(e, err) : GK_OK;
}

/*
 * It was here and cannot be opened any more: the TPM was cleared, or what it is sealed to has
 * changed. Whether that is as it should be is for somebody to decide, not for a timer.
 */
static enum gk_status seal_anew(struct enrolment *e, const struct gk_error *why,
                                struct gk_error *err)
{
    enum gk_status status = GK_OK;

    if (e->unattended || (e->secret_file == NULL && !hub_is_configured(e->config))) {
        *err = *why;
        if (why->status == GK_SEAL_BROKEN) {
            gk_advise(err, "find out why; then run gatekey enroll with --secret-file, and the "
                           "device's secret, to seal it anew");
        }
        return why->status;
    }
    say_note(e->run, "%s; the device secret is %s",
             why->status == GK_PCRS_CHANGED ? "the TPM's PCRs have changed"
                                            : "this TPM cannot open the sealed secret any more",
             e->secret_file != NULL ? "sealed anew" : "asked for again");
    if (e->state.stage == AGENT_STAGE_ENROLLED) {
        status = enrolment_write(e, AGENT_STAGE_CERTIFIED, err);
    }
    if (status != GK_OK) {
        return status;
    }
    return e->secret_file != NULL ? from_file(e, err) : from_api(e, err);
}

enum gk_status enrolment_secret(struct enrolment *e, struct gk_error *err)
{
    struct gk_error why = { 0 };
    enum gk_status status = agent_secret_load(e->config, &e->secret, &why);

    switch ((int)status) {
    case GK_OK:
        return found(e, err);
    case GK_NOT_ENROLLED:
        return get(e, err);
    case GK_SEAL_BROKEN:
    case GK_PCRS_CHANGED:
        return seal_anew(e, &why, err);
    default:
        *err = why;
        return status;
    }
}
