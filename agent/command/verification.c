/* SPDX-License-Identifier: Apache-2.0 */
/* Judges certificates: which are believed, and which one of a file that was carried in is ours. */
#include "agent/command/certificate-internal.h"

#include "agent/clock.h"
#include "agent/roots.h"

#include <openssl/x509v3.h>
#include <time.h>

/* How far a gateway's clock may be behind the hub's when a certificate is new. */
#define CLOCK_SKEW_S 300

static void free_storep(X509_STORE **store)
{
    X509_STORE_free(*store);
}

static void free_verifyp(X509_STORE_CTX **verify)
{
    X509_STORE_CTX_free(*verify);
}

/* By their encodings, because keys of two providers have no other form in common. */
static bool is_same_key(EVP_PKEY *a, EVP_PKEY *b)
{
    unsigned char *left = NULL, *right = NULL;
    int left_size = i2d_PUBKEY(a, &left), right_size = i2d_PUBKEY(b, &right);
    bool same =
        left_size > 0 && left_size == right_size && memcmp(left, right, (size_t)left_size) == 0;

    OPENSSL_free(left);
    OPENSSL_free(right);
    return same;
}

bool certificate_is_early(const struct agent_config *config, const struct certificate *certificate)
{
    return certificate->begin - agent_clock_now(config) > CLOCK_SKEW_S;
}

/*
 * The time to check for: now, or the certificate's first second where that is only a little later.
 * The hub dates a certificate by its own clock, and a gateway's may be behind.
 */
static time_t time_to_check(const struct agent_config *config, const struct certificate *c)
{
    int64_t now = agent_clock_now(config);

    return (time_t)(c->begin > now && !certificate_is_early(config, c) ? c->begin : now);
}

static void format_time(int64_t when, char text[static 32])
{
    time_t seconds = (time_t)when;
    struct tm tm;

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
}

/* Nobody here knows who issued it; say who that would be. */
static enum gk_status fail_unknown(const struct certificate *c, const STACK_OF(X509) * pile,
                                   struct gk_error *err)
{
    X509 *top = NULL, *next = c->leaf;
    char text[AGENT_FINGERPRINT_SIZE], name[100];

    for (int steps = 0; next != NULL && steps < CERTIFICATE_CHAIN_MAX; steps++) {
        X509 *below = next;

        next = NULL;
        for (int i = 0; i < sk_X509_num(pile) && X509_self_signed(below, 0) != 1; i++) {
            if (X509_check_issued(sk_X509_value(pile, i), below) == X509_V_OK) {
                top = next = sk_X509_value(pile, i);
                break;
            }
        }
    }
    if (top == NULL) {
        X509_NAME_oneline(X509_get_issuer_name(c->leaf), name, sizeof(name));
        gk_fail(err, GK_BAD_CERTIFICATE, "serial %s: its issuer %s is not known here", c->serial,
                name);
        gk_advise(err, "put that CA's certificate into the file, behind this one, and give its "
                       "SHA-256 as --ca-fingerprint");
        return GK_BAD_CERTIFICATE;
    }
    X509_NAME_oneline(X509_get_subject_name(top), name, sizeof(name));
    agent_fingerprint(top, text);
    gk_fail(err, GK_BAD_CERTIFICATE, "its issuer %s is not known here, SHA-256 %s", name, text);
    gk_advise(err, "compare that fingerprint with what the hub's operator says, then add it as "
                   "--ca-fingerprint");
    return GK_BAD_CERTIFICATE;
}

static bool is_unknown(int why)
{
    return why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           why == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           why == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           why == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
           why == X509_V_ERR_CERT_SIGNATURE_FAILURE; /* another of the same name */
}

/* What is wrong with a chain. The clock is the likelier culprit where it may be, so it is shown. */
static enum gk_status explain(const struct agent_config *config, const struct certificate *c,
                              X509_STORE_CTX *verify, struct gk_error *err)
{
    int why = X509_STORE_CTX_get_error(verify);
    char text[32];

    if (why == X509_V_ERR_CERT_NOT_YET_VALID) {
        format_time(agent_clock_now(config), text);
        return gk_fail(err, GK_NOT_YET_VALID, "serial %s, and the clock says %s", c->serial, text);
    }
    if (why == X509_V_ERR_CERT_HAS_EXPIRED && X509_STORE_CTX_get_error_depth(verify) == 0) {
        format_time(c->end, text);
        gk_fail(err, GK_EXPIRED, "serial %s ended on %s", c->serial, text);
        gk_advise(err, "check this gateway's clock; if it is right, have a new one issued");
        return GK_EXPIRED;
    }
    gk_fail(err, GK_BAD_CERTIFICATE, "serial %s: %s", c->serial,
            X509_verify_cert_error_string(why));
    if (why == X509_V_ERR_CERT_HAS_EXPIRED) {
        gk_advise(err, "its issuer has expired; check this gateway's clock");
    }
    return GK_BAD_CERTIFICATE;
}

