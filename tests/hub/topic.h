/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a topic is. A device has two trees of its own, and nothing outside them. */
#ifndef GATEKEY_HUB_TOPIC_H
#define GATEKEY_HUB_TOPIC_H

enum hub_tree {
    HUB_TREE_NONE, /* not this device's */
    HUB_TREE_SYS,  /* /sys/PK/DK/ */
    HUB_TREE_EXT,  /* /ext/session/PK/DK/ */
};

/*
 * The tree of this device a topic or a subscription's filter lies in, and what follows (untouched
 * for HUB_TREE_NONE). A filter must spell the whole tree out: no wildcard may stand for a key.
 */
enum hub_tree hub_topic_tree(const char *topic, const char *product_key, const char *device_key,
                             const char **rest);

#endif
