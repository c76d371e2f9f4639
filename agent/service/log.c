/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the service's log. */
#include "agent/service/log.h"

#include "agent/sentence.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* systemd.exec(5), "JOURNAL_STREAM": device and inode of the stream that goes to the journal. */
static bool journal_reads(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device;
    uintmax_t inode;
    struct stat info;

    return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    agent_text_tame(text);
    if (journal_reads()) {
        fprintf(stderr, "<%d>%s\n", (int)level, text);
    } else {
        fprintf(stderr, "gatekeyd: %s\n", text);
    }
}

void log_failure(enum log_level level, const char *operation, const struct gk_error *err)
{
    char sentence[1024];

    gk_error_sentence(err, operation, sentence, sizeof(sentence));
    log_line(level, "%s", sentence);
}
