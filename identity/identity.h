/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the gateway's identity lies, and reading its files. libc and libinih only: no TPM, no
 * OpenSSL.
 *
 * Used by both modules and by the agent. Nothing here writes, prints or keeps state; every function
 * may be called from several threads at once on objects of their own. Functions block on local
 * files only. Errors: see error.h; outputs are written on success only.
 */
#ifndef GATEKEY_IDENTITY_H
#define GATEKEY_IDENTITY_H

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GK_DEFAULT_DIRECTORY "/var/lib/gatekey"
#define GK_DEFAULT_TCTI "device:/dev/tpmrm0"

/* File names in the identity directory; what each holds is in gatekey(1), "Files". */
#define GK_FILE_DEVICE "device.pem"
#define GK_FILE_DEVICE_NEW "device.pem.new"
#define GK_FILE_CERTIFICATE "cert.pem"
#define GK_FILE_IDENTITY "identity.pem"
#define GK_FILE_SERVER_CA "server-ca.pem"
#define GK_FILE_SERVER_CRL "server-crl.pem"
#define GK_FILE_ISSUER_CA "issuer-ca.pem"
#define GK_FILE_CRL "crl.pem"
#define GK_FILE_STATE "state.json"
#define GK_FILE_SECRET "secret.tpm"
#define GK_FILE_PENDING_CA "pending-ca.pem" /* roots that wait for somebody's approval */
#define GK_FILE_LINK_CA "link-ca.pem"       /* by what issuers came in that follow others */
#define GK_FILE_REFRESH "refresh.json"      /* what gatekey refresh remembers */
#define GK_FILE_DEVICE_OLD "device.pem.old" /* a rotated key, until the overlap is over */
#define GK_FILE_NEXT "next"                 /* a folder: the pair that a renewal tries */

/* The largest file any reader here accepts, bytes. */
#define GK_FILE_MAX ((size_t)1024 * 1024)

/* What the environment said when the module was loaded; either may be NULL. */
struct gk_environment {
    char *identity; /* GATEKEY_IDENTITY, absolute */
    char *tcti;     /* GATEKEY_TCTI */
};

/*
 * Copy GATEKEY_IDENTITY and GATEKEY_TCTI now, because a server's workers may have no environment
 * later. In set-uid, set-gid and otherwise privileged programs (secure_getenv(3)) both are taken as
 * unset. Out of memory leaves the affected member NULL. The caller frees the members with
 * gk_environment_clear().
 */
void gk_environment_capture(struct gk_environment *environment);
void gk_environment_clear(struct gk_environment *environment);

/* Where to look, resolved. The caller owns the strings and frees them with gk_place_clear(). */
struct gk_place {
    char *directory; /* the identity directory, absolute as it was given */
    char *tcti;      /* the TPM connection: "device:PATH" or NAME:SETTINGS of a tss2 TCTI */
};

/*
 * Say where the identity and the TPM are. For each of the two the first that is given wins: the
 * environment, the module's own setting (NULL where there is none), [identity] directory and [tpm]
 * tcti in config_path, the default.
 *
 * environment  may be NULL. config_path: NULL means the installed gatekey.conf; a file that does
 * not exist says nothing, one that cannot be read or parsed is an error. Only these two keys are
 * looked at, so an unknown key is the agent's business.
 *
 * Reads one small file. Fails with GK_BAD_CONFIG (file and line in the error), GK_FILE_DENIED,
 * GK_FILE_FAILED, GK_NO_MEMORY.
 */
enum gk_status gk_place_find(const struct gk_environment *environment, const char *identity,
                             const char *tcti, const char *config_path, struct gk_place *place,
                             struct gk_error *err) GK_MUST_CHECK;
void gk_place_clear(struct gk_place *place);

/* A file's content, with a NUL after its last byte that size does not count. */
struct gk_content {
    char *data;
    size_t size;
};

/*
 * Read one file of the identity directory whole, at most GK_FILE_MAX bytes; name is one of
 * GK_FILE_*. Follows no symbolic link in the last component, refuses anything but a regular file.
 * The caller frees it with gk_content_clear(), which wipes it first.
 * Fails with GK_NO_FILE, GK_FILE_DENIED, GK_FILE_FAILED, GK_BAD_FILE (too large, not a file),
 * GK_NO_MEMORY.
 */
enum gk_status gk_identity_read(const char *directory, const char *name, struct gk_content *content,
                                struct gk_error *err) GK_MUST_CHECK;
void gk_content_clear(struct gk_content *content);

/*
 * Read a secret from a file: its content without one line feed (or carriage return and line feed)
 * at the end, 1 to max bytes and no NUL among them. Refused where others than owner and group may
 * read the file, or others than the owner write it. A symbolic link is followed. The caller frees
 * it with gk_content_clear(), which wipes it first.
 * Fails with GK_NO_FILE, GK_FILE_DENIED, GK_FILE_FAILED, GK_BAD_FILE (no such secret, not a file),
 * GK_REFUSED (its modes), GK_NO_MEMORY. No part of the content gets into an error.
 */
enum gk_status gk_secret_read(const char *path, size_t max, struct gk_content *content,
                              struct gk_error *err) GK_MUST_CHECK;

#endif
