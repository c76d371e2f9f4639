/* SPDX-License-Identifier: Apache-2.0 */
/* A record of what was done to a spool's files, and what a power cut would leave of them. */
#include "tests/agent/record.h"

#include "tests/agent/inode.h"

#include "cleanup.h"

#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#define EXPORTED __attribute__((visibility("default")))
#define PREFIX "spool.db"
#define NAMES 24
#define NAME_SIZE 64

enum deed { WRITE, TRUNCATE, SYNC, SYNC_DIRECTORY, MOVE, DELETE };

struct operation {
    enum deed deed;
    char name[NAME_SIZE], to[NAME_SIZE];
    size_t offset, size;
    unsigned char *data;
};

struct image {
    char name[NAME_SIZE];
    unsigned char *bytes;
    size_t size;
};

struct record {
    struct image before[NAMES];
    struct operation *operations;
    size_t count, room;
};

static struct record *present;
static uint64_t limit_new;

/* --- what is done ----------------------------------------------------------------------------- */

static struct operation *add(enum deed deed, const char *name)
{
    struct operation *operation;

    if (present->count == present->room) {
        present->room = 2 * present->room + 256;
        present->operations =
            reallocarray(present->operations, present->room, sizeof(*present->operations));
        assert(present->operations != NULL);
    }
    operation = &present->operations[present->count++];
    *operation = (struct operation){ .deed = deed };
    snprintf(operation->name, sizeof(operation->name), "%s", name);
    return operation;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool is_ours(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && strlen(name) < NAME_SIZE;
}

/* The name of a spool's file, "." of a directory, or NULL. */
static const char *name_of(int fd, char path[static PATH_MAX])
{
    struct stat found;
    char link[64];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX - 1);
    if (length < 0 || fstat(fd, &found) != 0) {
        return NULL;
    }
    path[length] = '\0';
    if (S_ISDIR(found.st_mode)) {
        return ".";
    }
    return is_ours(base_of(path)) && strchr(base_of(path), ' ') == NULL ? base_of(path) : NULL;
}

static void *next(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    assert(symbol != NULL);
    return symbol;
}

#define REAL(name, type)                  \
    type *real = NULL;                    \
    void *symbol = next(name);            \
    memcpy(&real, &symbol, sizeof(real)); \
    char path[PATH_MAX];

typedef ssize_t write_function(int, const void *, size_t, off_t);
typedef int truncate_function(int, off_t);
typedef int rename_function(int, const char *, int, const char *);
typedef int delete_function(const char *);
typedef int delete_at_function(int, const char *, int);

static ssize_t on_write(const char *function, int fd, const void *bytes, size_t size, off_t offset)
{
    REAL(function, write_function)
    const char *name = name_of(fd, path);
    bool is_new = name != NULL && strcmp(name, PREFIX ".new") == 0;
    ssize_t done;

    if (is_new && limit_new != 0 && (uint64_t)offset + size > limit_new) {
        errno = ENOSPC;
        return -1;
    }
    done = real(fd, bytes, size, offset);
    if (done > 0 && present != NULL && name != NULL) {
        struct operation *operation = add(WRITE, name);

        operation->offset = (size_t)offset;
        operation->size = (size_t)done;
        operation->data = memcpy(malloc((size_t)done), bytes, (size_t)done);
    }
    return done;
}

static int on_truncate(const char *function, int fd, off_t size)
{
    REAL(function, truncate_function)
    const char *name = name_of(fd, path);
    int code = real(fd, size);

    if (code == 0 && present != NULL && name != NULL) {
        add(TRUNCATE, name)->offset = (size_t)size;
    }
    return code;
}

/* Not the disk under the test's own: nothing depends on that one. */
static int on_sync(int fd)
{
    char path[PATH_MAX];
    const char *name = name_of(fd, path);

    if (present != NULL && name != NULL) {
        add(strcmp(name, ".") == 0 ? SYNC_DIRECTORY : SYNC, name);
    }
    return 0;
}

/* The same of 64 bits by another name, as SQLite calls it. */
EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return on_write("pwrite", fd, bytes, size, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return on_write("pwrite64", fd, bytes, size, offset);
}

EXPORTED int ftruncate(int fd, off_t size)
{
    return on_truncate("ftruncate", fd, size);
}

EXPORTED int ftruncate64(int fd, off64_t size)
{
    return on_truncate("ftruncate64", fd, size);
}

EXPORTED int fsync(int fd)
{
    return on_sync(fd);
}

EXPORTED int fdatasync(int fd)
{
    return on_sync(fd);
}

EXPORTED int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    void *symbol = next("renameat");
    rename_function *real = NULL;
    int code;

    memcpy(&real, &symbol, sizeof(real));
    code = real(from_fd, from, to_fd, to);
    if (code == 0 && present != NULL && is_ours(from)) {
        snprintf(add(MOVE, from)->to, NAME_SIZE, "%s", to);
    }
    return code;
}

static int deleted(int code, const char *name)
{
    if (code == 0 && present != NULL && is_ours(name)) {
        add(DELETE, name);
    }
    return code;
}

EXPORTED int unlink(const char *path)
{
    void *symbol = next("unlink");
    delete_function *real = NULL;

    memcpy(&real, &symbol, sizeof(real));
    return deleted(real(path), base_of(path));
}

EXPORTED int unlinkat(int fd, const char *path, int flags)
{
    void *symbol = next("unlinkat");
    delete_at_function *real = NULL;

    memcpy(&real, &symbol, sizeof(real));
    return deleted(real(fd, path, flags), base_of(path));
}

void record_limit_new(uint64_t limit)
{
    limit_new = limit;
}

