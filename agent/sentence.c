/* SPDX-License-Identifier: Apache-2.0 */
/* Takes "cannot DO: CAUSE (OBJECT); NEXT STEP" apart, and takes the sting out of foreign text. */
#include "agent/sentence.h"

#include <stddef.h>
#include <string.h>

enum gk_status agent_status_of(const char *name)
{
    for (int i = GK_OK; name != NULL && i < GK_STATUS_COUNT; i++) {
        if (strcmp(name, gk_status_name((enum gk_status)i)) == 0) {
            return (enum gk_status)i;
        }
    }
    return GK_INTERNAL;
}

enum gk_status agent_sentence_read(const char *sentence, enum gk_status status,
                                   struct gk_error *err)
{
    const char *cause = gk_status_cause(status);
    const char *at = strstr(sentence, cause), *end;

    if (at == NULL) {
        return gk_fail(err, status, "%s", sentence);
    }
    at += strlen(cause);
    end = strstr(at, "); ");
    if (end == NULL && at[0] != '\0' && at[strlen(at) - 1] == ')') {
        end = at + strlen(at) - 1;
    }
    if (strncmp(at, " (", 2) == 0 && end != NULL) {
        gk_fail(err, status, "%.*s", (int)(end - at - 2), at + 2);
        at = end + 1;
    } else {
        gk_fail(err, status, NULL);
    }
    if (strncmp(at, "; ", 2) == 0 && strcmp(at + 2, gk_status_advice(status)) != 0) {
        gk_advise(err, "%s", at + 2);
    }
    return status;
}

/*
 * How many bytes the character at text takes: 0 where it is none (RFC 3629, section 4; the longer
 * ways to write a character included, which some terminals read), or one that steers a terminal.
 */
static size_t width_of(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, second; /* of the first byte; the least of the second */
        size_t width;
    } forms[] = {
        { 0x20, 0x7e, 0, 1 },    { 0xc2, 0xc2, 0xa0, 2 }, { 0xc3, 0xdf, 0x80, 2 },
        { 0xe0, 0xe0, 0xa0, 3 }, { 0xe1, 0xef, 0x80, 3 }, { 0xf0, 0xf0, 0x90, 4 },
        { 0xf1, 0xf4, 0x80, 4 },
    };
    size_t form = 0, count = sizeof(forms) / sizeof(forms[0]);

    while (form < count && (text[0] < forms[form].first || text[0] > forms[form].last)) {
        form++;
    }
    if (form == count || text[1] < forms[form].second) {
        return 0;
    }
    for (size_t i = 1; i < forms[form].width; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return forms[form].width;
}

void agent_text_tame(char *text)
{
    while (*text != '\0') {
        size_t width = width_of((const unsigned char *)text);

        if (width == 0) {
            *text = '?';
        }
        text += width > 0 ? width : 1;
    }
}
