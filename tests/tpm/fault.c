/* SPDX-License-Identifier: Apache-2.0 */
/* Steers the fault TCTI from a C test. */
#include "tests/tpm/fault.h"

#include "cleanup.h"

#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

/* A file beside the test's own TPM. */
static void path_of(const char *name, char path[static PATH_MAX])
{
    const char *folder = getenv("GATEKEY_TEST_DIR");

    assert_non_null(folder);
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

/*
 * Once it is loaded from the build tree the loader knows it by its name, as tctildr asks for it.
 * Taken for good: a test that looks for leaks wants to find the same before and after.
 */
static void load_library(void)
{
    const char *tree = getenv("abs_top_builddir");
    char path[PATH_MAX];

    assert_non_null(tree);
    snprintf(path, sizeof(path), "%s/tests/tpm/.libs/libtss2-tcti-fault.so.0", tree);
    if (dlopen(path, RTLD_NOW | RTLD_NODELETE) == NULL) {
        fail_msg("%s", dlerror());
    }
}

const char *fault_tcti(void)
{
    static char tcti[2 * PATH_MAX];
    char plan[PATH_MAX];

    if (tcti[0] == '\0') {
        const char *next = getenv("GATEKEY_TCTI");

        assert_non_null(next);
        load_library();
        path_of("plan", plan);
        snprintf(tcti, sizeof(tcti), "fault:plan=%s,next=%s", plan, next);
    }
    return tcti;
}

void fault_plan(const char *format, ...)
{
    char plan[PATH_MAX], log[PATH_MAX];
    FILE *file;
    va_list arguments;

    path_of("plan", plan);
    path_of("plan.log", log);
    file = fopen(plan, "we");
    assert_non_null(file);
    va_start(arguments, format);
    assert_true(vfprintf(file, format, arguments) >= 0);
    va_end(arguments);
    assert_int_equal(fclose(file), 0);
    unlink(log);
}

static size_t read_log(bool connections, uint32_t *commands, size_t capacity)
{
    CLEANUP(gk_fclosep) FILE *file = NULL;
    char path[PATH_MAX], line[64];
    size_t count = 0;

    path_of("plan.log", path);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if ((strncmp(line, "open ", 5) == 0) != connections) {
            continue;
        }
        if (count < capacity) {
            commands[count] = (uint32_t)strtoul(line, NULL, 16);
        }
        count++;
    }
    return count;
}

size_t fault_commands(uint32_t *commands, size_t capacity)
{
    return read_log(false, commands, capacity);
}

unsigned fault_count(void)
{
    return (unsigned)read_log(false, NULL, 0);
}

unsigned fault_opened(void)
{
    return (unsigned)read_log(true, NULL, 0);
}
