/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: a table of seats. A handle names a seat and how often it was taken, so that the handle
 * of a closed session never becomes another's.
 */
#include "pkcs11/internal.h"

#define SEAT_BITS 16
#define SEATS_MAX ((size_t)1 << SEAT_BITS)
/* As far as CK_ULONG goes: where it has 32 bits a handle does come again after 65535 turns. */
#define TURN_MAX (CK_UNAVAILABLE_INFORMATION >> SEAT_BITS)

struct seat {
    CK_ULONG turn; /* 1 and up; 0 has never been taken */
    struct p11_session *session;
    size_t next_free;
};

static struct seat *seats;
static size_t seat_count, first_free = SEATS_MAX;
static CK_ULONG open_sessions, open_read_write;

static size_t seat_of(CK_SESSION_HANDLE handle)
{
    return handle & (SEATS_MAX - 1);
}

struct p11_session *p11_session_find(CK_SESSION_HANDLE handle)
{
    size_t seat = seat_of(handle);
    struct p11_session *session = seat < seat_count ? seats[seat].session : NULL;

    return session != NULL && session->handle == handle ? session : NULL;
}

CK_ULONG p11_session_count(CK_FLAGS flags)
{
    return (flags & CKF_RW_SESSION) != 0 ? open_read_write : open_sessions;
}

static CK_RV add_seats(void)
{
    size_t count = seat_count == 0 ? 16 : seat_count * 2;
    struct seat *more;

    if (seat_count == SEATS_MAX) {
        return CKR_SESSION_COUNT;
    }
    more = reallocarray(seats, count, sizeof(*seats));
    if (more == NULL) {
        return CKR_HOST_MEMORY;
    }
    seats = more;
    for (size_t i = count; i > seat_count; i--) {
        seats[i - 1] = (struct seat){ .next_free = first_free };
        first_free = i - 1;
    }
    seat_count = count;
    return CKR_OK;
}

static CK_RV open_session(CK_FLAGS flags, CK_SESSION_HANDLE *handle)
{
    CK_RV rv = first_free == SEATS_MAX ? add_seats() : CKR_OK;
    struct p11_session *session;
    struct seat *seat;

    if (rv != CKR_OK) {
        return rv;
    }
    session = calloc(1, sizeof(*session));
    if (session == NULL) {
        return CKR_HOST_MEMORY;
    }
    seat = &seats[first_free];
    seat->turn = seat->turn == TURN_MAX ? 1 : seat->turn + 1;
    seat->session = session;
    session->handle = (seat->turn << SEAT_BITS) | first_free;
    session->flags = flags & (CKF_SERIAL_SESSION | CKF_RW_SESSION);
    first_free = seat->next_free;
    open_sessions++;
    open_read_write += (flags & CKF_RW_SESSION) != 0;
    *handle = session->handle;
    return CKR_OK;
}

static void end_operations(struct p11_session *session)
{
    p11_find_end(&session->find);
    p11_signing_end(&session->sign);
    p11_signing_end(&session->verify);
    explicit_bzero(&session->digest, sizeof(session->digest));
}

static void close_session(struct p11_session *session)
{
    size_t seat = seat_of(session->handle);

    open_sessions--;
    open_read_write -= (session->flags & CKF_RW_SESSION) != 0;
    end_operations(session);
    seats[seat].session = NULL;
    seats[seat].next_free = first_free;
    first_free = seat;
    free(session);
}

void p11_session_close_all(void)
{
    for (size_t i = 0; i < seat_count; i++) {
        if (seats[i].session != NULL) {
            close_session(seats[i].session);
        }
    }
}

/* Only signing takes a private object; a search leaves out what is no longer shown. */
void p11_session_end_private(void)
{
    for (size_t i = 0; i < seat_count; i++) {
        if (seats[i].session != NULL) {
            p11_signing_end(&seats[i].session->sign);
        }
    }
}

/*
 * The token is write-protected, and the standard has read-write sessions refused then; ssh opens no
 * others. So they open, and what would change the token is refused.
 *
 * A token without a key opens as well, with nothing in it: where a session is refused nothing works
 * any more in a JVM whose list of providers names the module, and who never asks for the key is not
 * to notice that there is none.
 */
CK_RV C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                    CK_SESSION_HANDLE *handle)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter_slot(&guard, slot);

    (void)application; /* handed to notify, which is never called: nothing here surrenders */
    (void)notify;
    if (rv != CKR_OK) {
        return rv;
    }
    if (handle == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    if ((flags & CKF_SERIAL_SESSION) == 0) {
        return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
    }
    if (p11_library_token_now() == NULL) {
        return CKR_HOST_MEMORY;
    }
    return open_session(flags, handle);
}

CK_RV C_CloseSession(CK_SESSION_HANDLE handle)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    close_session(session);
    if (open_sessions == 0) {
        p11_library_log_out();
    }
    return CKR_OK;
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slot)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    CK_RV rv = p11_enter_slot(&guard, slot);

    if (rv != CKR_OK) {
        return rv;
    }
    p11_session_close_all();
    p11_library_log_out();
    return CKR_OK;
}

static CK_STATE state_of(const struct p11_session *session)
{
    if ((session->flags & CKF_RW_SESSION) != 0) {
        return p11_library_logged_in() ? CKS_RW_USER_FUNCTIONS : CKS_RW_PUBLIC_SESSION;
    }
    return p11_library_logged_in() ? CKS_RO_USER_FUNCTIONS : CKS_RO_PUBLIC_SESSION;
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE handle, CK_SESSION_INFO *info)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if (info == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    *info = (CK_SESSION_INFO){
        .slotID = P11_SLOT_ID,
        .state = state_of(session),
        .flags = session->flags,
    };
    return CKR_OK;
}

/* The standard, "C_SessionCancel": operations that are not active are passed over. */
CK_RV C_SessionCancel(CK_SESSION_HANDLE handle, CK_FLAGS flags)
{
    CLEANUP(p11_leave) struct p11_guard guard = { false };
    struct p11_session *session;
    CK_RV rv = p11_enter_session(&guard, handle, &session);

    if (rv != CKR_OK) {
        return rv;
    }
    if ((flags & CKF_FIND_OBJECTS) != 0) {
        p11_find_end(&session->find);
    }
    if ((flags & CKF_DIGEST) != 0) {
        explicit_bzero(&session->digest, sizeof(session->digest));
    }
    if ((flags & CKF_SIGN) != 0) {
        p11_signing_end(&session->sign);
    }
    if ((flags & CKF_VERIFY) != 0) {
        p11_signing_end(&session->verify);
    }
    return CKR_OK;
}
