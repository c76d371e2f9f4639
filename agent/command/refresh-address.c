/* SPDX-License-Identifier: Apache-2.0 */
/* Where lists and roots are fetched from: as configured, as the certificate says, as EnOS does it.
 */
#include "agent/command/refresh.h"

#include "agent/config-value.h"

#include <openssl/x509v3.h>

/* EnOS, "X.509 Certificate Service". */
#define ENOS_CRL_PATH "/enos/CA/crl/RSA"

GK_DEFINE_CLEANUP(CRL_DIST_POINTS, CRL_DIST_POINTS_free)
GK_DEFINE_CLEANUP(ASN1_IA5STRING, ASN1_IA5STRING_free)

/* A URL in a certificate, if it is one that would be taken in gatekey.conf too; else NULL. */
static char *take_url(const ASN1_STRING *value)
{
    CLEANUP(gk_freep)
    char *text =
        strndup((const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    char *url = NULL;

    if (text == NULL || strlen(text) != (size_t)ASN1_STRING_length(value)) {
        return NULL;
    }
    return agent_value_any_url(&url, text, NULL) == NULL ? url : NULL;
}

/* RFC 5280, 4.2.1.13. */
static char *distribution_point(const X509 *x509)
{
    CLEANUP(CRL_DIST_POINTS_freep)
    CRL_DIST_POINTS *points = X509_get_ext_d2i(x509, NID_crl_distribution_points, NULL, NULL);

    for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT_NAME *name = sk_DIST_POINT_value(points, i)->distpoint;

        for (int j = 0;
             name != NULL && name->type == 0 && j < sk_GENERAL_NAME_num(name->name.fullname); j++) {
            const GENERAL_NAME *one = sk_GENERAL_NAME_value(name->name.fullname, j);
            char *url = one->type == GEN_URI ? take_url(one->d.uniformResourceIdentifier) : NULL;

            if (url != NULL) {
                return url;
            }
        }
    }
    return NULL;
}

/* Which EnOS puts in instead. */
static char *netscape_url(const X509 *x509)
{
    CLEANUP(ASN1_IA5STRING_freep)
    ASN1_IA5STRING *value = X509_get_ext_d2i(x509, NID_netscape_ca_revocation_url, NULL, NULL);

    return value != NULL ? take_url(value) : NULL;
}

static char *beside_api(const struct agent_config *config)
{
    const char *host = config->api_url != NULL ? strstr(config->api_url, "://") : NULL;
    char *url;

    if (host == NULL) {
        return NULL;
    }
    host += 3;
    return asprintf(&url, "%.*s" ENOS_CRL_PATH,
                    (int)(host - config->api_url + (long)strcspn(host, "/")), config->api_url) < 0
               ? NULL
               : url;
}

static enum gk_status issuer_crl_address(const struct agent_config *config,
                                         struct agent_openssl *openssl, char **url,
                                         struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots own = { 0 };
    enum gk_status status = agent_roots_read(config, openssl, GK_FILE_CERTIFICATE, &own, err);

    if (status != GK_OK) {
        return status;
    }
    *url = NULL;
    if (agent_roots_count(&own) == 0) {
        return GK_OK; /* nobody issued anything yet */
    }
    if (config->issuer_crl_url != NULL) {
        *url = strdup(config->issuer_crl_url);
        return *url != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
    }
    *url = distribution_point(agent_roots_at(&own, 0));
    if (*url == NULL) {
        *url = netscape_url(agent_roots_at(&own, 0));
    }
    if (*url == NULL) {
        *url = beside_api(config);
    }
    return GK_OK;
}

enum gk_status refresh_address(const struct agent_config *config, struct agent_openssl *openssl,
                               enum refresh_kind kind, char **url, struct gk_error *err)
{
    const char *configured = kind == REFRESH_ROOTS ? config->root_url : config->server_crl_url;

    if (kind == REFRESH_CRL) {
        return issuer_crl_address(config, openssl, url, err);
    }
    *url = NULL;
    if (configured != NULL) {
        *url = strdup(configured);
    }
    return configured == NULL || *url != NULL ? GK_OK : gk_fail(err, GK_NO_MEMORY, NULL);
}
