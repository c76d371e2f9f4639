/* SPDX-License-Identifier: Apache-2.0 */
/* Reads [hub] proxy, and puts the refusals of proxies into words. */
#include "agent/proxy.h"

#include "cleanup.h"

#include <openssl/evp.h>

static const char scheme_socks5[] = "socks5://";
static const char scheme_http[] = "http://";

/* "[USER@]HOST:PORT", as agent_value_proxy() has checked it. */
static bool take_apart(const char *text, struct agent_proxy *proxy)
{
    const char *at = strrchr(text, '@');
    const char *host = at != NULL ? at + 1 : text;
    const char *colon = strrchr(host, ':');
    size_t size = colon != NULL ? (size_t)(colon - host) : 0;

    if (size == 0) {
        return false;
    }
    proxy->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    if (host[0] == '[' && host[size - 1] == ']' && size > 2) {
        host++;
        size -= 2;
    }
    proxy->host = strndup(host, size);
    proxy->user = at != NULL ? strndup(text, (size_t)(at - text)) : NULL;
    return true;
}

enum gk_status agent_proxy_read(const struct agent_config *config, struct agent_proxy *proxy,
                                struct gk_error *err)
{
    const char *text = config->proxy;
    bool socks;

    if (text == NULL) {
        return GK_OK;
    }
    socks = strncmp(text, scheme_socks5, sizeof(scheme_socks5) - 1) == 0;
    text += socks ? sizeof(scheme_socks5) - 1 : sizeof(scheme_http) - 1;
    proxy->kind = socks ? AGENT_PROXY_SOCKS5 : AGENT_PROXY_HTTP;
    if (!take_apart(text, proxy)) {
        return gk_fail(err, GK_BAD_CONFIG, "[hub] proxy");
    }
    if (proxy->host == NULL || (proxy->user == NULL && strchr(text, '@') != NULL)) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return proxy->user != NULL && config->proxy_password_file != NULL
               ? agent_secret_read_file(config->proxy_password_file, &proxy->password, err)
               : GK_OK;
}

void agent_proxy_clear(struct agent_proxy *proxy)
{
    free(proxy->host);
    free(proxy->user);
    agent_secret_clear(&proxy->password);
    *proxy = (struct agent_proxy){ 0 };
}

/* --- HTTP ------------------------------------------------------------------------------------ */

static void wipe(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
    }
}

/* "Basic" and base64 of "user:password" (RFC 7617). */
static char *authorize(const struct agent_proxy *proxy)
{
    CLEANUP(wipe) char *plain = NULL;
    char *coded;
    int size = asprintf(&plain, "%s:%s", proxy->user, proxy->password.text);

    if (size < 0) {
        plain = NULL;
        return NULL;
    }
    coded = malloc((size_t)(size + 2) / 3 * 4 + 1);
    if (coded != NULL) {
        EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, size);
    }
    return coded;
}

enum gk_status agent_proxy_request(const struct agent_proxy *proxy, const char *host, uint16_t port,
                                   char **text, struct gk_error *err)
{
    CLEANUP(wipe) char *coded = proxy->user != NULL ? authorize(proxy) : NULL;
    bool is_ipv6 = strchr(host, ':') != NULL;
    CLEANUP(gk_freep) char *target = NULL;

    if ((proxy->user != NULL && coded == NULL) ||
        asprintf(&target, is_ipv6 ? "[%s]:%u" : "%s:%u", host, port) < 0) {
        target = NULL;
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    if (asprintf(text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", target, target,
                 coded != NULL ? "Proxy-Authorization: Basic " : "", coded != NULL ? coded : "",
                 coded != NULL ? "\r\n" : "") < 0) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    return GK_OK;
}

static enum gk_status refuse(const struct agent_proxy *proxy, enum gk_status status,
                             const char *host, const char *why, const char *code, int number,
                             struct gk_error *err)
{
    gk_fail(err, status, "proxy %s port %u: %s, %s %d", proxy->host, proxy->port, why, code,
            number);
    if (status == GK_UNREACHABLE) {
        gk_advise(err, "check [hub] host, and what the proxy knows of %s", host);
    }
    return status;
}

enum gk_status agent_proxy_judge(const struct agent_proxy *proxy, const char *head,
                                 const char *host, struct gk_error *err)
{
    unsigned minor = 0, code = 0;

    if (sscanf(head, "HTTP/1.%1u %3u", &minor, &code) != 2) {
        return gk_fail(err, GK_PROXY, "proxy %s port %u: what it says is no HTTP", proxy->host,
                       proxy->port);
    }
    if (code >= 200 && code < 300) {
        return GK_OK;
    }
    switch (code) {
    case 407:
        return refuse(proxy, GK_PROXY, host,
                      proxy->user != NULL ? "it refuses this user and password"
                                          : "it wants a user and a password",
                      "HTTP", (int)code, err);
    case 403:
        return refuse(proxy, GK_PROXY, host, "it forbids this host or port", "HTTP", (int)code,
                      err);
    case 502:
    case 503:
    case 504:
        return refuse(proxy, GK_UNREACHABLE, host, "it cannot reach the hub", "HTTP", (int)code,
                      err);
    default:
        return refuse(proxy, GK_PROXY, host, "it makes no tunnel", "HTTP", (int)code, err);
    }
}

/* --- SOCKS5 ---------------------------------------------------------------------------------- */

/* Of the reply to the request; the reply to the greeting has two bytes. */
static enum gk_status explain_reply(const struct agent_proxy *proxy, uint8_t code, const char *host,
                                    struct gk_error *err)
{
    static const char *const words[] = { NULL,
                                         "it has failed",
                                         "it forbids this host or port",
                                         "it does not reach the hub's network",
                                         "it does not reach the hub",
                                         "the hub refused its connection",
                                         "the hub did not answer it",
                                         "it makes no tunnel",
                                         "it does not know this kind of address" };
    bool hub = code == 1 || (code >= 3 && code <= 6);

    return code == 0 ? GK_OK
                     : refuse(proxy, hub ? GK_UNREACHABLE : GK_PROXY, host,
                              code < sizeof(words) / sizeof(words[0]) ? words[code] : "it refused",
                              "SOCKS5", code, err);
}

enum gk_status agent_proxy_explain_socks(const struct agent_proxy *proxy, const uint8_t *said,
                                         size_t size, const char *host, struct gk_error *err)
{
    if (size >= 2 && said[0] == 1) {
        return said[1] == 0 ? GK_OK
                            : refuse(proxy, GK_PROXY, host, "it refuses this user and password",
                                     "SOCKS5", said[1], err);
    }
    if (size >= 1 && said[0] != 5) {
        return gk_fail(err, GK_PROXY, "proxy %s port %u: what it says is no SOCKS5", proxy->host,
                       proxy->port);
    }
    if (size == 2 && said[1] != 0 && said[1] != 2) {
        return refuse(proxy, GK_PROXY, host,
                      proxy->user != NULL ? "it takes no password"
                                          : "it wants a user and a password",
                      "SOCKS5", said[1], err);
    }
    return size > 2 ? explain_reply(proxy, said[1], host, err) : GK_OK;
}
