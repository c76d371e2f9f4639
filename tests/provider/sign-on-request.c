/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server in small: loads keys by their URIs, as any program would, and signs when it is told to.
 *
 *     sign-on-request URI...
 *
 * Each line on stdin is an order and gets one line on stdout, "good" or what went wrong:
 *
 *     sign [N]         N signatures (1), each verified, with the first key
 *     threads T N      N signatures in each of T threads at once, which take the keys in turn
 *     fork [N]         N signatures in a child
 *     become ID [ID]   give up all groups and root for this user, in this group alone (the same ID)
 *     free             free the keys, and load them again
 */
#include <grp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64
#define KEYS_MAX 16
#define SAID_SIZE 1024

static char **uris;
static int key_count;
static EVP_PKEY *keys[KEYS_MAX];

static EVP_PKEY *load(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    EVP_PKEY *loaded = NULL;

    while (store != NULL && loaded == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);

        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            loaded = OSSL_STORE_INFO_get1_PKEY(info);
        }
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return loaded;
}

/* Fill said with what this thread's error queue holds; false. */
static bool complain(char said[SAID_SIZE])
{
    const char *data = NULL;
    unsigned long code;
    int flags = 0;
    size_t used = 0;

    said[0] = '\0';
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0 && used < SAID_SIZE) {
        used +=
            (size_t)snprintf(said + used, SAID_SIZE - used, "%s%s", used > 0 ? " | " : "",
                             (flags & ERR_TXT_STRING) != 0 ? data : ERR_reason_error_string(code));
    }
    if (said[0] == '\0') {
        snprintf(said, SAID_SIZE, "failed without a word");
    }
    return false;
}

static bool load_all(char said[SAID_SIZE])
{
    for (int i = 0; i < key_count; i++) {
        EVP_PKEY_free(keys[i]);
        keys[i] = load(uris[i]);
        if (keys[i] == NULL) {
            return complain(said);
        }
    }
    return true;
}

static bool sign(EVP_PKEY *key, int number, char said[SAID_SIZE])
{
    static const uint8_t message[] = "a message";
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    EVP_MD_CTX *checking = EVP_MD_CTX_new();
    uint8_t signature[256];
    bool is_good = true;

    for (int i = 0; i < number && is_good; i++) {
        size_t size = sizeof(signature);

        is_good = EVP_DigestSignInit(signing, NULL, EVP_sha256(), NULL, key) == 1 &&
                  EVP_DigestSign(signing, signature, &size, message, sizeof(message)) == 1 &&
                  EVP_DigestVerifyInit(checking, NULL, EVP_sha256(), NULL, key) == 1 &&
                  EVP_DigestVerify(checking, signature, size, message, sizeof(message)) == 1 &&
                  ERR_peek_error() == 0;
        EVP_MD_CTX_reset(signing);
        EVP_MD_CTX_reset(checking);
    }
    EVP_MD_CTX_free(signing);
    EVP_MD_CTX_free(checking);
    return is_good || complain(said);
}

struct thread {
    pthread_t id;
    EVP_PKEY *key;
    int number;
    bool is_good;
    char said[SAID_SIZE];
};

static void *sign_in_thread(void *context)
{
    struct thread *thread = context;

    thread->is_good = sign(thread->key, thread->number, thread->said);
    return NULL;
}

static bool sign_in_threads(int count, int number, char said[SAID_SIZE])
{
    static struct thread threads[THREADS_MAX];
    bool is_good = count <= THREADS_MAX;

    for (int i = 0; i < count && is_good; i++) {
        threads[i] = (struct thread){ .key = keys[i % key_count], .number = number };
        if (pthread_create(&threads[i].id, NULL, sign_in_thread, &threads[i]) != 0) {
            exit(1);
        }
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        if (!threads[i].is_good) {
            is_good = false;
            memcpy(said, threads[i].said, SAID_SIZE);
        }
    }
    return is_good;
}

static bool sign_in_child(int number, char said[SAID_SIZE])
{
    int line[2], status = 0;
    ssize_t size;
    pid_t child;

    if (pipe(line) != 0 || (child = fork()) < 0) {
        exit(1);
    }
    if (child == 0) {
        bool is_good = sign(keys[0], number, said);

        size = is_good ? 0 : write(line[1], said, strlen(said));
        EVP_PKEY_free(keys[0]);
        exit(is_good ? 0 : 1);
    }
    close(line[1]);
    size = read(line[0], said, SAID_SIZE - 1);
    said[size > 0 ? size : 0] = '\0';
    close(line[0]);
    return waitpid(child, &status, 0) == child && status == 0;
}

static bool become(int user, int group, char said[SAID_SIZE])
{
    gid_t only = (gid_t)group;

    if (setgroups(1, &only) != 0 || setgid((gid_t)group) != 0 || setuid((uid_t)user) != 0) {
        snprintf(said, SAID_SIZE, "cannot become %d:%d", user, group);
        return false;
    }
    return true;
}

static bool obey(const char *order, char said[SAID_SIZE])
{
    char verb[16] = "";
    int first = 1, second = -1;

    sscanf(order, "%15s %d %d", verb, &first, &second);
    if (strcmp(verb, "sign") == 0) {
        return sign(keys[0], first, said);
    }
    if (strcmp(verb, "threads") == 0) {
        return sign_in_threads(first, second, said);
    }
    if (strcmp(verb, "fork") == 0) {
        return sign_in_child(first, said);
    }
    if (strcmp(verb, "become") == 0) {
        return become(first, second >= 0 ? second : first, said);
    }
    if (strcmp(verb, "free") == 0) {
        return load_all(said);
    }
    snprintf(said, SAID_SIZE, "no such order: %s", verb);
    return false;
}

int main(int argc, char *argv[])
{
    char order[64], said[SAID_SIZE] = "";

    if (argc < 2 || argc - 1 > KEYS_MAX) {
        return 2;
    }
    uris = argv + 1;
    key_count = argc - 1;
    if (!load_all(said)) {
        puts(said);
        return 1;
    }
    while (fgets(order, sizeof(order), stdin) != NULL) {
        puts(obey(order, said) ? "good" : said);
        fflush(stdout);
    }
    for (int i = 0; i < key_count; i++) {
        EVP_PKEY_free(keys[i]);
    }
    return 0;
}
