/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub's REST API as gatekey uses it: devices and certificates of the configured device.
 *
 * Signed with the application's credentials ([api] app_key, app_secret_file); a token is fetched
 * when it is first needed and, once per call, when the hub says that it expired. Each call blocks
 * for the network, 30 s at most per request. One thread. Errors: see error.h; each call may fail
 * with GK_UNREACHABLE, GK_UNTRUSTED, GK_HUB_CREDENTIALS, GK_HUB_REFUSED, GK_HUB_GARBLED,
 * GK_THROTTLED, GK_BAD_CONFIG, GK_NO_MEMORY.
 */
#ifndef GATEKEY_COMMAND_HUB_H
#define GATEKEY_COMMAND_HUB_H

#include "agent/config.h"
#include "agent/enos/rest.h"
#include "agent/openssl.h"
#include "cleanup.h"
#include "error.h"

#include <stdbool.h>

struct hub;

/* Certificates of one device that are looked at: more than fit into the largest reply. */
#define HUB_RECORDS_MAX 4096

/* True when [api] url is set, so that hub_new() is worth a try. */
bool hub_is_configured(const struct agent_config *config);

/*
 * Read the credentials. Sends nothing. config and openssl must outlive the hub, which the caller
 * frees. Fails with GK_BAD_CONFIG (which setting is missing), and as agent_secret_read_file().
 */
enum gk_status hub_new(const struct agent_config *config, struct agent_openssl *openssl,
                       struct hub **hub, struct gk_error *err) GK_MUST_CHECK;
void hub_free(struct hub *hub); /* NULL is fine */
GK_DEFINE_CLEANUP(struct hub, hub_free)

/*
 * Create, or look up, the configured device. The device's secret is in *device: wipe it.
 *
 * serial_number and licence may be NULL. EnOS has no members for them: they go into the device's
 * attributes serialNumber and licence, which the product's model has to know.
 */
enum gk_status hub_device_create(struct hub *hub, const char *serial_number, const char *licence,
                                 struct enos_device *device, struct gk_error *err) GK_MUST_CHECK;
enum gk_status hub_device_get(struct hub *hub, struct enos_device *device,
                              struct gk_error *err) GK_MUST_CHECK;

/*
 * Apply for a certificate with a CSR in PEM. *data is the caller's to json_decref(), and
 * certificate borrows from it. Fails with GK_DUPLICATE_SUBJECT, GK_BOUND_ELSEWHERE too.
 */
enum gk_status hub_certificate_apply(struct hub *hub, const char *csr, json_t **data,
                                     struct enos_certificate *certificate,
                                     struct gk_error *err) GK_MUST_CHECK;

/*
 * The same for a certificate in place of the one with that serial (decimal), which stays valid. A
 * CSR for the same common name, for the same key or another; NULL has the hub reuse the old
 * request, hence the key. Fails with GK_REVOKED, GK_EXPIRED (the old one), GK_BOUND_ELSEWHERE too.
 */
enum gk_status hub_certificate_renew(struct hub *hub, const char *serial, const char *csr,
                                     json_t **data, struct enos_certificate *certificate,
                                     struct gk_error *err) GK_MUST_CHECK;

/* List the device's certificates, HUB_RECORDS_MAX at most. */
enum gk_status hub_certificate_list(struct hub *hub, struct enos_record records[HUB_RECORDS_MAX],
                                    size_t *count, struct gk_error *err) GK_MUST_CHECK;

enum gk_status hub_certificate_revoke(struct hub *hub, const char *serial, enum enos_reason reason,
                                      struct gk_error *err) GK_MUST_CHECK;

#endif
