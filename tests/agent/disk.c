/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory, as SQLite's default, whose power can be cut (tests/agent/disk.h). */
#include "tests/agent/disk.h"

#include "tests/agent/inode.h"

#include "cleanup.h"

#include <assert.h>
#include <sqlite3.h>

#define NAMES 16

static struct inode *inodes;

/* What a name stands for, now and on the disk. */
static struct {
    char name[64];
    struct inode *now, *disk;
} names[NAMES];

static struct {
    uint64_t limit;
    unsigned left; /* operations until the power fails; 0: it does not */
    bool dead, lies;
} disk;

struct disk_counters disk_counters;

struct open_file {
    sqlite3_file base;
    struct inode *inode;
    bool syncs_directory; /* as SQLite has it on Unix: of a log or journal that was made */
};

/* --- power ------------------------------------------------------------------------------------ */

unsigned disk_chance(unsigned limit)
{
    return inode_chance(limit);
}

/* True when the power fails with this operation, which may have been done in part. */
static bool fails(void)
{
    if (disk.left > 0 && --disk.left == 0) {
        disk.dead = true;
    }
    return disk.dead;
}

void disk_cut_after(unsigned operations)
{
    disk.left = operations;
}

bool disk_is_dead(void)
{
    return disk.dead;
}

void disk_power_on(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].now != names[i].disk && disk_chance(2) == 0) {
            names[i].disk = names[i].now;
        }
        names[i].now = names[i].disk;
        if (names[i].now != NULL) {
            inode_lose(names[i].now);
        }
    }
    disk.dead = false;
    disk.left = 0;
}

void disk_format(uint64_t seed)
{
    while (inodes != NULL) {
        struct inode *inode = inodes;

        inodes = inode->next;
        inode_free(inode);
    }
    memset(names, 0, sizeof(names));
    memset(&disk, 0, sizeof(disk));
    inode_chance_from(seed);
    disk_count_anew();
}

void disk_lie(bool lies)
{
    disk.lies = lies;
}

void disk_limit(uint64_t bytes)
{
    disk.limit = bytes;
}

void disk_count_anew(void)
{
    disk_counters = (struct disk_counters){ 0 };
}

/* --- directory -------------------------------------------------------------------------------- */

static size_t slot_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t free_slot = NAMES;

    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return i;
        }
        if (names[i].name[0] == '\0' && free_slot == NAMES) {
            free_slot = i;
        }
    }
    assert(free_slot < NAMES);
    snprintf(names[free_slot].name, sizeof(names[free_slot].name), "%s", name);
    return free_slot;
}

static void sync_directory(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        names[i].disk = names[i].now;
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static int on_close(sqlite3_file *file)
{
    (void)file;
    return SQLITE_OK;
}

static int on_read(sqlite3_file *file, void *buffer, int amount, sqlite3_int64 offset)
{
    const struct content *now = &((struct open_file *)file)->inode->now;
    size_t at = (size_t)offset, wanted = (size_t)amount;
    size_t there = at >= now->size ? 0 : now->size - at < wanted ? now->size - at : wanted;

    if (disk.dead) {
        return SQLITE_IOERR_READ;
    }
    if (there > 0) {
        memcpy(buffer, now->bytes + at, there);
    }
    memset((char *)buffer + there, 0, wanted - there);
    return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static uint64_t used(void)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < NAMES; i++) {
        bytes += names[i].now != NULL ? names[i].now->now.size : 0;
    }
    return bytes;
}

static int on_write(sqlite3_file *file, const void *buffer, int amount, sqlite3_int64 offset)
{
    struct inode *inode = ((struct open_file *)file)->inode;
    size_t end = (size_t)offset + (size_t)amount;

    if (disk.dead) {
        return SQLITE_IOERR_WRITE;
    }
    if (disk.limit > 0 && end > inode->now.size && used() + end - inode->now.size > disk.limit) {
        return SQLITE_FULL;
    }
    inode_write(inode, (size_t)offset, buffer, (size_t)amount);
    disk_counters.writes++;
    disk_counters.bytes += (uint64_t)amount;
    return fails() ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct inode *inode = ((struct open_file *)file)->inode;

    if (disk.dead) {
        return SQLITE_IOERR_TRUNCATE;
    }
    inode_truncate(inode, (size_t)size);
    return fails() ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int on_sync(sqlite3_file *file, int flags)
{
    struct open_file *open = (struct open_file *)file;

    (void)flags;
    if (disk.dead || fails()) {
        return SQLITE_IOERR_FSYNC;
    }
    disk_counters.syncs++;
    if (disk.lies) {
        return SQLITE_OK;
    }
    inode_sync(open->inode);
    if (open->syncs_directory) {
        sync_directory();
        open->syncs_directory = false;
    }
    return SQLITE_OK;
}

static int on_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)((struct open_file *)file)->inode->now.size;
    return disk.dead ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int on_lock(sqlite3_file *file, int lock)
{
    (void)file, (void)lock;
    return SQLITE_OK;
}

static int on_check_lock(sqlite3_file *file, int *taken)
{
    (void)file;
    *taken = 0;
    return SQLITE_OK;
}

static int on_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file, (void)operation, (void)argument;
    return SQLITE_NOTFOUND;
}

static int on_sector_size(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int on_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as SQLite has it on Unix */
}

/* Version 1: there is no shared memory, and none must be asked for. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_file_size,
    .xLock = on_lock,
    .xUnlock = on_lock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
};

/* --- the whole -------------------------------------------------------------------------------- */

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *got)
{
    struct open_file *open = (struct open_file *)file;
    const int logs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    size_t slot = slot_of(path != NULL ? path : "temporary");
    /* The spool makes its file before it opens it. */
    bool makes = (flags & (SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)) != 0;

    (void)vfs;
    memset(open, 0, sizeof(*open));
    if (disk.dead || (names[slot].now == NULL && (!makes || fails()))) {
        return SQLITE_CANTOPEN;
    }
    if (names[slot].now == NULL) {
        names[slot].now = calloc(1, sizeof(struct inode));
        assert(names[slot].now != NULL);
        names[slot].now->next = inodes;
        inodes = names[slot].now;
        open->syncs_directory = (flags & logs) != 0;
    }
    open->inode = names[slot].now;
    open->base.pMethods = &methods;
    if (got != NULL) {
        *got = flags;
    }
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    size_t slot = slot_of(path);

    (void)vfs;
    if (disk.dead) {
        return SQLITE_IOERR_DELETE;
    }
    if (names[slot].now == NULL) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    names[slot].now = NULL;
    if (fails()) {
        return SQLITE_IOERR_DELETE;
    }
    if (sync && !disk.lies) {
        sync_directory();
    }
    return SQLITE_OK;
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    size_t slot = slot_of(path);

    (void)vfs, (void)flags;
    *result =
        names[slot].now != NULL && (flags != SQLITE_ACCESS_EXISTS || names[slot].now->now.size > 0);
    return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int size, char *full)
{
    (void)vfs;
    snprintf(full, (size_t)size, "%s", path);
    return SQLITE_OK;
}

static int on_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
    (void)vfs;
    for (int i = 0; i < size; i++) {
        bytes[i] = (char)disk_chance(256);
    }
    return size;
}

static int on_time(sqlite3_vfs *vfs, double *days)
{
    (void)vfs;
    *days = 2461368.5;
    return SQLITE_OK;
}

void disk_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .szOsFile = sizeof(struct open_file),
        .mxPathname = 512,
        .zName = "disk",
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_randomness,
        .xCurrentTime = on_time,
    };

    sqlite3_vfs_register(&vfs, 1);
}
