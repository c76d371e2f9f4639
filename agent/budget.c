/* SPDX-License-Identifier: Apache-2.0 */
/* The connect budget and the backoff, on disk. */
#include "agent/budget.h"

#include "agent/file.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_NAME "connects"
#define TEXT_MAX 512
#define SKEW_MS 5000    /* how long a process may wait for the lock after it read the clock */
#define FAILURES_MAX 30 /* the delay has long been at its longest */

/* What the file holds, in times since this boot; earlier ones are negative. */
struct record {
    unsigned count;
    int64_t connects[AGENT_BUDGET_CONNECTS]; /* oldest first */
    unsigned failures;
    int64_t not_before; /* the backoff's end */
};

enum gk_status agent_moment_now(struct agent_moment *now, struct gk_error *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    CLEANUP(gk_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct timespec time;
    ssize_t size;

    if (fd < 0) {
        return gk_fail_file(err, errno, path);
    }
    size = read(fd, now->boot, sizeof(now->boot) - 1);
    if (size != (ssize_t)sizeof(now->boot) - 1 || clock_gettime(CLOCK_BOOTTIME, &time) != 0) {
        return gk_fail(err, GK_FILE_FAILED, "%s", path);
    }
    now->boot[size] = '\0';
    now->since_boot_ms = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
    return GK_OK;
}

/* The directory is the service's; what root makes in it must not lock the service out. */
static void hand_to_directorys_owner(int directory, int fd)
{
    struct stat place;
    struct stat file;

    if (geteuid() == 0 && fstat(directory, &place) == 0 && fstat(fd, &file) == 0 &&
        (file.st_uid != place.st_uid || file.st_gid != place.st_gid)) {
        /* Nothing is lost if it fails: the service then says that it may not write the file. */
        (void)!fchown(fd, place.st_uid, place.st_gid);
    }
}

/* Opens the file, locked. Its directory belongs to another user than root: links are not followed.
 */
static enum gk_status open_locked(const char *directory, int *opened, struct gk_error *err)
{
    CLEANUP(gk_closep) int place = -1;
    CLEANUP(gk_closep) int fd = -1;
    CLEANUP(gk_freep) char *path = NULL;
    enum gk_status status;
    struct stat info;

    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return gk_fail_file(err, errno, directory);
    }
    place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place < 0) {
        return gk_fail_file(err, errno, directory);
    }
    fd = openat(place, FILE_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) {
        gk_fail_file(err, errno, directory);
        return gk_fail(err, err != NULL ? err->status : GK_FILE_FAILED, "%s/" FILE_NAME, directory);
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1) {
        return gk_fail(err, GK_FILE_FAILED, "%s/" FILE_NAME " is not a plain file", directory);
    }
    hand_to_directorys_owner(place, fd);
    status = asprintf(&path, "%s/" FILE_NAME, directory) >= 0 ? GK_OK : GK_NO_MEMORY;
    if (status != GK_OK) {
        path = NULL;
        return gk_fail(err, status, NULL);
    }
    status = agent_file_lock(fd, path, err);
    if (status != GK_OK) {
        return status;
    }
    *opened = fd;
    fd = -1;
    return GK_OK;
}

/* A budget that is spent as of now: what a file that makes no sense stands for. */
static void spend_all(struct record *record, const struct agent_moment *now)
{
    *record = (struct record){ .count = AGENT_BUDGET_CONNECTS, .not_before = now->since_boot_ms };
    for (unsigned i = 0; i < AGENT_BUDGET_CONNECTS; i++) {
        record->connects[i] = now->since_boot_ms;
    }
}

static void forget_old(struct record *record, int64_t now)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < record->count; i++) {
        if (now - record->connects[i] < AGENT_BUDGET_WINDOW_MS) {
            record->connects[kept++] = record->connects[i];
        }
    }
    record->count = kept;
}

/* Times of an earlier boot become 0, the moment this one began; a backoff does not outlive a boot.
 */
static void carry_over_boot(struct record *record)
{
    for (unsigned i = 0; i < record->count; i++) {
        record->connects[i] = 0;
    }
    record->not_before = 0;
}

