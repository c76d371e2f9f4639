/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy on the way to the hub ([hub] proxy): what it is told, and what its refusals mean.
 *
 * Threads: none of these keep state. Errors: see error.h; no password is ever put into one.
 */
#ifndef GATEKEY_AGENT_PROXY_H
#define GATEKEY_AGENT_PROXY_H

#include "agent/config.h"
#include "agent/secret.h"
#include "error.h"

#include <stddef.h>
#include <stdint.h>

enum agent_proxy_kind { AGENT_PROXY_NONE, AGENT_PROXY_SOCKS5, AGENT_PROXY_HTTP };

struct agent_proxy {
    enum agent_proxy_kind kind;
    char *host; /* without the brackets of an IPv6 address */
    uint16_t port;
    char *user; /* NULL: none */
    struct agent_secret password;
};

/*
 * As the configuration has it; proxy begins as { 0 }, and is cleared with agent_proxy_clear()
 * whatever is returned. Fails with GK_BAD_CONFIG, GK_NO_MEMORY, and as agent_secret_read_file()
 * does.
 */
enum gk_status agent_proxy_read(const struct agent_config *config, struct agent_proxy *proxy,
                                struct gk_error *err) GK_MUST_CHECK;
void agent_proxy_clear(struct agent_proxy *proxy);

/*
 * The request for a tunnel (RFC 9110, 9.3.6), with Basic authorization where there is a user; host
 * without brackets. *text is allocated, holds a secret then, and is the caller's to wipe. Fails
 * with GK_NO_MEMORY.
 */
enum gk_status agent_proxy_request(const struct agent_proxy *proxy, const char *host, uint16_t port,
                                   char **text, struct gk_error *err) GK_MUST_CHECK;

/* What an HTTP proxy answered to it, by its status line: GK_OK for 2xx, else GK_PROXY, or
 * GK_UNREACHABLE where it says that it cannot reach the hub. */
enum gk_status agent_proxy_judge(const struct agent_proxy *proxy, const char *head,
                                 const char *host, struct gk_error *err) GK_MUST_CHECK;

/*
 * Why a SOCKS5 proxy did not let us through, by the beginning of what it said last (RFC 1928,
 * RFC 1929): GK_PROXY, or GK_UNREACHABLE where it says that it cannot reach the hub; GK_OK: it did
 * not refuse.
 */
enum gk_status agent_proxy_explain_socks(const struct agent_proxy *proxy, const uint8_t *said,
                                         size_t size, const char *host, struct gk_error *err);

#endif
