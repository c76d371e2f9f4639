/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be set at the hub while it runs, and stays set in its folder: lives of certificates and
 * of the revocation list, their profile, the connect limits.
 *
 * Kept in the store's table of settings, one row each; whoever needs one reads it when it needs it.
 */
#ifndef GATEKEY_HUB_SETTING_H
#define GATEKEY_HUB_SETTING_H

#include "tests/hub/store.h"

/* clang-format off */
/* name, what it takes, what it is when nobody set it, what it does */
#define HUB_SETTING_TABLE(ROW)                                                                         \
    ROW(HUB_SETTING_CERTIFICATE_SECONDS, "certificateSeconds", "SECONDS or 0", "0", "how long a device's certificate lives; 0: the days asked for") \
    ROW(HUB_SETTING_BACKDATE_SECONDS, "backdateSeconds", "SECONDS or 0", "0", "how far in the past a device's certificate begins") \
    ROW(HUB_SETTING_PROFILE, "profile", "enos|modern", "enos", "modern: with clientAuth and a CRL distribution point") \
    ROW(HUB_SETTING_CRL_SECONDS, "crlSeconds", "SECONDS", "86400", "how long a revocation list lives; a new one comes after half of it") \
    ROW(HUB_SETTING_SERVER_SECONDS, "serverSeconds", "SECONDS", "31536000", "how long the hub's own certificate lives") \
    ROW(HUB_SETTING_SERVER_ROOT, "serverRoot", "NUMBER", "1", "which of the CA's roots signs the hub's own certificate") \
    ROW(HUB_SETTING_ENFORCE_LIMITS, "enforceLimits", "no|yes", "no", "EnOS's connect limits: 1 a second; 5 in 2 minutes lock out for 5")
/* clang-format on */

#define HUB_SETTING_NAME(setting, name, takes, preset, help) setting,
enum hub_setting { HUB_SETTING_TABLE(HUB_SETTING_NAME) HUB_SETTING_COUNT };
#undef HUB_SETTING_NAME

/* A setting as a number, and whether one of its words is chosen. */
int64_t hub_setting_number(struct hub_store *store, enum hub_setting setting);
bool hub_setting_is(struct hub_store *store, enum hub_setting setting, const char *word);

/* Set one; false when there is none of that name, or it does not take that value. */
bool hub_setting_change(struct hub_store *store, const char *name, const char *value);

/* All there are: an array of {"setting","value","takes","does"}. */
json_t *hub_settings_list(struct hub_store *store);

#endif