/*
 * Find the way from the leaf to one of the anchors, which need not be a root, over whatever of rest
 * (may be NULL) helps. The purpose refuses what is expressly for something else; EnOS's own
 * certificates say nothing of theirs. *chain (may be NULL) receives the issuers, in order.
 */
static enum gk_status check_chain(const struct agent_config *config, struct agent_openssl *openssl,
                                  const struct certificate *c, const STACK_OF(X509) * anchors,
                                  STACK_OF(X509) * rest, STACK_OF(X509) * *chain,
                                  struct gk_error *err)
{
    CLEANUP(free_storep) X509_STORE *store = X509_STORE_new();
    CLEANUP(free_verifyp)
    X509_STORE_CTX *verify =
        X509_STORE_CTX_new_ex(agent_openssl_context(openssl), agent_openssl_propquery(openssl));

    if (store == NULL || verify == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    for (int i = 0; i < sk_X509_num(anchors); i++) {
        X509 *anchor = sk_X509_value(anchors, i);

        /* A partial chain would end at the leaf itself. */
        if (X509_cmp(anchor, c->leaf) != 0 && X509_STORE_add_cert(store, anchor) != 1) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_STORE_CTX_init(verify, store, c->leaf, rest) != 1 ||
        X509_STORE_CTX_set_purpose(verify, X509_PURPOSE_SSL_CLIENT) != 1) {
        return agent_openssl_error(err, GK_CRYPTO_FAILED, "checking the certificate");
    }
    X509_STORE_CTX_set_time(verify, 0, time_to_check(config, c));
    if (X509_verify_cert(verify) != 1) {
        return rest != NULL && is_unknown(X509_STORE_CTX_get_error(verify))
                   ? fail_unknown(c, rest, err)
                   : explain(config, c, verify, err);
    }
    if (chain != NULL) {
        *chain = X509_STORE_CTX_get1_chain(verify);
        if (*chain == NULL) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        X509_free(sk_X509_shift(*chain));
    }
    return GK_OK;
}

static bool is_signed_with_sha256(X509 *x509)
{
    int digest = NID_undef;

    return X509_get_signature_info(x509, &digest, NULL, NULL, NULL) == 1 && digest == NID_sha256;
}

/* What can be said of it without its issuers. */
static enum gk_status check_leaf(const struct certificate *c, EVP_PKEY *key, struct gk_error *err)
{
    EVP_PKEY *own = X509_get0_pubkey(c->leaf);

    if (own == NULL) {
        return agent_openssl_error(err, GK_BAD_CERTIFICATE, "its public key");
    }
    if (EVP_PKEY_get_base_id(own) != EVP_PKEY_RSA || EVP_PKEY_get_bits(own) != 2048) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is not for an RSA-2048 key", c->serial);
    }
    if (!is_same_key(own, key)) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is for another key than the device's",
                       c->serial);
    }
    if (!is_signed_with_sha256(c->leaf)) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is not signed with SHA-256", c->serial);
    }
    if (X509_check_ca(c->leaf) != 0) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is a CA's own certificate", c->serial);
    }
    return GK_OK;
}

enum gk_status certificate_check(const struct agent_config *config, struct agent_openssl *openssl,
                                 const struct certificate *certificate, EVP_PKEY *key,
                                 struct gk_error *err)
{
    enum gk_status status = check_leaf(certificate, key, err);

    return status == GK_OK
               ? check_chain(config, openssl, certificate, certificate->issuers, NULL, NULL, err)
               : status;
}

/* Take the one for this key out of a pile; of several the one that begins last. */
static X509 *take_leaf(STACK_OF(X509) * pile, EVP_PKEY *key)
{
    int found = -1;

    for (int i = 0; i < sk_X509_num(pile); i++) {
        EVP_PKEY *own = X509_get0_pubkey(sk_X509_value(pile, i));

        if (own != NULL && is_same_key(own, key) &&
            (found < 0 || ASN1_TIME_compare(X509_get0_notBefore(sk_X509_value(pile, i)),
                                            X509_get0_notBefore(sk_X509_value(pile, found))) > 0)) {
            found = i;
        }
    }
    return found >= 0 ? sk_X509_delete(pile, found) : NULL;
}

/*
 * The CA that somebody vouches for by its fingerprint becomes the only anchor: another CA of the
 * same name could stand in its way.
 */
