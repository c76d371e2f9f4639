/* SPDX-License-Identifier: Apache-2.0 */
/* A file on a disk whose power may fail. */
#include "tests/agent/inode.h"

#include "cleanup.h"

#include <assert.h>

#define SECTOR 512

/* A write, or with data NULL a truncation to offset, since the last sync. */
struct change {
    size_t offset, size;
    unsigned char *data;
};

static uint64_t chance = 1;

void inode_chance_from(uint64_t seed)
{
    chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

unsigned inode_chance(unsigned limit)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)((chance >> 11) % limit);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void resize(struct content *content, size_t size)
{
    if (size > content->size) {
        content->bytes = realloc(content->bytes, size);
        assert(content->bytes != NULL);
        memset(content->bytes + content->size, 0, size - content->size);
    }
    content->size = size;
}

static void put(struct content *content, size_t offset, const unsigned char *data, size_t size)
{
    if (offset + size > content->size) {
        resize(content, offset + size);
    }
    if (size > 0) {
        memcpy(content->bytes + offset, data, size);
    }
}

static void copy(struct content *to, const struct content *from)
{
    resize(to, from->size);
    if (from->size > 0) {
        memcpy(to->bytes, from->bytes, from->size);
    }
}

static void forget_changes(struct inode *inode)
{
    for (size_t i = 0; i < inode->count; i++) {
        free(inode->changes[i].data);
    }
    free(inode->changes);
    inode->changes = NULL;
    inode->count = inode->room = 0;
}

static void note(struct inode *inode, size_t offset, const void *data, size_t size)
{
    struct change change = { .offset = offset, .size = size };

    if (data != NULL) {
        change.data = memcpy(malloc(size), data, size);
    }
    if (inode->count == inode->room) {
        inode->room = 2 * inode->room + 16;
        inode->changes = reallocarray(inode->changes, inode->room, sizeof(*inode->changes));
        assert(inode->changes != NULL);
    }
    inode->changes[inode->count++] = change;
}

void inode_write(struct inode *inode, size_t offset, const void *data, size_t size)
{
    note(inode, offset, data, size);
    put(&inode->now, offset, data, size);
}

void inode_truncate(struct inode *inode, size_t size)
{
    note(inode, size, NULL, 0);
    resize(&inode->now, size);
}

void inode_sync(struct inode *inode)
{
    copy(&inode->disk, &inode->now);
    forget_changes(inode);
}

void inode_free(struct inode *inode)
{
    forget_changes(inode);
    free(inode->now.bytes);
    free(inode->disk.bytes);
    free(inode);
}

/* --- power ------------------------------------------------------------------------------------ */

/* Sector by sector, some of them. */
static void put_torn(struct content *content, const struct change *change)
{
    size_t done = 0;

    while (done < change->size) {
        size_t at = change->offset + done, size = SECTOR - at % SECTOR;

        size = size < change->size - done ? size : change->size - done;
        if (inode_chance(2) == 0) {
            put(content, at, change->data + done, size);
        }
        done += size;
    }
}

/* How much of what was not synced survives: nothing, all, what came first, or any of it. */
void inode_lose(struct inode *inode)
{
    unsigned how = inode_chance(4);
    size_t first = how == 2 ? inode_chance((unsigned)inode->count + 1) : inode->count;

    for (size_t i = 0; how != 0 && i < first; i++) {
        const struct change *change = &inode->changes[i];

        if (how == 3 && inode_chance(2) == 0) {
            continue;
        }
        if (change->data == NULL) {
            resize(&inode->disk, change->offset);
        } else if (how == 3) {
            size_t before = inode->disk.size;

            put_torn(&inode->disk, change);
            /* What lies between was never written. */
            for (size_t at = before; at < change->offset && at < inode->disk.size; at++) {
                inode->disk.bytes[at] = (unsigned char)inode_chance(256);
            }
        } else {
            put(&inode->disk, change->offset, change->data, change->size);
        }
    }
    copy(&inode->now, &inode->disk);
    forget_changes(inode);
}
