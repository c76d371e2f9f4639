/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library as a whole: C_Initialize to C_Finalize, the lock around every entry point, the token
 * and who is logged in to it.
 *
 * C_Initialize reads no file and knows of no TPM, so that a program which loads every registered
 * module pays nothing for ours and cannot be stopped by it.
 */
#include "pkcs11/internal.h"

#include "config.h"

#include <pthread.h>

enum state { NOT_INITIALIZED, INITIALIZED, ENDING };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* state, signing or waiting */

static struct library {
    enum state state;
    bool forked; /* a child: what its environment does not say is its parent's */
    struct gk_environment environment;
    struct gk_place place; /* directory is NULL until it is known */
    struct p11_token *token;
    CK_OBJECT_HANDLE last_handle;
    bool logged_in;
    struct gk_auth auth;
    unsigned signing; /* signatures under way, with the lock let go */
    unsigned waiting; /* threads in p11_library_await_end() */
} library;

/*
 * The way to the TPM outlives C_Finalize and fork: it alone remembers what a child cannot use any
 * more. It holds no connection.
 */
static struct {
    char *tcti;
    struct gk_tpm *tpm;
} way;

/* --- entering and leaving ----------------------------------------------------------------------
 */

/* A thread that is cancelled in here would leave with the lock, or the TPM's, and nobody got in any
 * more. */
static void take_lock(struct p11_guard *guard)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel_state);
    pthread_mutex_lock(&lock);
    guard->locked = true;
}

CK_RV p11_enter(struct p11_guard *guard)
{
    take_lock(guard);
    if (library.state != INITIALIZED) {
        p11_leave(guard);
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    }
    return CKR_OK;
}

CK_RV p11_enter_session(struct p11_guard *guard, CK_SESSION_HANDLE handle,
                        struct p11_session **session)
{
    CK_RV rv = p11_enter(guard);

    if (rv == CKR_OK) {
        *session = p11_session_find(handle);
        if (*session == NULL) {
            rv = CKR_SESSION_HANDLE_INVALID;
        }
    }
    return rv;
}

CK_RV p11_enter_slot(struct p11_guard *guard, CK_SLOT_ID slot)
{
    CK_RV rv = p11_enter(guard);

    return rv == CKR_OK && slot != P11_SLOT_ID ? CKR_SLOT_ID_INVALID : rv;
}

void p11_leave(struct p11_guard *guard)
{
    if (guard->locked) {
        guard->locked = false;
        pthread_mutex_unlock(&lock);
        pthread_setcancelstate(guard->cancel_state, NULL);
    }
}

static void stop_waiting(void *guard)
{
    library.waiting--;
    pthread_cond_broadcast(&changed);
    p11_leave(guard);
}

void p11_library_await_end(struct p11_guard *guard)
{
    library.waiting++;
    /* Whoever waits for good may be cancelled here; the wait takes the lock again before that. */
    pthread_cleanup_push(stop_waiting, guard);
    pthread_setcancelstate(guard->cancel_state, NULL);
    while (library.state == INITIALIZED) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_cleanup_pop(1);
}

/* --- the token ---------------------------------------------------------------------------------
 */

static void number_objects(struct p11_token *token)
{
    for (size_t i = 0; i < token->count; i++) {
        if (token->objects[i].handle == CK_INVALID_HANDLE) {
            token->objects[i].handle = ++library.last_handle;
        }
    }
}

static bool needs_login(const struct p11_token *token)
{
    return token->key != NULL && gk_key_needs_auth(token->key);
}

/* A password is one key's. */
static bool is_another_key(const struct p11_token *a, const struct p11_token *b)
{
    return a->key == NULL || b->key == NULL || !gk_key_identical(a->key, b->key);
}

static void take_token(struct p11_token *token)
{
    struct p11_token *older = library.token;

    if (older != NULL) {
        p11_token_inherit(token, older);
        /* Whoever logged in where any PIN will do has not said that of a key with a password. */
        if (library.logged_in && (needs_login(older) || needs_login(token)) &&
            is_another_key(token, older)) {
            p11_library_log_out();
        }
    }
    number_objects(token);
    library.token = token;
    p11_token_release(older);
}

static struct p11_token *read_token(void)
{
    struct gk_error err = { 0 };

    if (library.place.directory == NULL &&
        gk_place_find(&library.environment, NULL, NULL, NULL, &library.place, &err) != GK_OK) {
        return p11_token_none(&err);
    }
    return p11_token_read(library.place.directory);
}

