/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of tpm/ share. */
#ifndef GATEKEY_TPM_INTERNAL_H
#define GATEKEY_TPM_INTERNAL_H

#include "tpm/devkey.h"

#include <signal.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tcti.h>

/* --- response codes (code.c) -------------------------------------------------------------------
 */

/* A response code without its layer, handle, parameter and session numbers. */
TSS2_RC code_base(TSS2_RC code);

/* True when the line to the TPM failed, not the TPM; false for a device that is busy or forbidden.
 */
bool code_is_transport(TSS2_RC code);

/*
 * True when an object or a session is not there that should be. A resource manager that was
 * restarted, or lost what it had saved for us, says so as long as we keep the connection.
 */
bool code_is_stale(TSS2_RC code);

/* True when the TPM asks to be sent the same command again. */
bool code_is_retry(TSS2_RC code);

/* The status a response code stands for; GK_TPM_FAILED for what has none of its own. */
enum gk_status code_status(TSS2_RC code);

/*
 * Say what the error's code means, and the next step where that gives a better one. NULL is fine.
 * (words.c)
 */
void code_describe(struct gk_error *err);

/* Note a response code as a failure about object. */
enum gk_status code_fail(struct gk_error *err, TSS2_RC code, const char *object);

/* --- waiting (clock.c) -------------------------------------------------------------------------
 */

/* A clock that nobody sets. */
int64_t clock_now_ms(void);
long clock_left_ms(int64_t deadline_ms); /* never below zero */

/* All of it, however many signals come. */
void clock_pause_ms(long pause_ms);

/* --- connections (tcti.c, device.c, line.c) ----------------------------------------------------
 */

/* Codes of our own: no file descriptor is left for a connection; see tcti_dies_in_fork(); a command
 * was sent and nothing came back in all the time that one may take. */
#define TCTI_RC_OWN(number) \
    ((TSS2_RC)(TSS2_TCTI_RC_LAYER | (TSS2_LAYER_IMPLEMENTATION_SPECIFIC_OFFSET + (number))))
#define TCTI_RC_NO_DESCRIPTOR TCTI_RC_OWN(1)
#define TCTI_RC_LOST_IN_FORK TCTI_RC_OWN(2)
#define TCTI_RC_SILENCE TCTI_RC_OWN(3)

enum tcti_kind {
    TCTI_DEVICE, /* "device:", our own */
    TCTI_SOCKET, /* "swtpm:path=", our own */
    TCTI_OTHER,  /* whatever the TSS has installed */
};

/* A TCTI as it is written in a configuration, taken apart once. */
struct tcti_name {
    enum tcti_kind kind;
    char *text; /* a path, for TCTI_OTHER LIBRARY:SETTINGS as tctildr takes it */
};

enum gk_status tcti_name_parse(const char *tcti, struct tcti_name *name, struct gk_error *err);
void tcti_name_clear(struct tcti_name *name);

/* Open a connection; waits up to about ten seconds for a TPM that another program holds. */
TSS2_RC tcti_open(const struct tcti_name *name, TSS2_TCTI_CONTEXT **tcti);
void tcti_close(const struct tcti_name *name, TSS2_TCTI_CONTEXT **tcti);

/* How long is waited for a TPM that another program holds. */
#define TCTI_BUSY_WAIT_MS 10000

/*
 * For a connection that is kept for long: leave the TPM to others between commands, where it serves
 * one connection at a time and minds no change of it. name must outlive the connection.
 */
void tcti_let_go(const struct tcti_name *name, TSS2_TCTI_CONTEXT *tcti);

/*
 * Whether the TCTI, once used, is of no use to children of this process: it would wait for ever
 * for a thread that only their parent has.
 */
bool tcti_dies_in_fork(const struct tcti_name *name);

/* Keep a connection's descriptor out of programs that are started meanwhile. */
void tcti_set_close_on_exec(TSS2_TCTI_CONTEXT *tcti);

/*
 * Around everything that is done with a connection: one of TCTI_OTHER may write to a TPM that has
 * hung up, and the signal of that would end the application.
 */
