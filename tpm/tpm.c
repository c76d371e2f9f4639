/* SPDX-License-Identifier: Apache-2.0 */
/* A TPM that is connected to only while a command runs: one at a time, repeated where that helps.
 */
#include "tpm/internal.h"

#include <pthread.h>
#include <stdlib.h>

/* A command may take a discrete chip minutes (key generation); signing takes well under a second.
 */
#define RESPONSE_TIMEOUT_MS 90000

/* How long a TPM that says RETRY, YIELDED or TESTING is asked again: 2 + 4 + ... + 2048 ms. */
#define RETRY_COUNT 11
#define RETRY_FIRST_MS 2

struct gk_tpm {
    struct tcti_name name;
    pthread_mutex_t lock; /* over one operation, connection included */
};

enum gk_status gk_tpm_new(const char *tcti, struct gk_tpm **tpm, struct gk_error *err)
{
    CLEANUP(gk_freep) struct gk_tpm *t = calloc(1, sizeof(*t));
    enum gk_status status;

    if (t == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    status = tcti_name_parse(tcti, &t->name, err);
    if (status != GK_OK) {
        return status;
    }
    pthread_mutex_init(&t->lock, NULL);
    *tpm = TAKE(t);
    return GK_OK;
}

void gk_tpm_free(struct gk_tpm *tpm)
{
    if (tpm == NULL) {
        return;
    }
    tcti_name_clear(&tpm->name);
    pthread_mutex_destroy(&tpm->lock);
    free(tpm);
}

void gk_tpm_before_fork(struct gk_tpm *tpm)
{
    pthread_mutex_lock(&tpm->lock);
}

void gk_tpm_after_fork(struct gk_tpm *tpm, bool child)
{
    /*
     * No operation is under way and nothing is kept in between, so there is nothing to drop. The
     * child's only thread is the one that took the lock.
     */
    (void)child;
    pthread_mutex_unlock(&tpm->lock);
}

TSS2_RC tpm_execute(TSS2_SYS_CONTEXT *sys)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    TSS2_RC code = Tss2_Sys_ExecuteAsync(sys);

    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    if (Tss2_Sys_GetTctiContext(sys, &tcti) == TSS2_RC_SUCCESS) {
        tcti_set_close_on_exec(tcti);
    }
    code = Tss2_Sys_ExecuteFinish(sys, RESPONSE_TIMEOUT_MS);
    /* No answer in all that time is a dead line, not a busy device. */
    return code == TSS2_TCTI_RC_TRY_AGAIN ? TSS2_TCTI_RC_IO_ERROR : code;
}

static TSS2_RC run_once(TSS2_TCTI_CONTEXT *tcti, tpm_command *command, void *context)
{
    size_t size = Tss2_Sys_GetContextSize(0);
    CLEANUP(gk_freep) TSS2_SYS_CONTEXT *sys = calloc(1, size);
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    TSS2_RC code;

    if (sys == NULL) {
        return TSS2_TCTI_RC_MEMORY;
    }
    code = Tss2_Sys_Initialize(sys, size, tcti, &abi);
    if (code == TSS2_RC_SUCCESS) {
        code = command(sys, context);
        Tss2_Sys_Finalize(sys);
    }
    /* The context holds the command as it was sent, and with it a password. */
    explicit_bzero(sys, size);
    return code;
}

static TSS2_RC flush(TSS2_SYS_CONTEXT *sys, void *context)
{
    TSS2_RC code = Tss2_Sys_FlushContext_Prepare(sys, *(const TPM2_HANDLE *)context);

    return code == TSS2_RC_SUCCESS ? tpm_execute(sys) : code;
}

TSS2_RC tpm_flush(TSS2_TCTI_CONTEXT *tcti, TPM2_HANDLE handle)
{
    return run_once(tcti, flush, &handle);
}

static TSS2_RC run_until_answered(TSS2_TCTI_CONTEXT *tcti, tpm_command *command, void *context)
{
    long pause_ms = RETRY_FIRST_MS;
    TSS2_RC code = run_once(tcti, command, context);

    for (int i = 0; i < RETRY_COUNT && code_is_retry(code); i++, pause_ms *= 2) {
        clock_pause_ms(pause_ms);
        code = run_once(tcti, command, context);
    }
    return code;
}

static TSS2_RC connect_and_run(struct gk_tpm *tpm, tpm_command *command, void *context)
{
    TSS2_TCTI_CONTEXT *tcti = NULL;
    TSS2_RC code = tcti_open(&tpm->name, &tcti);

    if (code == TSS2_RC_SUCCESS) {
        code = run_until_answered(tcti, command, context);
        tcti_close(&tpm->name, &tcti);
    }
    return code;
}

static TSS2_RC run_locked(struct gk_tpm *tpm, tpm_command *command, void *context)
{
    TSS2_RC code = connect_and_run(tpm, command, context);

    /* A TPM or resource manager that was restarted: its old line is dead, a new one works. */
    return code_is_transport(code) ? connect_and_run(tpm, command, context) : code;
}

static TSS2_RC run(struct gk_tpm *tpm, tpm_command *command, void *context)
{
    struct tcti_calm calm;
    TSS2_RC code;

    tcti_calm_begin(&tpm->name, &calm);
    pthread_mutex_lock(&tpm->lock);
    code = run_locked(tpm, command, context);
    pthread_mutex_unlock(&tpm->lock);
    tcti_calm_end(&calm);
    return code;
}

enum gk_status tpm_run(struct gk_tpm *tpm, tpm_command *command, void *context, const char *object,
                       struct gk_error *err)
{
    TSS2_RC code = run(tpm, command, context);
    enum gk_status status;

    if (code == TSS2_RC_SUCCESS) {
        return GK_OK;
    }
    status = code_status(code);
    /* For a missing TPM the object is the TPM, for everything else what was asked of it. */
    return code_fail(err, code,
                     status == GK_NO_TPM || status == GK_TPM_DENIED || status == GK_TPM_BUSY ||
                             status == GK_NO_DESCRIPTOR
                         ? tpm->name.text
                         : object);
}
