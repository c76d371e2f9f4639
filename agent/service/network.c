/* SPDX-License-Identifier: Apache-2.0 */
/* Listens to what the kernel says of links, addresses and routes (rtnetlink(7)). */
#include "agent/service/network.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/socket.h>

#define SETTLE_US ((uint64_t)2000000) /* and up to as much again, at random */

struct network {
    sd_event *event;
    void (*back)(void *context);
    void *context;
    sd_event_source *io_source, *settle_source;
    bool is_settling;
};

static int on_settled(sd_event_source *source, uint64_t time, void *context)
{
    struct network *network = context;

    (void)source;
    (void)time;
    network->is_settling = false;
    network->back(network->context);
    return 0;
}

static void settle(struct network *network)
{
    uint16_t jitter = UINT16_MAX / 2;
    uint64_t delay_us;

    if (network->is_settling) {
        return;
    }
    (void)!getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK);
    delay_us = SETTLE_US + SETTLE_US * jitter / UINT16_MAX;
    network->is_settling = true;
    if (network->settle_source == NULL) {
        sd_event_add_time_relative(network->event, &network->settle_source, CLOCK_BOOTTIME,
                                   delay_us, 0, on_settled, network);
    } else {
        sd_event_source_set_time_relative(network->settle_source, delay_us);
        sd_event_source_set_enabled(network->settle_source, SD_EVENT_ONESHOT);
    }
}

/* That something went away helps nobody. */
static bool is_good_news(const struct nlmsghdr *header)
{
    const struct ifinfomsg *link = NLMSG_DATA(header);

    switch (header->nlmsg_type) {
    case RTM_NEWADDR:
    case RTM_NEWROUTE:
        return true;
    case RTM_NEWLINK:
        return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*link)) &&
               (link->ifi_flags & IFF_RUNNING) != 0;
    default:
        return false;
    }
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *context)
{
    _Alignas(struct nlmsghdr) char buffer[8192];
    struct network *network = context;
    ssize_t size;

    (void)source;
    (void)events;
    while ((size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
        unsigned left = (unsigned)size;

        for (const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
             NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
            if (is_good_news(header)) {
                settle(network);
            }
        }
    }
    if (size < 0 && errno == ENOBUFS) {
        settle(network); /* more was said than there was room for */
    }
    return 0;
}

static int listen_to_kernel(struct network *network)
{
    const struct sockaddr_nl address = { .nl_family = AF_NETLINK,
                                         .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                                      RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                                      RTMGRP_IPV6_ROUTE };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    int code;

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        code = -errno;
    } else {
        code = sd_event_add_io(network->event, &network->io_source, fd, EPOLLIN, on_news, network);
    }
    if (code < 0) {
        gk_closep(&fd);
        return code;
    }
    return sd_event_source_set_io_fd_own(network->io_source, true);
}

enum gk_status network_new(sd_event *event, void (*back)(void *context), void *context,
                           struct network **network, struct gk_error *err)
{
    CLEANUP(network_freep) struct network *made = calloc(1, sizeof(*made));
    int code;

    if (made == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    made->event = event;
    made->back = back;
    made->context = context;
    code = listen_to_kernel(made);
    if (code < 0) {
        return gk_fail(err, GK_INTERNAL, "netlink: %s", strerror(-code));
    }
    *network = TAKE(made);
    return GK_OK;
}

void network_free(struct network *network)
{
    if (network != NULL) {
        sd_event_source_disable_unref(network->io_source);
        sd_event_source_disable_unref(network->settle_source);
        free(network);
    }
}