struct tcti_calm {
    bool is_needed, was_pending;
    sigset_t before; /* this thread's mask */
};
void tcti_calm_begin(const struct tcti_name *name, struct tcti_calm *calm);
void tcti_calm_end(const struct tcti_calm *calm);

/* Open what our own TCTI speaks on; the second fails with TRY_AGAIN where nobody answered until
 * then. */
TSS2_RC device_open(const char *path, TSS2_TCTI_CONTEXT **tcti);
TSS2_RC socket_open(const char *path, int64_t deadline_ms, TSS2_TCTI_CONTEXT **tcti);

/* A descriptor connected to a swtpm, or -1 and errno. */
int socket_connect(const char *path, int64_t deadline_ms);

/* Our own TCTI; takes fd over in any case. */
TSS2_RC line_new(int fd, bool is_stream, TSS2_TCTI_CONTEXT **tcti);
void line_let_go(TSS2_TCTI_CONTEXT *tcti, const char *path);
void line_close(TSS2_TCTI_CONTEXT **tcti);

/* What errno stands for after an open(2), a socket(2) or a connect(2). */
TSS2_RC line_code_of_open(int error_number);

/*
 * A descriptor above those of stdin, stdout and stderr, whichever of them an application has
 * closed: what it prints must not go to the TPM. Takes fd over; errno is kept where that is -1.
 */
int line_keep_off_stdio(int fd);

/* --- commands on a connection (tpm.c) ----------------------------------------------------------
 */

/* One TPM command from preparing to completing, on a fresh system API context. */
typedef TSS2_RC tpm_command(TSS2_SYS_CONTEXT *sys, void *context);

/* Run one command on a connection, once, without any lock. */
TSS2_RC tpm_run_on(TSS2_TCTI_CONTEXT *tcti, tpm_command *command, void *context);

/*
 * Run one command under the TPM's lock: connect, run, repeat while the TPM asks for it, connect
 * anew and run once more after a transport error, wait a while for a free slot. object is for the
 * error.
 */
enum gk_status tpm_run(struct gk_tpm *tpm, tpm_command *command, void *context, const char *object,
                       struct gk_error *err);

/*
 * Before a slot is asked for again, which other programs may use for a moment: 2, 4, ... 512 ms,
 * and as much again by chance, so that two of them do not wait in step.
 */
#define TPM_SLOT_TRIES 9
void tpm_wait_for_slot(int tries);

/* Several commands on one connection. What it still holds in the end is flushed for it. */
struct tpm_link;
typedef TSS2_RC tpm_dialogue(struct tpm_link *link, void *context);

/*
 * Have a dialogue under the TPM's lock; after a transport error connect anew and have it once more,
 * from its beginning, but not after a silence, which was waited for long enough. A line that breaks
 * leaves nothing loaded either, as far as a TPM that can be reached again allows. The code of the
 * last try.
 */
TSS2_RC tpm_talk(struct gk_tpm *tpm, tpm_dialogue *dialogue, void *context);

/* One command of a dialogue, repeated while the TPM asks for it. */
TSS2_RC tpm_send(struct tpm_link *link, tpm_command *command, void *context);

/* Note a transient object that was loaded, by the name that the TPM gave it; flush it again. */
void tpm_hold(struct tpm_link *link, TPM2_HANDLE handle, const TPM2B_NAME *name);
void tpm_release(struct tpm_link *link, TPM2_HANDLE handle);

/* Note a code from tpm_talk() as a failure about object, or about the TPM where it is missing. */
enum gk_status tpm_fail(const struct gk_tpm *tpm, TSS2_RC code, const char *object,
                        struct gk_error *err);

/* Send the prepared command and take its response; the descriptor is close-on-exec meanwhile. */
TSS2_RC tpm_execute(TSS2_SYS_CONTEXT *sys);

/*
 * Password authorisation for the prepared command (TPM 2.0 Library Part 1, "Password
 * Authorizations"): no session to set up. NULL is the empty password.
 */
TSS2_RC tpm_authorise(TSS2_SYS_CONTEXT *sys, const struct gk_auth *auth);

