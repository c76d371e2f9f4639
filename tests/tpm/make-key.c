/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a device key for tests that need one: make-key FILE HANDLE [--auth FILE]
 *
 * The key is made in the TPM of GATEKEY_TCTI, persistent at HANDLE, with the password that the file
 * after --auth holds (its last newline does not count). FILE receives what device.pem holds.
 */
#include "provider/crypto.h"
#include "tpm/admin.h"

#include <stdio.h>

static enum gk_status write_reference(void *context, const struct gk_key *key, struct gk_error *err)
{
    const char *path = context;
    CLEANUP(gk_freep) char *text = NULL;
    CLEANUP(gk_fclosep) FILE *file = NULL;
    enum gk_status status = gk_key_format(key, &text, err);

    if (status != GK_OK) {
        return status;
    }
    file = fopen(path, "w");
    if (file == NULL || fputs(text, file) == EOF || fflush(file) != 0) {
        return gk_fail(err, GK_FILE_FAILED, "%s", path);
    }
    return GK_OK;
}

static enum gk_status read_password(const char *path, struct gk_auth *auth, struct gk_error *err)
{
    CLEANUP(gk_fclosep) FILE *file = fopen(path, "r");

    if (file == NULL) {
        return gk_fail(err, GK_NO_FILE, "%s", path);
    }
    auth->size = fread(auth->bytes, 1, sizeof(auth->bytes), file);
    if (auth->size > 0 && auth->bytes[auth->size - 1] == '\n') {
        auth->size--;
    }
    return GK_OK;
}

static enum gk_status make_key(const char *path, uint32_t handle, const char *password_path,
                               struct gk_error *err)
{
    CLEANUP(gk_admin_closep) struct gk_admin *admin = NULL;
    CLEANUP(gk_key_freep) struct gk_key *key = NULL;
    struct prov_crypto where = { .libctx = NULL, .properties = PROV_CRYPTO_NOT_OURS };
    struct gk_crypto crypto;
    struct gk_auth auth = { .size = 0 };
    const char *tcti = getenv("GATEKEY_TCTI");
    enum gk_status status = GK_OK;

    if (password_path != NULL) {
        status = read_password(password_path, &auth, err);
    }
    if (status == GK_OK) {
        status = gk_admin_open(tcti != NULL ? tcti : "", NULL, &admin, err);
    }
    if (status != GK_OK) {
        return status;
    }
    prov_crypto_fill(&where, &crypto);
    return gk_admin_key_create(admin, handle, &auth, &crypto, write_reference, (void *)path, &key,
                               err);
}

int main(int argc, char **argv)
{
    const char *password_path = NULL;
    struct gk_error err = { 0 };
    char sentence[1024];

    if (argc == 5 && strcmp(argv[3], "--auth") == 0) {
        password_path = argv[4];
    } else if (argc != 3) {
        fputs("usage: make-key FILE HANDLE [--auth FILE]\n", stderr);
        return 2;
    }
    if (make_key(argv[1], (uint32_t)strtoul(argv[2], NULL, 0), password_path, &err) != GK_OK) {
        gk_error_sentence(&err, "make a key", sentence, sizeof(sentence));
        fprintf(stderr, "%s\n", sentence);
        return 1;
    }
    return 0;
}
