/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a swtpm one of those TPMs whose RSA-PSS salt is always the longest (222 bytes with
 * SHA-256), as TPM 2.0 Library Part 1, B.7, has it: with-swtpm --max-salt preloads this into it.
 *
 * libtpms asks libcrypto for a salt as long as the hash, whatever the key; here that is what it
 * does not get. In everything else it is the same TPM.
 */
#include <dlfcn.h>
#include <openssl/rsa.h>
#include <string.h>

__attribute__((visibility("default"))) int EVP_PKEY_CTX_set_rsa_pss_saltlen(EVP_PKEY_CTX *ctx,
                                                                            int length)
{
    int (*real)(EVP_PKEY_CTX *, int);
    void *found = dlsym(RTLD_NEXT, "EVP_PKEY_CTX_set_rsa_pss_saltlen");

    (void)length;
    if (found == NULL) {
        return 0;
    }
    memcpy(&real, &found, sizeof(real));
    return real(ctx, RSA_PSS_SALTLEN_MAX);
}