/* "TPM2_ReadPublic", a command whose context is this. */
struct read_public {
    TPM2_HANDLE handle;
    TPM2B_PUBLIC area;
    TPM2B_NAME name;
};
TSS2_RC tpm_read_public(TSS2_SYS_CONTEXT *sys, void *context);

/* Flush one transient object or session. */
TSS2_RC tpm_flush(TSS2_TCTI_CONTEXT *tcti, TPM2_HANDLE handle);

/* --- keys (key.c) ------------------------------------------------------------------------------
 */

#define REFERENCE_HAS_PASSWORD 0x1U

struct gk_key {
    uint32_t handle;
    uint32_t flags; /* REFERENCE_* */
    TPM2B_PUBLIC area;
    struct gk_public public_part;
    struct loadable *loadable; /* NULL: it is persistent at handle */
};

/* Make a key of a public area. about names it in errors, failure is the status for what is no RSA
 * key. */
enum gk_status key_from_area(uint32_t handle, uint32_t flags, const TPM2B_PUBLIC *area,
                             const char *about, struct gk_key **key, struct gk_error *err);

bool handle_is_persistent(uint32_t handle);

/* --- loadable keys (loadable.c, load.c) --------------------------------------------------------
 */

struct loadable {
    uint32_t parent; /* persistent, or a hierarchy */
    bool rsa_parent;
    struct gk_auth parent_auth;
    TPM2B_PRIVATE private_area;

    /* The loaded key as the TPM saved it, guarded by the TPM's lock. */
    bool is_saved;
    TPMS_CONTEXT saved;
    TPM2B_NAME name;
};

/*
 * TCG EK Credential Profile, "Template H-1" (RSA) and "Template H-2" (P-256), with an empty unique:
 * what others make keys under too, bit for bit.
 */
TPM2B_PUBLIC tpm_primary_template(bool rsa);

/* Of the hierarchies that can have keys: owner, endorsement, platform, null. */
bool handle_is_hierarchy(uint32_t handle);

struct loadable *loadable_copy(const struct loadable *loadable); /* NULL when out of memory */
void loadable_free(struct loadable *loadable);                   /* NULL is fine */

/*
 * Load the key, run one command with it, and flush it: three TPM commands, four more the first time
 * under a hierarchy. *handle is where the command finds the handle it is loaded at; context is the
 * command's.
 */
enum gk_status loadable_run(struct gk_tpm *tpm, const struct gk_key *key, tpm_command *command,
                            void *context, TPM2_HANDLE *handle, struct gk_error *err);

/* --- transient slots (slot.c) ------------------------------------------------------------------
 */

/* For a failure with GK_TPM_MEMORY: say which handles are taken, and how to free one. */
void slot_explain(TSS2_TCTI_CONTEXT *tcti, struct gk_error *err);
void slot_explain_by(struct gk_tpm *tpm, struct gk_error *err);

/* --- RSA-PSS (pss.c) ---------------------------------------------------------------------------
 */

/* The longest salt an RSA-2048 PSS signature can hold (RFC 8017, 9.1.1). */
size_t pss_longest_salt(enum gk_hash hash);

/*
 * EMSA-PSS-ENCODE for RSA-2048 with MGF1 over the same hash (RFC 8017, 9.1.1), salt from
 * getrandom(2). Fails with GK_BAD_SALT, GK_CRYPTO_FAILED.
 */
enum gk_status pss_encode(const struct gk_crypto *crypto, enum gk_hash hash, const uint8_t *digest,
                          size_t salt_size, uint8_t encoded[GK_RSA2048_SIZE], struct gk_error *err);

/* --- text armour (armour.c) --------------------------------------------------------------------
 */

/*
 * Find the PEM block of that label (RFC 7468) in data and decode it into at most capacity bytes.
 * False when there is none, it is not well-formed, or it does not fit.
 */
bool armour_decode(const char *label, const void *data, size_t size, uint8_t *binary,
                   size_t capacity, size_t *binary_size);
bool armour_is_present(const char *label, const void *data, size_t size);

/* preamble, then the PEM block, as an allocated string; NULL when out of memory. */
char *armour_encode(const char *preamble, const char *label, const uint8_t *binary, size_t size);

#endif
