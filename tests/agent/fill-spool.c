/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts telemetry into a spool that no gatekeyd has open: "fill-spool FOLDER PRODUCT DEVICE NUMBER".
 *
 * A million messages are there in seconds, which over the socket take minutes.
 */
#include "agent/spool/spool.h"

#include <time.h>

#define COMMIT_EVERY 10000

static void fail(const char *operation, const struct gk_error *err)
{
    char sentence[1024];

    gk_error_sentence(err, operation, sentence, sizeof(sentence));
    fprintf(stderr, "fill-spool: %s\n", sentence);
    exit(1);
}

static void fill(struct spool *spool, unsigned long count)
{
    struct gk_error err = { 0 };
    char body[128];
    int64_t id;

    for (unsigned long i = 0; i < count; i++) {
        const struct spool_message message = {
            .topic = "thing/measurepoint/post",
            .accepted_ms = (int64_t)time(NULL) * 1000,
            .body = body,
            .size = (size_t)snprintf(body, sizeof(body),
                                     "{\"measurepoints\":{\"temperature\":21.5,\"n\":%lu},"
                                     "\"time\":%lld}",
                                     i, (long long)time(NULL) * 1000),
        };

        if (spool_put(spool, &message, &id, &err) != GK_OK ||
            ((i + 1) % COMMIT_EVERY == 0 && spool_commit(spool, &err) != GK_OK)) {
            fail("put a message", &err);
        }
    }
    if (spool_commit(spool, &err) != GK_OK) {
        fail("commit", &err);
    }
}

int main(int argc, char **argv)
{
    CLEANUP(spool_closep) struct spool *spool = NULL;
    struct gk_error err = { 0 };

    if (argc != 5) {
        fprintf(stderr, "usage: fill-spool FOLDER PRODUCT DEVICE NUMBER\n");
        return 2;
    }
    const struct spool_settings settings = { .directory = argv[1],
                                             .product_key = argv[2],
                                             .device_key = argv[3],
                                             .max_bytes = (uint64_t)16 << 30,
                                             .max_age_ms = INT64_MAX / 2 };

    if (spool_open(&settings, NULL, &spool, &err) != GK_OK) {
        fail("open the spool", &err);
    }
    fill(spool, strtoul(argv[4], NULL, 10));
    return 0;
}
