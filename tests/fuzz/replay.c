/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once over each file of the folders named, where no fuzzer is linked in. */
#include "tests/fuzz/target.h"

#include "cleanup.h"

#include <dirent.h>

static int replay_file(const char *path)
{
    CLEANUP(gk_fclosep) FILE *file = fopen(path, "rb");
    static uint8_t data[1 << 20];
    size_t size;

    if (file == NULL) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof(data), file);
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int failed = 0, count = 0;
    char file[4096];

    if (folder == NULL) {
        perror(path);
        return 1;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
            failed |= replay_file(file);
            count++;
        }
    }
    closedir(folder);
    /* An empty corpus would be a test that cannot fail. */
    return failed || count == 0;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;

    for (int i = 1; i < argc; i++) {
        failed |= replay_folder(argv[i]);
    }
    return failed;
}