static bool is_current(void)
{
    return library.token != NULL && library.place.directory != NULL &&
           !p11_token_is_stale(library.token, library.place.directory);
}

struct p11_token *p11_library_token_now(void)
{
    if (!is_current()) {
        struct p11_token *token = read_token();

        if (token == NULL) {
            return NULL;
        }
        if (token->is_incomplete && library.token != NULL && library.token->key != NULL) {
            /* Taken for a change, it would end the login and take all handles away. */
            p11_token_release(token);
            return library.token;
        }
        take_token(token);
        if (token->error.status != GK_OK) {
            (void)p11_status_report(
                token->key == NULL ? "find the device key" : "show the certificate", &token->error);
        }
    }
    return library.token;
}

struct p11_token *p11_library_token(void)
{
    return library.token != NULL ? library.token : p11_library_token_now();
}

bool p11_library_has_key_of(const struct p11_token *token)
{
    const struct p11_token *now = p11_library_token();

    return now != NULL && !is_another_key(now, token);
}

bool p11_library_shows(const struct p11_object *object)
{
    return !object->private || library.logged_in;
}

struct p11_object *p11_library_object(CK_OBJECT_HANDLE handle)
{
    struct p11_token *token = p11_library_token();
    struct p11_object *object = token != NULL ? p11_token_object(token, handle) : NULL;

    return object != NULL && p11_library_shows(object) ? object : NULL;
}

/* --- login -------------------------------------------------------------------------------------
 */

bool p11_library_logged_in(void)
{
    return library.logged_in;
}

void p11_library_log_in(const struct gk_auth *auth)
{
    library.logged_in = true;
    if (auth != NULL) {
        library.auth = *auth;
    }
}

/* The standard, "C_Logout": handles of private objects stay invalid after another login. */
void p11_library_log_out(void)
{
    library.logged_in = false;
    gk_auth_clear(&library.auth);
    if (library.token != NULL && needs_login(library.token)) {
        p11_session_end_private();
        for (size_t i = 0; i < library.token->count; i++) {
            if (library.token->objects[i].private) {
                library.token->objects[i].handle = CK_INVALID_HANDLE;
            }
        }
        number_objects(library.token);
    }
}

/* --- signing -----------------------------------------------------------------------------------
 */

static enum gk_status find_way(struct gk_tpm **tpm, struct gk_error *err)
{
    CLEANUP(gk_freep) char *tcti = NULL;
    struct gk_tpm *made;
    enum gk_status status;

    if (way.tpm == NULL || strcmp(way.tcti, library.place.tcti) != 0) {
        tcti = strdup(library.place.tcti);
        if (tcti == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        status = gk_tpm_new(tcti, &made, err);
        if (status != GK_OK) {
            return status;
        }
        gk_tpm_free(way.tpm);
        free(way.tcti);
        way.tpm = made;
        way.tcti = TAKE(tcti);
    }
    *tpm = way.tpm;
    return GK_OK;
}

CK_RV p11_library_sign(const struct p11_request *request, uint8_t signature[GK_RSA2048_SIZE])
{
    CLEANUP(gk_auth_clear)
    struct gk_auth auth = request->auth != NULL ? *request->auth : library.auth;
    struct gk_error err = { 0 };
    struct gk_tpm *tpm = NULL;
    enum gk_status status = find_way(&tpm, &err);

    if (status == GK_OK) {
        library.signing++;
        pthread_mutex_unlock(&lock);
        p11_fork_enter();
        status = gk_key_sign(tpm, request->token->key, &auth, &p11_crypto, request->scheme,
                             request->hash, request->digest, request->salt_size, signature, &err);
        p11_fork_leave();
        pthread_mutex_lock(&lock);
        library.signing--;
        pthread_cond_broadcast(&changed);
    }
    if (status == GK_BAD_SALT) {
        request->token->lacks_pss = true;
    }
    if (status == GK_BAD_AUTH) {
        gk_advise(&err, "give the key's own password as the PIN");
    }
    if (status != GK_OK) {
        return p11_status_report(
            request->auth != NULL ? "log in to the device key" : "sign with the device key", &err);
    }
    return library.state == INITIALIZED ? CKR_OK : CKR_FUNCTION_CANCELED;
}

/* --- beginning and ending ----------------------------------------------------------------------
 */

/* The standard, "CK_C_INITIALIZE_ARGS". Only the locks of the operating system are any good to us:
 * those that wait in fork.c are not the application's. */
static CK_RV check_arguments(const CK_C_INITIALIZE_ARGS *arguments)
{
    int callbacks;

    if (arguments == NULL) {
        return CKR_OK;
    }
    callbacks = (arguments->CreateMutex != NULL) + (arguments->DestroyMutex != NULL) +
                (arguments->LockMutex != NULL) + (arguments->UnlockMutex != NULL);
    if (arguments->pReserved != NULL || (callbacks != 0 && callbacks != 4)) {
        return CKR_ARGUMENTS_BAD;
    }
    return callbacks == 4 && (arguments->flags & CKF_OS_LOCKING_OK) == 0 ? CKR_CANT_LOCK : CKR_OK;
}

static void forget(void)
{
    p11_session_close_all();
    p11_token_release(library.token);
    library.token = NULL;
    library.logged_in = false;
    gk_auth_clear(&library.auth);
    gk_place_clear(&library.place);
    library.place = (struct gk_place){ NULL, NULL };
}

static void inherit(char **own, char **from)
{
    if (*own == NULL) {
        *own = TAKE(*from);
    }
}

/* A server's workers may have no environment; what its parent was told is kept for them. */
static void capture_environment(void)
{
    struct gk_environment environment;

    gk_environment_capture(&environment);
    if (library.forked) {
        inherit(&environment.identity, &library.environment.identity);
        inherit(&environment.tcti, &library.environment.tcti);
    }
    gk_environment_clear(&library.environment);
    library.environment = environment;
    p11_status_capture(library.forked);
}

CK_RV C_Initialize(void *arguments)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct gk_error err = { 0 };
    CK_RV rv = check_arguments(arguments);

