/* SPDX-License-Identifier: Apache-2.0 */
/* A TPM that is connected to only while an operation runs: one at a time, repeated where that
 * helps, and nothing of ours left loaded after it. */
#include "tpm/internal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Making an RSA parent may take a slow chip most of this; signing takes well under a second. */
#define RESPONSE_TIMEOUT_MS 90000

/* How long a TPM that says RETRY, YIELDED or TESTING is asked again: 2 + 4 + ... + 2048 ms. */
#define RETRY_COUNT 11
#define RETRY_FIRST_MS 2

/* The first wait for a slot that others use for a moment, see tpm_wait_for_slot(). */
#define SLOT_FIRST_MS 2

/* The most that is loaded at a time: a parent and its key. */
#define HELD_MAX 2

/* A transient object that we loaded and have not flushed yet. */
struct held {
    TPM2_HANDLE handle;
    TPM2B_NAME name;
};

struct gk_tpm {
    struct tcti_name name;
    pthread_mutex_t lock; /* over one operation, connection included */
    bool was_used;
    bool is_lost;   /* to this process, see tcti_dies_in_fork() */
    bool is_silent; /* its last line broke by TCTI_RC_SILENCE, which is waited for once only */
    struct held held[HELD_MAX];
    size_t held_count; /* between operations: what a broken line left behind, most often nothing */
};

struct tpm_link {
    struct gk_tpm *tpm;
    TSS2_TCTI_CONTEXT *tcti;
    TSS2_RC broken; /* what broke it: nothing more is sent, as its answer may be another's */
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
     * No operation is under way, so no connection is open. The child's only thread is the one that
     * took the lock. What a broken line left behind is the parent's to flush.
     */
    if (child) {
        tpm->held_count = 0;
        tpm->is_lost = tpm->is_lost || (tpm->was_used && tcti_dies_in_fork(&tpm->name));
    }
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
    /* The line is of no use any more: the answer may come yet, and to another command. */
    return code == TSS2_TCTI_RC_TRY_AGAIN ? TCTI_RC_SILENCE : code;
}

TSS2_RC tpm_authorise(TSS2_SYS_CONTEXT *sys, const struct gk_auth *auth)
{
    TSS2L_SYS_AUTH_COMMAND commands = {
        .count = 1,
        .auths = { { .sessionHandle = TPM2_RS_PW } },
    };
    TPM2B_AUTH *password = &commands.auths[0].hmac;
    TSS2_RC code;

    if (auth != NULL) {
        password->size = (uint16_t)auth->size;
        memcpy(password->buffer, auth->bytes, auth->size);
    }
    code = Tss2_Sys_SetCmdAuths(sys, &commands);
    explicit_bzero(&commands, sizeof(commands));
    return code;
}

TSS2_RC tpm_run_on(TSS2_TCTI_CONTEXT *tcti, tpm_command *command, void *context)
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
    return tpm_run_on(tcti, flush, &handle);
}

TSS2_RC tpm_send(struct tpm_link *link, tpm_command *command, void *context)
{
    long pause_ms = RETRY_FIRST_MS;
    TSS2_RC code;

    if (link->broken != TSS2_RC_SUCCESS) {
        return link->broken;
    }
    code = tpm_run_on(link->tcti, command, context);
    for (int i = 0; i < RETRY_COUNT && code_is_retry(code); i++, pause_ms *= 2) {
        clock_pause_ms(pause_ms);
        code = tpm_run_on(link->tcti, command, context);
    }
    if (code_is_transport(code)) {
        link->broken = code;
    }
    return code;
}

void tpm_hold(struct tpm_link *link, TPM2_HANDLE handle, const TPM2B_NAME *name)
{
    struct gk_tpm *tpm = link->tpm;

    assert(tpm->held_count < HELD_MAX);
    tpm->held[tpm->held_count++] = (struct held){ .handle = handle, .name = *name };
}

static void forget(struct gk_tpm *tpm, size_t index)
{
    tpm->held[index] = tpm->held[--tpm->held_count];
}

/* What is refused stays held, for recover() to have a look at. */
static TSS2_RC release(struct tpm_link *link, size_t index)
{
    struct gk_tpm *tpm = link->tpm;
    TSS2_RC code = tpm_send(link, flush, &tpm->held[index].handle);

    if (code == TSS2_RC_SUCCESS) {
        forget(tpm, index);
    }
    return code;
}

void tpm_release(struct tpm_link *link, TPM2_HANDLE handle)
{
    for (size_t i = link->tpm->held_count; i-- > 0;) {
        if (link->tpm->held[i].handle == handle) {
            (void)release(link, i);
        }
    }
}

static void release_all(struct tpm_link *link)
{
    for (size_t i = link->tpm->held_count; i-- > 0;) {
        (void)release(link, i);
    }
}

/*
 * Flush what an earlier line left when it broke. A resource manager has done so by then, and a TPM
 * that was started anew has nothing loaded; the handle may be another program's by now. So only
 * what still bears the name of the object that we loaded is flushed.
 */