/* --- what is there ---------------------------------------------------------------------------- */

static void load(const char *name, struct image *image)
{
    CLEANUP(gk_closep) int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat found;

    assert(fd >= 0 && fstat(fd, &found) == 0);
    snprintf(image->name, sizeof(image->name), "%s", name);
    image->size = (size_t)found.st_size;
    image->bytes = malloc(image->size + 1);
    assert(read(fd, image->bytes, image->size) == found.st_size);
}

static void save(const char *name, const struct content *content)
{
    CLEANUP(gk_closep) int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert(fd >= 0);
    assert(content->size == 0 ||
           write(fd, content->bytes, content->size) == (ssize_t)content->size);
}

/* Visit a spool's files, which may be deleted. */
static void each_file(void (*visit)(void *context, const char *name), void *context)
{
    DIR *directory = opendir(".");
    const struct dirent *entry;

    assert(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        if (is_ours(entry->d_name)) {
            visit(context, entry->d_name);
        }
    }
    closedir(directory);
}

static void load_next(void *context, const char *name)
{
    struct record *record = context;
    size_t i = 0;

    while (record->before[i].bytes != NULL) {
        i++;
    }
    assert(i < NAMES - 1);
    load(name, &record->before[i]);
}

static void delete_one(void *context, const char *name)
{
    (void)context;
    assert(unlink(name) == 0);
}

struct record *record_begin(void)
{
    struct record *record = calloc(1, sizeof(*record));

    assert(record != NULL && present == NULL);
    each_file(load_next, record);
    present = record;
    return record;
}

unsigned record_end(struct record *record)
{
    assert(present == record);
    present = NULL;
    return (unsigned)record->count;
}

void record_free(struct record *record)
{
    for (size_t i = 0; i < NAMES; i++) {
        free(record->before[i].bytes);
    }
    for (size_t i = 0; i < record->count; i++) {
        free(record->operations[i].data);
    }
    free(record->operations);
    free(record);
}

/* --- what a cut leaves ------------------------------------------------------------------------ */

/* A directory, of which some changes are not on the disk yet. */
struct folder {
    struct {
        char name[NAME_SIZE];
        struct inode *now, *disk;
    } names[NAMES];
    struct {
        size_t name;
        struct inode *inode;
        bool more; /* the next belongs to it: a file has one name at all times */
    } changes[256];
    size_t count;
    struct inode *inodes;
};

static size_t find(struct folder *folder, const char *name)
{
    size_t i = 0;

    while (folder->names[i].name[0] != '\0' && strcmp(folder->names[i].name, name) != 0) {
        i++;
        assert(i < NAMES);
    }
    snprintf(folder->names[i].name, NAME_SIZE, "%s", name);
    return i;
}

static void change(struct folder *folder, size_t name, struct inode *inode, bool more)
{
    assert(folder->count < sizeof(folder->changes) / sizeof(folder->changes[0]));
    folder->names[name].now = inode;
    folder->changes[folder->count].name = name;
    folder->changes[folder->count].inode = inode;
    folder->changes[folder->count++].more = more;
}

static struct inode *file_of(struct folder *folder, const char *name)
{
    size_t i = find(folder, name);

    if (folder->names[i].now == NULL) {
        struct inode *made = calloc(1, sizeof(*made));

        assert(made != NULL);
        made->next = folder->inodes;
        folder->inodes = made;
        change(folder, i, made, false);
    }
    return folder->names[i].now;
}

static void keep_first(struct folder *folder, size_t count)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (i < count || (i > 0 && i == count && folder->changes[i - 1].more)) {
            folder->names[folder->changes[i].name].disk = folder->changes[i].inode;
        }
    }
    folder->count = 0;
}

static void move(struct folder *folder, const char *from, const char *to)
{
    struct inode *inode = file_of(folder, from);

    change(folder, find(folder, from), NULL, true);
    change(folder, find(folder, to), inode, false);
}

static void redo(struct folder *folder, const struct operation *operation)
{
    switch (operation->deed) {
    case WRITE:
        inode_write(file_of(folder, operation->name), operation->offset, operation->data,
                    operation->size);
        break;
    case TRUNCATE:
        inode_truncate(file_of(folder, operation->name), operation->offset);
        break;
    case SYNC:
        inode_sync(file_of(folder, operation->name));
        break;
    case SYNC_DIRECTORY:
        keep_first(folder, folder->count);
        break;
    case MOVE:
        move(folder, operation->name, operation->to);
        break;
    case DELETE:
        change(folder, find(folder, operation->name), NULL, false);
        break;
    }
}

void record_cut(const struct record *record, unsigned operations, uint64_t chance)
{
    struct folder folder = { 0 };

    for (size_t i = 0; record->before[i].bytes != NULL; i++) {
        struct inode *inode = file_of(&folder, record->before[i].name);

        inode_write(inode, 0, record->before[i].bytes, record->before[i].size);
        inode_sync(inode);
    }
    keep_first(&folder, folder.count);
    for (size_t i = 0; i < operations; i++) {
        redo(&folder, &record->operations[i]);
    }
    inode_chance_from(chance);
    keep_first(&folder, inode_chance((unsigned)folder.count + 1));
    each_file(delete_one, NULL);
    for (size_t i = 0; i < NAMES; i++) {
        if (folder.names[i].disk != NULL) {
            inode_lose(folder.names[i].disk);
            save(folder.names[i].name, &folder.names[i].disk->disk);
        }
    }
    while (folder.inodes != NULL) {
        struct inode *inode = folder.inodes;

        folder.inodes = inode->next;
        inode_free(inode);
    }
}
