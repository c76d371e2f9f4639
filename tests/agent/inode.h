/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file on a disk whose power may fail: what it holds, and what of that is on the disk by then.
 * disk.h says what is lost.
 */
#ifndef GATEKEY_TESTS_AGENT_INODE_H
#define GATEKEY_TESTS_AGENT_INODE_H

#include <stddef.h>
#include <stdint.h>

struct content {
    unsigned char *bytes;
    size_t size;
};

struct inode {
    struct content now, disk;
    struct change *changes; /* since the last sync */
    size_t count, room;
    struct inode *next; /* the owner's */
};

void inode_write(struct inode *inode, size_t offset, const void *data, size_t size);
void inode_truncate(struct inode *inode, size_t size);
void inode_sync(struct inode *inode);
/* The power fails: now is then what the disk holds. */
void inode_lose(struct inode *inode);
void inode_free(struct inode *inode);

/* What chance decides from now on, and a number below limit. */
void inode_chance_from(uint64_t seed);
unsigned inode_chance(unsigned limit);

#endif
