/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in one table: every status, what happened, and what to do next.
 *
 * A function that can fail returns enum gk_status and fills the struct gk_error it is handed;
 * whoever stands at an edge (OpenSSL's error queue, a CK_RV, a line on stderr) turns it into one
 * sentence:
 *
 *     cannot <operation>: <cause> (<object, raw code in hex>); <next step>
 *
 * Nothing here allocates, prints, or is shared between threads. No secret is ever put into an
 * error.
 */
#ifndef GATEKEY_ERROR_H
#define GATEKEY_ERROR_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define GK_STATUS_TABLE(ROW)                                                                        \
    ROW(GK_OK, "done", "")                                                                          \
    /* the TPM and the device key */                                                                \
    ROW(GK_NO_TPM, "no TPM answered", "check that the TPM in [tpm] tcti exists and is switched on") \
    ROW(GK_TPM_DENIED, "this user may not open the TPM", "join the group tss, which may open /dev/tpmrm0 but not /dev/tpm0") \
    ROW(GK_TPM_BUSY, "the TPM stays busy", "find the program that holds it open, or use /dev/tpmrm0") \
    ROW(GK_LOST_IN_FORK, "tpm2-abrmd cannot be used in a child of a process that used it before", "use device:/dev/tpmrm0, or sign in the children only") \
    ROW(GK_TPM_FAILED, "the TPM refused", "look the code up with tpm2_rc_decode")                   \
    ROW(GK_TPM_MEMORY, "the TPM has no free slot for another object", "free one with tpm2_flushcontext -t, or use /dev/tpmrm0") \
    ROW(GK_TPM_GARBLED, "the TPM's answer makes no sense", "check [tpm] tcti and the TPM itself")   \
    ROW(GK_NO_KEY, "no key at that handle", "run gatekey enroll")                                   \
    ROW(GK_WRONG_KEY, "the handle holds another key than the reference says", "this reference belongs to another TPM or to an earlier key; run gatekey status") \
    ROW(GK_HANDLE_TAKEN, "the handle holds an object that is not ours", "choose another [tpm] handle, or free this one with tpm2_evictcontrol") \
    ROW(GK_BAD_AUTH, "wrong password", "check the file the password is read from")                  \
    ROW(GK_NEED_AUTH, "a password is needed and none was given", "give it by the program's pass phrase, or by [tpm] key_auth_file") \
    ROW(GK_BAD_OWNER_AUTH, "the TPM's owner authorisation is wrong or missing", "check [tpm] owner_auth_file") \
    ROW(GK_LOCKED, "the TPM is in lockout", "wait until it ends, or clear it with tpm2_dictionarylockout -c") \
    ROW(GK_BAD_SALT, "this TPM and key cannot make an RSA-PSS salt of that length", "ask for a salt as long as the hash") \
    ROW(GK_BAD_SIGNATURE, "the signature that came back does not verify", "the TPM is faulty or the key was replaced; do not trust it until it is checked") \
    ROW(GK_SEAL_BROKEN, "the sealed secret cannot be opened by this TPM", "it was sealed by another TPM, or the TPM was cleared; enrol again") \
    ROW(GK_NOT_OFFERED, "the device key does not do that", "see gatekey(1), \"The device key\"")    \
    ROW(GK_NOT_LOADED, "this TPM does not load that key", "it is another TPM's or parent's, or the TPM was cleared since; make a new key") \
    ROW(GK_WRONG_KIND, "a key of this kind is not taken", "use an unrestricted RSA-2048 signing key without a policy") \
    ROW(GK_NOT_RSA2048, "only RSA with 2048 bits is accepted", "use an RSA-2048 key")               \
    ROW(GK_PCRS_CHANGED, "the TPM's PCRs are not what the secret was sealed to", "boot the software it was sealed under, or run gatekey enroll --secret-file to seal it anew") \
    /* files and configuration */                                                                   \
    ROW(GK_NO_FILE, "no such file", "check the path")                                               \
    ROW(GK_FILE_DENIED, "permission denied", "run it as the owner of that file")                    \
    ROW(GK_FILE_FAILED, "the file could not be read or written", "check the disk and the path")     \
    ROW(GK_DISK_FULL, "the disk is full", "free some space and run it again")                       \
    ROW(GK_BAD_REFERENCE, "this is not a well-formed device key reference", "restore the file, or run gatekey key show") \
    ROW(GK_BAD_FILE, "the file's content makes no sense", "restore it from a copy, or remove it and run gatekey enroll") \
    ROW(GK_BAD_CONFIG, "the configuration is not valid", "correct that line; gatekey.conf(5) lists what may stand there") \
    ROW(GK_BAD_TCTI, "this is not a TPM connection (TCTI)", "use device:/dev/tpmrm0, or NAME:SETTINGS of an installed tss2 TCTI") \
    ROW(GK_LOCK_HELD, "another gatekey is at work in this identity directory", "wait for it to end, then run it again") \
    /* enrolment, the hub, the network */                                                           \
    ROW(GK_NOT_ENROLLED, "this gateway is not enrolled", "run gatekey enroll")                      \
    ROW(GK_REVOKED, "the certificate is revoked", "find out why, then run gatekey reset and enrol again") \
    ROW(GK_UNREACHABLE, "the hub cannot be reached", "check the network and the address, then run it again") \
    ROW(GK_PROXY, "the proxy does not let us through", "check [hub] proxy and proxy_password_file") \
    ROW(GK_UNTRUSTED, "the hub's certificate does not prove that it is the hub", "check ca_file and the host name; do not go on until it is understood") \
    ROW(GK_HUB_REFUSED, "the hub refused", "see its code and message")                              \
    ROW(GK_HUB_CREDENTIALS, "the hub does not accept these credentials", "check the key and the secret file, and the clock") \
    ROW(GK_HUB_GARBLED, "the hub's answer makes no sense", "check the address; it may not be the hub") \
    ROW(GK_DUPLICATE_SUBJECT, "the hub has issued a certificate for this subject already", "set [device] common_name to a name of its own") \
    ROW(GK_BOUND_ELSEWHERE, "the hub has bound this key's certificate to another device", "find that device and revoke it there, or run gatekey reset for a new key") \
    ROW(GK_BAD_CERTIFICATE, "the certificate does not fit", "nothing was installed; ask the hub's operator") \
    ROW(GK_NOT_YET_VALID, "the certificate is not valid yet", "check this gateway's clock")         \
    ROW(GK_EXPIRED, "the certificate has expired", "run gatekey enroll, which asks for a new one")     \
    ROW(GK_BAD_CRL, "the revocation list is not to be believed", "check [trust] and [hub] crl_url; the list before it stays in use") \
    ROW(GK_STALE_CRL, "the revocation list is too old", "run gatekey refresh, and see why no newer one comes") \
    ROW(GK_CLOCK_WRONG, "this gateway's clock cannot be right", "set the clock, by NTP or by hand")   \
    ROW(GK_THROTTLED, "the hub's connect limit does not allow another attempt yet", "wait, then run it again") \
    ROW(GK_NO_SERVICE, "gatekeyd does not answer", "start it with systemctl start gatekeyd")        \
    ROW(GK_SERVICE_RUNS, "gatekeyd is running", "stop it first with systemctl stop gatekeyd")       \
    ROW(GK_SPOOL_FULL, "the spool is full", "see what waits with gatekey spool list, or raise [spool] max_size") \
    ROW(GK_SPOOL_FAILED, "the spool cannot be used", "see gatekeyd's log; gatekeyd(8), \"Spool\"")   \
    ROW(GK_NO_MESSAGE, "no such message", "see gatekey spool list")                                 \
    ROW(GK_BUSY, "too much is under way already", "wait a moment, then run it again")               \
    ROW(GK_REFUSED, "that is not allowed here", "run it as root")                                   \
    /* everything else */                                                                           \
    ROW(GK_USAGE, "that is not how it is used", "see --help")                                       \
    ROW(GK_NO_MEMORY, "out of memory", "free some memory and run it again")                         \
    ROW(GK_NO_DESCRIPTOR, "this program has no file descriptor left", "raise its limit of open files (ulimit -n, LimitNOFILE= in its unit)") \
    ROW(GK_CRYPTO_FAILED, "the cryptographic library failed", "check the OpenSSL installation")     \
    ROW(GK_INTERNAL, "an internal error", "report it with the output of gatekey --version")
/* clang-format on */

#define GK_STATUS_NAME(name, cause, advice) name,
enum gk_status { GK_STATUS_TABLE(GK_STATUS_NAME) GK_STATUS_COUNT };
#undef GK_STATUS_NAME

#define GK_MUST_CHECK __attribute__((warn_unused_result))

/* One failure. Start it as { 0 }; it owns nothing and is copied freely. */
struct gk_error {
    enum gk_status status;
    uint32_t tpm_code;  /* the TSS2_RC as it came, 0 where no TPM was asked */
    char tpm_words[96]; /* its name and what it means, empty where nothing is known of it */
    char object[320];   /* what it was about: a path, a handle, a host; never a secret */
    char advice[256];   /* the next step where the table's is not good enough, else empty */
};

/*
 * Note a failure and return its status, so that a function can end with "return gk_fail(err, ...)".
 * err may be NULL. The format names the object (it may be NULL); what does not fit is cut at a
 * character.
 */
enum gk_status gk_fail(struct gk_error *err, enum gk_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with the TPM's own code, which the sentence shows in hex, then in tpm_words. */
enum gk_status gk_fail_tpm(struct gk_error *err, enum gk_status status, uint32_t tpm_code,
                           const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Replace the table's next step for this failure. */
void gk_advise(struct gk_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The failure errno stands for, when the object is a file: GK_NO_FILE, GK_DISK_FULL and so on. */
enum gk_status gk_fail_file(struct gk_error *err, int error_number, const char *path);

/* A status's fixed texts; never NULL. name is the enumerator, for logs and --json. */
const char *gk_status_name(enum gk_status status);
const char *gk_status_cause(enum gk_status status);
const char *gk_status_advice(enum gk_status status);

/* Write the part after "cannot <operation>: " or, with an operation, the whole sentence, cut to
 * size. */
void gk_error_sentence(const struct gk_error *err, const char *operation, char *text, size_t size);

#endif
