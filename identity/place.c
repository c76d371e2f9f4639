/* SPDX-License-Identifier: Apache-2.0 */
/* Says where the identity directory and the TPM are: environment, module setting, gatekey.conf,
 * default. */
#include "identity/internal.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSTALLED_CONFIG GK_SYSCONFDIR "/gatekey/gatekey.conf"

/* libinih reads lines into a buffer of this size and would silently break a longer one in two. */
#define LINE_MAX_LENGTH 198

static char *copy_of_environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value != NULL && value[0] != '\0' ? strdup(value) : NULL;
}

/* From here: a program that becomes a service goes to another folder. */
static char *made_absolute(char *path)
{
    CLEANUP(gk_freep) char *here = NULL;
    char *absolute;

    if (path == NULL || path[0] == '/') {
        return path;
    }
    here = getcwd(NULL, 0);
    if (here == NULL || asprintf(&absolute, "%s/%s", here, path) < 0) {
        return path;
    }
    free(path);
    return absolute;
}

void gk_environment_capture(struct gk_environment *environment)
{
    environment->identity = made_absolute(copy_of_environment("GATEKEY_IDENTITY"));
    environment->tcti = copy_of_environment("GATEKEY_TCTI");
}

void gk_environment_clear(struct gk_environment *environment)
{
    free(environment->identity);
    free(environment->tcti);
    *environment = (struct gk_environment){ 0 };
}

void gk_place_clear(struct gk_place *place)
{
    free(place->directory);
    free(place->tcti);
    *place = (struct gk_place){ 0 };
}

/* What gatekey.conf says of the two, while libinih walks through it. */
struct found {
    struct gk_place place;
    bool out_of_memory;
};

/* libinih's callback: 1 to go on, 0 for an error on this line. */
static int note_key(void *context, const char *section, const char *name, const char *value)
{
    struct found *found = context;
    char **target = NULL;

    if (strcmp(section, "identity") == 0 && strcmp(name, "directory") == 0) {
        target = &found->place.directory;
    } else if (strcmp(section, "tpm") == 0 && strcmp(name, "tcti") == 0) {
        target = &found->place.tcti;
    }
    if (target == NULL) {
        return 1;
    }
    if (*target != NULL || value[0] == '\0') {
        return 0;
    }
    *target = strdup(value);
    found->out_of_memory = *target == NULL;
    return *target != NULL;
}

/* The number of the first line libinih could not hold, 0 when there is none. */
static int overlong_line(const char *text)
{
    int line = 1;

    while (text[0] != '\0') {
        size_t length = strcspn(text, "\n");

        if (length > LINE_MAX_LENGTH) {
            return line;
        }
        text += length + (text[length] == '\n');
        line++;
    }
    return 0;
}

static enum gk_status read_config(const char *path, struct found *found, struct gk_error *err)
{
    CLEANUP(gk_content_clear) struct gk_content content = { 0 };
    enum gk_status status = identity_file_read(path, 0, &content, err);
    int line;

    if (status == GK_NO_FILE) {
        return GK_OK;
    }
    if (status != GK_OK) {
        return status;
    }
    line = overlong_line(content.data);
    if (line != 0) {
        return gk_fail(err, GK_BAD_CONFIG, "%s:%d: the line is longer than %d characters", path,
                       line, LINE_MAX_LENGTH);
    }
    line = ini_parse_string(content.data, note_key, found);
    if (found->out_of_memory || line == -2) {
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    }
    if (line != 0) {
        return gk_fail(err, GK_BAD_CONFIG, "%s:%d", path, line);
    }
    return GK_OK;
}

/* A copy of the first that is given; NULL when out of memory. */
static char *first_of(const char *environment, const char *setting, const char *config,
                      const char *otherwise)
{
    const char *choice = environment != NULL ? environment
                         : setting != NULL   ? setting
                         : config != NULL    ? config
                                             : otherwise;
    return strdup(choice);
}

enum gk_status gk_place_find(const struct gk_environment *environment, const char *identity,
                             const char *tcti, const char *config_path, struct gk_place *place,
                             struct gk_error *err)
{
    static const struct gk_environment nothing;
    const struct gk_environment *env = environment != NULL ? environment : &nothing;
    CLEANUP(gk_place_clear) struct gk_place chosen = { 0 };
    struct found found = { 0 };
    enum gk_status status = GK_OK;

    /* The file is looked at only where something is left for it to say. */
    if ((env->identity == NULL && identity == NULL) || (env->tcti == NULL && tcti == NULL)) {
        status = read_config(config_path != NULL ? config_path : INSTALLED_CONFIG, &found, err);
    }
    if (status == GK_OK) {
        chosen.directory =
            first_of(env->identity, identity, found.place.directory, GK_DEFAULT_DIRECTORY);
        chosen.tcti = first_of(env->tcti, tcti, found.place.tcti, GK_DEFAULT_TCTI);
        if (chosen.directory == NULL || chosen.tcti == NULL) {
            status = gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    gk_place_clear(&found.place);
    if (status == GK_OK) {
        *place = chosen;
        chosen = (struct gk_place){ 0 };
    }
    return status;
}
