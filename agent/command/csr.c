/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey csr: enrolment without any API credential on the gateway begins here. */
#include "agent/command/certificate.h"
#include "agent/command/command.h"
#include "agent/command/devicekey.h"
#include "agent/file.h"

static void free_pkeyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static enum gk_status make_request(struct run *run, char **pem, struct gk_error *err)
{
    CLEANUP(free_pkeyp) EVP_PKEY *key = NULL;
    struct agent_openssl *openssl;
    char name[CERTIFICATE_NAME_MAX + 1];
    enum gk_status status = run_openssl(run, &openssl, err);

    if (status == GK_OK) {
        status = certificate_common_name(run->config, NULL, name, err);
    }
    if (status == GK_OK) {
        status = agent_openssl_load_key(openssl, run->config->key, &key, err);
    }
    if (status == GK_NO_FILE && devicekey_is_ours_to_make(run->config)) {
        gk_fail(err, GK_NOT_ENROLLED, "no device key in %s", run->config->directory);
        gk_advise(err, "run gatekey key create");
        return GK_NOT_ENROLLED;
    }
    return status == GK_OK ? certificate_request(run->config, openssl, key, name, pem, err)
                           : status;
}

enum gk_status command_csr(struct run *run, int argc, char **argv, struct gk_error *err)
{
    CLEANUP(gk_freep) char *pem = NULL;
    const char *out = NULL;
    const struct word words[] = { { "out", &out, NULL }, { 0 } };
    enum gk_status status = words_read(run, argc, argv, words, 0, 0, NULL, err);

    if (status == GK_OK) {
        status =
            agent_config_need(run->config, run->config->device_key, "[device] device_key", err);
    }
    if (status == GK_OK) {
        status = make_request(run, &pem, err);
    }
    if (status != GK_OK) {
        return status;
    }
    say_text(run, "csr", pem);
    if (out == NULL) {
        if (!run->json) {
            fputs(pem, stdout);
        }
        return GK_OK;
    }
    status = agent_file_create(out, pem, strlen(pem), AGENT_FOR_ALL, err);
    if (status == GK_OK) {
        say_step(run, "certificate signing request written to %s", out);
    }
    return status;
}
