/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: what a resolver says, by the file NAMES, one address in each line, in the order
 * in which they are to be tried. Without the file no name is known; where it says "hang" the
 * resolver never answers. Addresses, and the port of a service, are none of its business.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int look_up_function(const char *node, const char *service, const struct addrinfo *hints,
                             struct addrinfo **list);

static look_up_function *find(void)
{
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    look_up_function *real = NULL;

    memcpy(&real, &symbol, sizeof(real));
    return real;
}

EXPORTED int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                         struct addrinfo **list)
{
    struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo **last = list;
    char line[64];
    FILE *file;

    if (node == NULL || find()(node, service, &numeric, list) == 0) {
        return node == NULL ? find()(node, service, hints, list) : 0;
    }
    file = fopen(getenv("NAMES"), "re");
    if (file == NULL) {
        return EAI_NONAME;
    }
    *list = NULL;
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        while (strcmp(line, "hang") == 0) {
            pause();
        }
        if (find()(line, service, &numeric, last) != 0) {
            abort();
        }
        while (*last != NULL) {
            last = &(*last)->ai_next;
        }
    }
    fclose(file);
    return *list != NULL ? 0 : EAI_NONAME;
}
