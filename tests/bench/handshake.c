/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full TLS 1.3 handshakes with certificates on both sides, in memory: the client's key is the one
 * in question, the server's is a software key. Neither side keeps a session.
 */
#include "tests/bench/worker.h"

#include <openssl/ssl.h>
#include <stdlib.h>

struct handshake {
    SSL_CTX *client;
    SSL_CTX *server;
};

static SSL_CTX *side(const SSL_METHOD *method, const char *certificate, const char *key,
                     const char *peers_ca)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    EVP_PKEY *private = load_key(key);

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, private) != 1 ||
        SSL_CTX_load_verify_locations(ctx, peers_ca, NULL) != 1) {
        give_up("set up TLS");
    }
    EVP_PKEY_free(private);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    return ctx;
}

static void *handshake_open(char **arguments)
{
    struct handshake *handshake = calloc(1, sizeof(*handshake));

    if (handshake == NULL) {
        give_up("begin");
    }
    handshake->client = side(TLS_client_method(), arguments[0], arguments[1], arguments[2]);
    handshake->server = side(TLS_server_method(), arguments[3], arguments[4], arguments[5]);
    return handshake;
}

static void must_go_on(SSL *ssl)
{
    int done = SSL_do_handshake(ssl);
    int error = SSL_get_error(ssl, done);

    if (done != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        give_up("shake hands");
    }
}

static void shake_hands(const struct handshake *handshake)
{
    SSL *client = SSL_new(handshake->client);
    SSL *server = SSL_new(handshake->server);
    BIO *to_server;
    BIO *to_client;

    if (client == NULL || server == NULL || BIO_new_bio_pair(&to_server, 0, &to_client, 0) != 1) {
        give_up("connect in memory");
    }
    SSL_set_bio(client, to_server, to_server);
    SSL_set_bio(server, to_client, to_client);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    while (!SSL_is_init_finished(client) || !SSL_is_init_finished(server)) {
        must_go_on(client);
        must_go_on(server);
    }
    SSL_free(client);
    SSL_free(server);
}

static void handshake_run(void *state, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        shake_hands(state);
    }
}

static void handshake_close(void *state)
{
    struct handshake *handshake = state;

    SSL_CTX_free(handshake->client);
    SSL_CTX_free(handshake->server);
    free(handshake);
}

const struct subject subject_handshake = {
    "handshake",
    "CERTIFICATE KEY SERVER-CA SERVER-CERTIFICATE SERVER-KEY CA",
    6,
    handshake_open,
    handshake_run,
    handshake_close,
};
