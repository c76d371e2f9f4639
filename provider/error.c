/* SPDX-License-Identifier: Apache-2.0 */
/* Puts our sentences on OpenSSL's error queue. */
#include "provider/internal.h"

#include <stdarg.h>

/* OpenSSL keeps the reasons below 100 for itself; the agent reads our statuses back from those
 * above. */
#define REASON_BASE 100

const OSSL_ITEM prov_reasons[] = {
#define ROW(code, cause, advice) { REASON_BASE + code, (void *)(uintptr_t)cause },
    GK_STATUS_TABLE(ROW)
#undef ROW
        { 0, NULL },
};

/* The core takes a va_list only. */
static void set_error(const struct prov_context *context, uint32_t reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set_error(const struct prov_context *context, uint32_t reason, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    context->upcalls.vset_error(context->core, reason, format, arguments);
    va_end(arguments);
}

void prov_error_mark(const struct prov_context *context)
{
    if (context->upcalls.set_error_mark != NULL) {
        (void)context->upcalls.set_error_mark(context->core);
    }
}

void prov_error_drop(const struct prov_context *context)
{
    if (context->upcalls.pop_error_to_mark != NULL) {
        (void)context->upcalls.pop_error_to_mark(context->core);
    }
}

int prov_answer(const struct prov_context *context, enum gk_status status,
                const struct gk_error *err, const char *operation, const char *file, int line,
                const char *function)
{
    const struct prov_upcalls *core = &context->upcalls;
    char sentence[1024];

    if (status == GK_OK) {
        return 1;
    }
    if (core->new_error != NULL && core->set_error_debug != NULL && core->vset_error != NULL) {
        gk_error_sentence(err, operation, sentence, sizeof(sentence));
        core->new_error(context->core);
        core->set_error_debug(context->core, file, line, function);
        set_error(context, REASON_BASE + (uint32_t)status, "%s", sentence);
    }
    return 0;
}