    if (rv != CKR_OK) {
        return rv;
    }
    take_lock(&guard);
    while (library.state == ENDING) {
        pthread_cond_wait(&changed, &lock);
    }
    if (library.state == INITIALIZED) {
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    }
    if (p11_fork_watch(&err) != GK_OK) {
        return CKR_HOST_MEMORY;
    }
    capture_environment();
    forget();
    library.state = INITIALIZED;
    return CKR_OK;
}

CK_RV C_Finalize(void *reserved)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter(&guard);

    if (rv != CKR_OK) {
        return rv;
    }
    if (reserved != NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    library.state = ENDING;
    pthread_cond_broadcast(&changed);
    while (library.signing > 0 || library.waiting > 0) {
        pthread_cond_wait(&changed, &lock);
    }
    forget();
    library.state = NOT_INITIALIZED;
    pthread_cond_broadcast(&changed);
    return CKR_OK;
}

/* Ours has three numbers; the standard has room for two. */
static CK_VERSION own_version(void)
{
    char *rest;
    unsigned long major = strtoul(PACKAGE_VERSION, &rest, 10);
    unsigned long minor = rest[0] == '.' ? strtoul(rest + 1, NULL, 10) : 0;

    return (CK_VERSION){ (unsigned char)major, (unsigned char)minor };
}

CK_RV C_GetInfo(CK_INFO *info)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter(&guard);

    if (rv != CKR_OK) {
        return rv;
    }
    if (info == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    *info = (CK_INFO){ .cryptokiVersion = { 3, 0 }, .libraryVersion = own_version() };
    p11_pad(info->manufacturerID, sizeof(info->manufacturerID), P11_MANUFACTURER);
    p11_pad(info->libraryDescription, sizeof(info->libraryDescription), "TPM 2.0 device key");
    return CKR_OK;
}

/* --- fork --------------------------------------------------------------------------------------
 */

void p11_library_before_fork(void)
{
    pthread_mutex_lock(&lock);
    if (way.tpm != NULL) {
        gk_tpm_before_fork(way.tpm);
    }
}

/*
 * The standard's usage guide: a child is another application, which has not called C_Initialize.
 * Its copies of sessions and signatures are nobody's; they are freed when it does.
 */
void p11_library_after_fork(bool child)
{
    if (way.tpm != NULL) {
        gk_tpm_after_fork(way.tpm, child);
    }
    if (child) {
        library.forked = true;
        library.state = NOT_INITIALIZED;
        library.signing = 0;
        library.waiting = 0;
        gk_auth_clear(&library.auth);
        changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    }
    pthread_mutex_unlock(&lock);
}
