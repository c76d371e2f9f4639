/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What targets share that look at files or certificates: a configuration, an OpenSSL context, a
 * folder of their own that goes with the process. Made when it is first asked for.
 */
#ifndef GATEKEY_TESTS_FUZZ_SCENE_H
#define GATEKEY_TESTS_FUZZ_SCENE_H

#include "agent/config.h"
#include "agent/openssl.h"

struct fuzz_scene {
    struct agent_config config; /* directory and state_directory are the folder */
    struct agent_openssl *openssl;
    char directory[64];
};
struct fuzz_scene *fuzz_scene(void);

/* Give the folder's file name this content. */
void fuzz_write(const char *name, const void *data, size_t size);

#endif
