/* SPDX-License-Identifier: Apache-2.0 */
/* The profiles' names, and the end of what was issued. */
#include "tests/hub/terms.h"

static const char *const names[HUB_PROFILE_COUNT] = {
    [HUB_PROFILE_ENOS] = "enos",
    [HUB_PROFILE_MODERN] = "modern",
    [HUB_PROFILE_SERVER] = "server",
};

const char *hub_profile_name(enum hub_profile profile)
{
    return names[profile];
}

enum hub_profile hub_profile_named(const char *name)
{
    enum hub_profile profile = 0;

    while (profile < HUB_PROFILE_COUNT && strcmp(names[profile], name) != 0) {
        profile++;
    }
    return profile;
}

void hub_issued_clear(struct hub_issued *issued)
{
    free(issued->pem);
    free(issued->root);
    free(issued->link);
    free(issued->subject);
    free(issued->issuer);
    *issued = (struct hub_issued){ 0 };
}