static enum gk_status vouch(const struct agent_config *config, const char *fingerprint,
                            struct agent_roots *anchors, const STACK_OF(X509) * pile,
                            struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots all = { 0 };
    char clean[AGENT_FINGERPRINT_SIZE];
    enum gk_status status = GK_OK;
    X509 *found;

    if (!agent_fingerprint_read(fingerprint, clean)) {
        return gk_fail(err, GK_USAGE, "%.100s is no SHA-256 fingerprint", fingerprint);
    }
    for (int i = 0; status == GK_OK && i < agent_roots_count(anchors); i++) {
        status = agent_roots_add(&all, agent_roots_at(anchors, i), err);
    }
    for (int i = 0; status == GK_OK && i < sk_X509_num(pile); i++) {
        status = agent_roots_add(&all, sk_X509_value(pile, i), err);
    }
    if (status != GK_OK) {
        return status;
    }
    agent_roots_clear(anchors);
    found = agent_roots_find(&all, clean);
    if (found == NULL) {
        gk_fail(err, GK_BAD_CERTIFICATE, "no issuer that came with it has the fingerprint %s",
                clean);
        gk_advise(err, "give SHA-256 of the CA's certificate, and that certificate in the file");
        return GK_BAD_CERTIFICATE;
    }
    status = agent_root_check(found, agent_clock_now(config), err);
    return status == GK_OK ? agent_roots_add(anchors, found, err) : status;
}

/* Whose word is taken for a certificate that was carried in. */
static enum gk_status read_anchors(const struct agent_config *config, struct agent_openssl *openssl,
                                   const struct certificate_wanted *wanted,
                                   const STACK_OF(X509) * pile, struct agent_roots *anchors,
                                   struct gk_error *err)
{
    CLEANUP(agent_roots_clear) struct agent_roots issuers = { 0 };
    enum gk_status status =
        agent_roots_trusted(config, openssl, AGENT_TRUST_HUB, anchors, NULL, err);

    if (status == GK_OK) {
        status = agent_roots_read(config, openssl, GK_FILE_ISSUER_CA, &issuers, err);
    }
    for (int i = 0; status == GK_OK && i < agent_roots_count(&issuers); i++) {
        status = agent_roots_add(anchors, agent_roots_at(&issuers, i), err);
    }
    return status == GK_OK && wanted->fingerprint != NULL
               ? vouch(config, wanted->fingerprint, anchors, pile, err)
               : status;
}

/* Everything that came along, in one pile: the order says nothing. */
static enum gk_status read_pile(struct agent_openssl *openssl, const char *pem, const char *issuers,
                                STACK_OF(X509) * *pile, struct gk_error *err)
{
    CLEANUP(free_stackp) STACK_OF(X509) *all = NULL;
    CLEANUP(free_stackp) STACK_OF(X509) *more = NULL;
    enum gk_status status =
        certificate_parse_all(openssl, pem, CERTIFICATE_CHAIN_MAX, "the certificate", &all, err);

    if (status == GK_OK && issuers != NULL) {
        status = certificate_parse_all(openssl, issuers, CERTIFICATE_CHAIN_MAX, "its issuer", &more,
                                       err);
    }
    for (int i = 0; status == GK_OK && i < sk_X509_num(more); i++) {
        X509 *one = sk_X509_value(more, i);

        if (sk_X509_push(all, one) == 0) {
            return gk_fail(err, GK_NO_MEMORY, NULL);
        }
        X509_up_ref(one);
    }
    if (status == GK_OK) {
        *pile = TAKE(all);
    }
    return status;
}

static enum gk_status pick(const struct certificate_wanted *wanted, STACK_OF(X509) * pile,
                           struct certificate **certificate, struct gk_error *err)
{
    CLEANUP(free_x509p) X509 *leaf = take_leaf(pile, wanted->key);
    CLEANUP(free_stackp) STACK_OF(X509) *none = sk_X509_new_null();

    if (none == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (leaf == NULL) {
        return gk_fail(err, GK_BAD_CERTIFICATE, "none of the %d in it is for the device's key",
                       sk_X509_num(pile));
    }
    return certificate_make(&leaf, &none, certificate, err);
}

enum gk_status certificate_accept(const struct agent_config *config, struct agent_openssl *openssl,
                                  const struct certificate_wanted *wanted, const char *pem,
                                  const char *issuers, struct certificate **certificate,
                                  struct gk_error *err)
{
    CLEANUP(certificate_freep) struct certificate *c = NULL;
    CLEANUP(free_stackp) STACK_OF(X509) *pile = NULL;
    CLEANUP(agent_roots_clear) struct agent_roots anchors = { 0 };
    CLEANUP(free_stackp) STACK_OF(X509) *chain = NULL;
    enum gk_status status = read_pile(openssl, pem, issuers, &pile, err);

    if (status == GK_OK) {
        status = pick(wanted, pile, &c, err);
    }
    if (status == GK_OK) {
        status = check_leaf(c, wanted->key, err);
    }
    if (status == GK_OK && strcmp(c->subject_name, wanted->common_name) != 0) {
        status = gk_fail(err, GK_BAD_CERTIFICATE, "serial %s is for %.80s, but %s was asked for",
                         c->serial, c->subject_name, wanted->common_name);
    }
    if (status == GK_OK) {
        status = read_anchors(config, openssl, wanted, pile, &anchors, err);
    }
    if (status == GK_OK) {
        status = check_chain(config, openssl, c, anchors.all, pile, &chain, err);
    }
    if (status == GK_OK) {
        sk_X509_pop_free(c->issuers, X509_free);
        c->issuers = TAKE(chain);
        *certificate = TAKE(c);
    }
    return status;
}