static bool is_sane(const struct record *record, int64_t now)
{
    int64_t before = INT64_MIN;

    for (unsigned i = 0; i < record->count; i++) {
        if (record->connects[i] > now + SKEW_MS || record->connects[i] < before) {
            return false;
        }
        before = record->connects[i];
    }
    return record->failures <= FAILURES_MAX && record->not_before >= 0 &&
           record->not_before <= now + AGENT_BACKOFF_LAST_MS + AGENT_BACKOFF_LAST_MS / 2;
}

/* "gatekey-connects 1 BOOT FAILURES NOT_BEFORE COUNT TIME...\n" */
static bool parse(const char *text, const struct agent_moment *now, struct record *record)
{
    char boot[sizeof(now->boot)];
    int used = 0;

    if (sscanf(text, "gatekey-connects 1 %36s %u %" SCNd64 " %u%n", boot, &record->failures,
               &record->not_before, &record->count, &used) != 4 ||
        record->count > AGENT_BUDGET_CONNECTS) {
        return false;
    }
    for (unsigned i = 0; i < record->count; i++) {
        int more = 0;

        if (sscanf(text + used, " %" SCNd64 "%n", &record->connects[i], &more) != 1) {
            return false;
        }
        used += more;
    }
    if (strcmp(text + used, "\n") != 0) {
        return false;
    }
    if (strcmp(boot, now->boot) != 0) {
        carry_over_boot(record);
    }
    return is_sane(record, now->since_boot_ms);
}

static void read_record(int fd, const struct agent_moment *now, struct record *record)
{
    char text[TEXT_MAX + 1];
    ssize_t size = pread(fd, text, TEXT_MAX, 0);

    *record = (struct record){ 0 };
    if (size == 0) {
        return; /* just made */
    }
    text[size > 0 ? size : 0] = '\0';
    if (!parse(text, now, record)) {
        spend_all(record, now);
    }
    forget_old(record, now->since_boot_ms);
}

/* The record as of now, and the file that stays locked until it is closed. */
static enum gk_status open_record(const char *directory, const struct agent_moment *now, int *fd,
                                  struct record *record, struct gk_error *err)
{
    enum gk_status status = open_locked(directory, fd, err);

    if (status == GK_OK) {
        read_record(*fd, now, record);
    }
    return status;
}

/*
 * In place, since the lock is on the file itself. A torn write is noticed when it is read: the text
 * then makes no sense, or is cut.
 */
