/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells whether anybody is at the other end of a link that is up.
 *
 * libmosquitto sends a ping after one keepalive of silence, and gives up after another. It counts
 * by a clock that stands still while the machine is suspended (2.0.11), so it is late afterwards by
 * as long as that took; and a second keepalive is long for an answer that takes a moment. So when a
 * ping is due by the time since boot and libmosquitto sends none, we do, and whether it is answered
 * in time is judged here.
 */
#include "agent/link-internal.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/ioctl.h>

#define GRACE_MS 20000 /* for an answer to a ping; gatekeyd(8) names it */

void agent_link_heard(struct agent_link *link)
{
    link->received_s = agent_link_now_ms() / 1000;
    link->asked_ms = 0;
}

/* libmosquitto counts whole seconds, and is let go first. */
static int64_t ping_due_ms(const struct agent_link *link)
{
    int64_t last_s = link->sent_s < link->received_s ? link->sent_s : link->received_s;

    return (last_s + (int64_t)link->config->keepalive_s + 1) * 1000;
}

int64_t agent_link_pulse_due(const struct agent_link *link)
{
    return link->asked_ms != 0 ? link->asked_ms + GRACE_MS : ping_due_ms(link);
}

static bool is_ready(const struct agent_link *link, short event)
{
    struct pollfd poller = { mosquitto_socket(link->mosquitto), event, 0 };

    return poll(&poller, 1, 0) > 0;
}

/*
 * A PINGREQ (MQTT 3.1.1, 3.12), past libmosquitto, which takes the answer for that to one of its
 * own. Where something waits to be written, that will be acknowledged or not, and where the socket
 * has no room, OpenSSL would insist on being called again with these very bytes.
 */
static void ping(struct agent_link *link)
{
    static const uint8_t request[] = { 0xc0, 0 };
    SSL *ssl = mosquitto_ssl_get(link->mosquitto);

    if (ssl != NULL && !mosquitto_want_write(link->mosquitto) && is_ready(link, POLLOUT)) {
        (void)SSL_write(ssl, request, sizeof(request)); /* what goes wrong, the next read tells */
        ERR_clear_error();
    }
}

/* How much of what we sent the other end has, and whether that is all. */
static bool count_acknowledged(const struct agent_link *link, uint64_t *bytes)
{
    int fd =
        link->tunnel != NULL ? agent_tunnel_far(link->tunnel) : mosquitto_socket(link->mosquitto);
    struct tcp_info info = { 0 };
    socklen_t size = sizeof(info);
    int left = 0;

    if (ioctl(fd, SIOCOUTQ, &left) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
        return true;
    }
    *bytes = info.tcpi_bytes_acked;
    return left == 0;
}

/* More and more of what we sent is taken: a slow link with much to send has no time for answers.
 * libmosquitto bears that for one keepalive more. */
static bool is_making_way(struct agent_link *link)
{
    uint64_t before = link->acknowledged_bytes;

    return !count_acknowledged(link, &link->acknowledged_bytes) &&
           link->acknowledged_bytes > before;
}

static void ask(struct agent_link *link, bool has_pinged)
{
    if (!has_pinged) {
        ping(link);
    }
    agent_tls_finished(link->tls); /* of answers to pings nobody is told */
    (void)count_acknowledged(link, &link->acknowledged_bytes);
    link->asked_ms = agent_link_now_ms();
    link->sent_s = link->received_s = link->asked_ms / 1000;
}

int agent_link_keep_alive(struct agent_link *link)
{
    bool was_idle = !mosquitto_want_write(link->mosquitto);
    int code = mosquitto_loop_misc(link->mosquitto);
    bool has_pinged = was_idle && mosquitto_want_write(link->mosquitto);
    int64_t now = agent_link_now_ms();

    if (code != MOSQ_ERR_SUCCESS || link->phase != UP) {
        return code;
    }
    if (link->asked_ms == 0 && (has_pinged || now >= ping_due_ms(link))) {
        ask(link, has_pinged);
    } else if (link->asked_ms != 0 && now - link->asked_ms >= GRACE_MS) {
        if (!is_ready(link, POLLIN) && !is_making_way(link)) {
            return MOSQ_ERR_KEEPALIVE;
        }
        link->asked_ms = now;
    }
    return MOSQ_ERR_SUCCESS;
}
