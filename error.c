/* SPDX-License-Identifier: Apache-2.0 */
/* Turns a status and its object into one sentence that says what to do next. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *name;
    const char *cause;
    const char *advice;
};

static const struct row rows[] = {
#define ROW(code, cause_text, advice_text) [code] = { #code, cause_text, advice_text },
    GK_STATUS_TABLE(ROW)
#undef ROW
};

static const struct row *row_of(enum gk_status status)
{
    return (size_t)status < sizeof(rows) / sizeof(rows[0]) ? &rows[status] : &rows[GK_INTERNAL];
}

const char *gk_status_name(enum gk_status status)
{
    return row_of(status)->name;
}

const char *gk_status_cause(enum gk_status status)
{
    return row_of(status)->cause;
}

const char *gk_status_advice(enum gk_status status)
{
    return row_of(status)->advice;
}

static void note(struct gk_error *err, enum gk_status status, uint32_t tpm_code, const char *format,
                 va_list arguments) __attribute__((format(printf, 4, 0)));

static void note(struct gk_error *err, enum gk_status status, uint32_t tpm_code, const char *format,
                 va_list arguments)
{
    /* The object may be built from the old one, so it is written elsewhere first. */
    char object[sizeof(err->object)] = "";

    if (format != NULL) {
        vsnprintf(object, sizeof(object), format, arguments);
    }
    *err = (struct gk_error){ .status = status, .tpm_code = tpm_code };
    memcpy(err->object, object, sizeof(object));
}

enum gk_status gk_fail(struct gk_error *err, enum gk_status status, const char *format, ...)
{
    va_list arguments;

    if (err != NULL) {
        va_start(arguments, format);
        note(err, status, 0, format, arguments);
        va_end(arguments);
    }
    return status;
}

enum gk_status gk_fail_tpm(struct gk_error *err, enum gk_status status, uint32_t tpm_code,
                           const char *format, ...)
{
    va_list arguments;

    if (err != NULL) {
        va_start(arguments, format);
        note(err, status, tpm_code, format, arguments);
        va_end(arguments);
    }
    return status;
}

void gk_advise(struct gk_error *err, const char *format, ...)
{
    va_list arguments;

    if (err != NULL) {
        va_start(arguments, format);
        vsnprintf(err->advice, sizeof(err->advice), format, arguments);
        va_end(arguments);
    }
}

enum gk_status gk_fail_file(struct gk_error *err, int error_number, const char *path)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        return gk_fail(err, GK_NO_FILE, "%s", path);
    case EACCES:
    case EPERM:
    case EROFS:
        /* EACCES is what the cause says already. */
        return error_number == EACCES
                   ? gk_fail(err, GK_FILE_DENIED, "%s", path)
                   : gk_fail(err, GK_FILE_DENIED, "%s: %s", path, strerror(error_number));
    case ENOSPC:
    case EDQUOT:
        return gk_fail(err, GK_DISK_FULL, "%s", path);
    case ENOMEM:
        return gk_fail(err, GK_NO_MEMORY, "%s", path);
    case EMFILE:
    case ENFILE:
        return gk_fail(err, GK_NO_DESCRIPTOR, "%s", path);
    default:
        return gk_fail(err, GK_FILE_FAILED, "%s: %s", path, strerror(error_number));
    }
}

void gk_error_sentence(const struct gk_error *err, const char *operation, char *text, size_t size)
{
    const char *advice = err->advice[0] != '\0' ? err->advice : gk_status_advice(err->status);
    char code[sizeof(err->tpm_words) + 24] = "";
    char about[sizeof(err->object) + sizeof(code) + 8] = "";

    if (err->tpm_code != 0) {
        snprintf(code, sizeof(code), "%sTPM 0x%x%s%s", err->object[0] != '\0' ? ", " : "",
                 (unsigned)err->tpm_code, err->tpm_words[0] != '\0' ? " " : "", err->tpm_words);
    }
    if (err->object[0] != '\0' || code[0] != '\0') {
        snprintf(about, sizeof(about), " (%s%s)", err->object, code);
    }
    snprintf(text, size, "%s%s%s%s%s%s%s", operation != NULL ? "cannot " : "",
             operation != NULL ? operation : "", operation != NULL ? ": " : "",
             gk_status_cause(err->status), about, advice[0] != '\0' ? "; " : "", advice);
}