static enum gk_status write_record(int fd, const struct agent_moment *now,
                                   const struct record *record, struct gk_error *err)
{
    char text[TEXT_MAX];
    int used = snprintf(text, sizeof(text), "gatekey-connects 1 %s %u %" PRId64 " %u", now->boot,
                        record->failures, record->not_before, record->count);

    for (unsigned i = 0; i < record->count; i++) {
        used +=
            snprintf(text + used, sizeof(text) - (size_t)used, " %" PRId64, record->connects[i]);
    }
    used += snprintf(text + used, sizeof(text) - (size_t)used, "\n");
    if (pwrite(fd, text, (size_t)used, 0) != used || ftruncate(fd, used) != 0 ||
        fdatasync(fd) != 0) {
        return gk_fail_file(err, errno, FILE_NAME);
    }
    return GK_OK;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When so many CONNECTs may leave one after the other, in times since this boot. */
static int64_t earliest(const struct record *record, unsigned connects, bool patient)
{
    int64_t at = patient ? record->not_before : 0;

    if (record->count > 0) {
        at = later(at, record->connects[record->count - 1] + AGENT_BUDGET_SPACING_MS);
    }
    if (record->count + connects > AGENT_BUDGET_CONNECTS) {
        unsigned last_in_the_way = record->count + connects - AGENT_BUDGET_CONNECTS - 1;

        at = later(at, record->connects[last_in_the_way] + AGENT_BUDGET_WINDOW_MS);
    }
    return at;
}

enum gk_status agent_budget_take(const char *directory, const struct agent_moment *now,
                                 bool patient, int64_t *wait_ms, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct record record;
    int64_t at;
    enum gk_status status = open_record(directory, now, &fd, &record, err);

    if (status != GK_OK) {
        return status;
    }
    at = earliest(&record, 1, patient);
    if (at <= now->since_boot_ms) {
        /* forget_old() left room, or the window would not be over. */
        record.connects[record.count++] = now->since_boot_ms;
    }
    /* Written in either case: a spent budget that came out of a broken file must not begin anew. */
    status = write_record(fd, now, &record, err);
    if (status == GK_OK) {
        *wait_ms = later(at - now->since_boot_ms, 0);
    }
    return status;
}

enum gk_status agent_budget_room(const char *directory, const struct agent_moment *now,
                                 unsigned connects, int64_t *wait_ms, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct record record;
    enum gk_status status = open_record(directory, now, &fd, &record, err);

    if (status == GK_OK) {
        *wait_ms = later(earliest(&record, connects, false) - now->since_boot_ms, 0);
    }
    return status;
}

/* The newest of that time, or none: then another process's file was broken in between. */
static void drop(struct record *record, int64_t taken_ms)
{
    for (unsigned i = record->count; i-- > 0;) {
        if (record->connects[i] == taken_ms) {
            memmove(&record->connects[i], &record->connects[i + 1],
                    (record->count - i - 1) * sizeof(record->connects[0]));
            record->count--;
            return;
        }
    }
}

enum gk_status agent_budget_give_back(const char *directory, const struct agent_moment *now,
                                      int64_t taken_ms, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct record record;
    enum gk_status status = open_record(directory, now, &fd, &record, err);

    if (status != GK_OK) {
        return status;
    }
    drop(&record, taken_ms);
    return write_record(fd, now, &record, err);
}

/* Its own may be too old to be there, and others may have filled the file, or come since: the
 * newest are what counts. */
static void insert(struct record *record, int64_t sent_ms)
{
    unsigned place = record->count;

    while (place > 0 && record->connects[place - 1] > sent_ms) {
        place--;
    }
    if (record->count == AGENT_BUDGET_CONNECTS) {
        if (place == 0) {
            return;
        }
        drop(record, record->connects[0]);
        place--;
    }
    memmove(&record->connects[place + 1], &record->connects[place],
            (record->count - place) * sizeof(record->connects[0]));
    record->connects[place] = sent_ms;
    record->count++;
}

enum gk_status agent_budget_sent(const char *directory, const struct agent_moment *now,
                                 int64_t taken_ms, int64_t sent_ms, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct record record;
    enum gk_status status = open_record(directory, now, &fd, &record, err);

    if (status != GK_OK) {
        return status;
    }
    drop(&record, taken_ms);
    insert(&record, sent_ms);
    return write_record(fd, now, &record, err);
}

/* first, doubling to last, lengthened by up to a half of it and spread. */
static int64_t delay_after(unsigned failures, int64_t first, int64_t last, int64_t spread_ms,
                           uint32_t jitter)
{
    int64_t delay = first;

    for (unsigned i = 1; i < failures && delay < last; i++) {
        delay *= 2;
    }
    delay = delay < last ? delay : last;
    return delay + (int64_t)(((uint64_t)(delay / 2 + spread_ms) * jitter) >> 32);
}

int64_t agent_budget_miss_ms(unsigned misses, uint32_t jitter, int64_t spread_ms)
{
    return delay_after(misses, AGENT_MISS_FIRST_MS, AGENT_MISS_LAST_MS, spread_ms, jitter);
}

enum gk_status agent_budget_failed(const char *directory, const struct agent_moment *now,
                                   int64_t failed_ms, uint32_t jitter, int64_t spread_ms,
                                   int64_t *wait_ms, struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct record record;
    enum gk_status status = open_record(directory, now, &fd, &record, err);

    if (status != GK_OK) {
        return status;
    }
    if (record.failures < FAILURES_MAX) {
        record.failures++;
    }
    record.not_before = failed_ms + delay_after(record.failures, AGENT_BACKOFF_FIRST_MS,
                                                AGENT_BACKOFF_LAST_MS, spread_ms, jitter);
    status = write_record(fd, now, &record, err);
    if (status == GK_OK) {
        *wait_ms = later(earliest(&record, 1, true) - now->since_boot_ms, 0);
    }
    return status;
}

enum gk_status agent_budget_lasted(const char *directory, const struct agent_moment *now,
                                   struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    struct record record;
    enum gk_status status = open_record(directory, now, &fd, &record, err);

    if (status != GK_OK) {
        return status;
    }
    record.failures = 0;
    record.not_before = 0;
    return write_record(fd, now, &record, err);
}