static TSS2_RC recover(struct tpm_link *link)
{
    struct gk_tpm *tpm = link->tpm;
    TSS2_RC code = TSS2_RC_SUCCESS;

    for (size_t i = tpm->held_count; i-- > 0;) {
        struct held held = tpm->held[i];
        struct read_public read = { .handle = held.handle };

        code = tpm_send(link, tpm_read_public, &read);
        if (code == TSS2_RC_SUCCESS && read.name.size == held.name.size &&
            memcmp(read.name.name, held.name.name, held.name.size) == 0) {
            code = tpm_send(link, flush, &held.handle);
        }
        if (link->broken != TSS2_RC_SUCCESS || code_is_retry(code)) {
            return code;
        }
        forget(tpm, i);
    }
    return TSS2_RC_SUCCESS;
}

static TSS2_RC connect_and_talk(struct gk_tpm *tpm, tpm_dialogue *dialogue, void *context)
{
    struct tpm_link link = { .tpm = tpm };
    TSS2_RC code;

    tpm->is_silent = false;
    if (tpm->is_lost) {
        return TCTI_RC_LOST_IN_FORK;
    }
    tpm->was_used = true;
    code = tcti_open(&tpm->name, &link.tcti);
    if (code != TSS2_RC_SUCCESS) {
        return code;
    }
    code = recover(&link);
    if (code == TSS2_RC_SUCCESS && dialogue != NULL) {
        code = dialogue(&link, context);
        release_all(&link);
    }
    tpm->is_silent = link.broken == TCTI_RC_SILENCE;
    tcti_close(&tpm->name, &link.tcti);
    return code;
}

static TSS2_RC talk_locked(struct gk_tpm *tpm, tpm_dialogue *dialogue, void *context)
{
    TSS2_RC code = connect_and_talk(tpm, dialogue, context);

    /* A TPM or resource manager that was restarted: its old line is dead, a new one works. */
    if ((code_is_transport(code) || code_is_stale(code)) && !tpm->is_silent) {
        code = connect_and_talk(tpm, dialogue, context);
    }
    if (tpm->held_count > 0 && !tpm->is_silent) {
        /* The line broke when all but the flushing was done, or broke again: try once, now. */
        (void)connect_and_talk(tpm, NULL, NULL);
    }
    return code;
}

TSS2_RC tpm_talk(struct gk_tpm *tpm, tpm_dialogue *dialogue, void *context)
{
    struct tcti_calm calm;
    int cancel_state;
    TSS2_RC code;

    /* A thread that is cancelled in here would leave with the lock, and a connection open. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    tcti_calm_begin(&tpm->name, &calm);
    pthread_mutex_lock(&tpm->lock);
    code = talk_locked(tpm, dialogue, context);
    pthread_mutex_unlock(&tpm->lock);
    tcti_calm_end(&calm);
    pthread_setcancelstate(cancel_state, NULL);
    return code;
}

enum gk_status tpm_fail(const struct gk_tpm *tpm, TSS2_RC code, const char *object,
                        struct gk_error *err)
{
    enum gk_status status = code_status(code);

    /* For a missing TPM the object is the TPM, for everything else what was asked of it. */
    return code_fail(err, code,
                     status == GK_NO_TPM || status == GK_TPM_DENIED || status == GK_TPM_BUSY ||
                             status == GK_NO_DESCRIPTOR || status == GK_LOST_IN_FORK
                         ? tpm->name.text
                         : object);
}

struct single {
    tpm_command *command;
    void *context;
};

static TSS2_RC send_single(struct tpm_link *link, void *context)
{
    const struct single *single = context;

    return tpm_send(link, single->command, single->context);
}

void tpm_wait_for_slot(int tries)
{
    long pause_ms = SLOT_FIRST_MS << tries;
    uint32_t chance = 0; /* not by the clock, which those who wait have in common */

    (void)!getrandom(&chance, sizeof(chance), GRND_NONBLOCK);
    clock_pause_ms(pause_ms + (long)(chance % (uint32_t)pause_ms));
}

enum gk_status tpm_run(struct gk_tpm *tpm, tpm_command *command, void *context, const char *object,
                       struct gk_error *err)
{
    struct single single = { command, context };
    TSS2_RC code = tpm_talk(tpm, send_single, &single);
    enum gk_status status;

    /* A persistent object takes a slot as well while a command uses it. */
    for (int i = 0; i < TPM_SLOT_TRIES && code_status(code) == GK_TPM_MEMORY; i++) {
        tpm_wait_for_slot(i);
        code = tpm_talk(tpm, send_single, &single);
    }
    if (code == TSS2_RC_SUCCESS) {
        return GK_OK;
    }
    status = tpm_fail(tpm, code, object, err);
    if (status == GK_TPM_MEMORY) {
        slot_explain_by(tpm, err);
    }
    return status;
}
