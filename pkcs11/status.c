/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong, as a return code: PKCS #11 has no place for more. The sentence that says what to
 * do is lost to the application, so GATEKEY_DEBUG in the environment shows it on stderr.
 */
#include "pkcs11/internal.h"

static bool is_debugging;

void p11_status_capture(bool is_child)
{
    const char *debug = secure_getenv("GATEKEY_DEBUG");

    if (debug != NULL || !is_child) {
        is_debugging = debug != NULL && debug[0] != '\0';
    }
}

CK_RV p11_status_code(enum gk_status status)
{
    switch (status) {
    case GK_OK:
        return CKR_OK;
    case GK_BAD_AUTH:
        return CKR_PIN_INCORRECT;
    case GK_NEED_AUTH:
        return CKR_USER_NOT_LOGGED_IN;
    case GK_LOCKED:
        return CKR_PIN_LOCKED;
    case GK_TPM_MEMORY:
        return CKR_DEVICE_MEMORY;
    case GK_NO_MEMORY:
    case GK_NO_DESCRIPTOR:
        return CKR_HOST_MEMORY;
    case GK_BAD_SALT:
    case GK_NOT_OFFERED:
        return CKR_FUNCTION_FAILED;
    case GK_NO_TPM:
    case GK_TPM_DENIED:
    case GK_TPM_BUSY:
    case GK_LOST_IN_FORK:
    case GK_TPM_FAILED:
    case GK_TPM_GARBLED:
    case GK_NO_KEY:
    case GK_WRONG_KEY:
    case GK_HANDLE_TAKEN:
    case GK_BAD_OWNER_AUTH:
    case GK_BAD_SIGNATURE:
    case GK_SEAL_BROKEN:
    case GK_PCRS_CHANGED:
    case GK_NOT_LOADED:
    case GK_WRONG_KIND:
    case GK_NOT_RSA2048:
    case GK_NO_FILE:
    case GK_FILE_DENIED:
    case GK_FILE_FAILED:
    case GK_DISK_FULL:
    case GK_BAD_REFERENCE:
    case GK_BAD_FILE:
    case GK_BAD_CONFIG:
    case GK_BAD_TCTI:
    case GK_LOCK_HELD:
    case GK_NOT_ENROLLED:
    case GK_REVOKED:
    case GK_UNREACHABLE:
    case GK_UNTRUSTED:
    case GK_HUB_REFUSED:
    case GK_HUB_CREDENTIALS:
    case GK_HUB_GARBLED:
    case GK_DUPLICATE_SUBJECT:
    case GK_BOUND_ELSEWHERE:
    case GK_BAD_CERTIFICATE:
    case GK_NOT_YET_VALID:
    case GK_EXPIRED:
    case GK_BAD_CRL:
    case GK_STALE_CRL:
    case GK_CLOCK_WRONG:
    case GK_SPOOL_FULL:
    case GK_SPOOL_FAILED:
    case GK_NO_MESSAGE:
    case GK_THROTTLED:
    case GK_PROXY:
    case GK_NO_SERVICE:
    case GK_SERVICE_RUNS:
    case GK_BUSY:
    case GK_REFUSED:
    case GK_USAGE:
    case GK_CRYPTO_FAILED:
    case GK_INTERNAL:
    case GK_STATUS_COUNT:
        /* Not CKR_GENERAL_ERROR, which says that the library itself is lost. */
        return CKR_DEVICE_ERROR;
    }
    return CKR_DEVICE_ERROR;
}

CK_RV p11_status_report(const char *operation, const struct gk_error *err)
{
    if (is_debugging) {
        char sentence[1024];

        gk_error_sentence(err, operation, sentence, sizeof(sentence));
        fprintf(stderr, "gatekey-pkcs11: %s\n", sentence);
    }
    return p11_status_code(err->status);
}
