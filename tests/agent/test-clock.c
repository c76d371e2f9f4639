/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: what moves it, what does not, and who may write it. */
#include "agent/clock-file.h"

#include "cleanup.h"

#include <config.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define DAY ((int64_t)86400)
#define YEAR (366 * DAY)
#define NOBODY 65534

struct fixture {
    char identity[64], directory[96], path[128];
    struct agent_config config;
    struct agent_clock_record record;
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->identity, "clock.XXXXXX");
    assert_non_null(mkdtemp(f->identity));
    snprintf(f->directory, sizeof(f->directory), "%s/state", f->identity);
    snprintf(f->path, sizeof(f->path), "%s/clock.json", f->directory);
    f->config.directory = f->identity;
    f->config.state_directory = f->directory;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", f->identity);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static int64_t raised(struct fixture *f, enum agent_clock_source source, int64_t passed)
{
    assert_int_equal(agent_clock_raise(&f->config, source, passed, &f->err), GK_OK);
    return agent_clock_floor(&f->config);
}

static struct agent_clock_record *read_file(struct fixture *f)
{
    assert_int_equal(agent_clock_read(f->directory, &f->record, &f->err), GK_OK);
    return &f->record;
}

static void write_file(const struct fixture *f, const char *text)
{
    FILE *file;

    mkdir(f->directory, 0700);
    file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A certificate of ours in the identity directory that ends then. */
static void certify_until(const struct fixture *f, int64_t end)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/cert.pem", f->identity);
    file = fopen(path, "w");
    assert_true(file != NULL && key != NULL && x509 != NULL);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x509), GK_BUILD_DATE));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x509), end));
    assert_true(X509_set_pubkey(x509, key) && X509_sign(x509, key, EVP_sha256()) > 0 &&
                PEM_write_X509(file, x509));
    fclose(file);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void begins_at_the_build(void **state)
{
    struct fixture *f = *state;
    struct stat info;

    assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE);
    /* Asking makes nothing, and neither does what is no news. */
    assert_int_equal(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE - DAY), GK_BUILD_DATE);
    assert_int_equal(stat(f->directory, &info), -1);
}

static void only_moves_forward(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + DAY), GK_BUILD_DATE + DAY);
    assert_int_equal(raised(f, AGENT_CLOCK_HUB, GK_BUILD_DATE + 60), GK_BUILD_DATE + DAY);
    assert_string_equal(agent_clock_source_name(read_file(f)->source), "crl");
    assert_int_equal(raised(f, AGENT_CLOCK_HUB, GK_BUILD_DATE + DAY + 1), GK_BUILD_DATE + DAY + 1);
    assert_string_equal(agent_clock_source_name(read_file(f)->source), "hub");
}

static void judges_by_the_later_of_floor_and_wall_clock(void **state)
{
    struct fixture *f = *state;
    int64_t later = (int64_t)time(NULL) + YEAR;

    assert_in_range(agent_clock_now(&f->config), later - YEAR, later - YEAR + DAY);
    assert_int_equal(raised(f, AGENT_CLOCK_CERTIFICATE, later), later);
    assert_int_equal(agent_clock_now(&f->config), later);
}

static void spares_the_flash_with_dates(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + 3599), GK_BUILD_DATE);
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + 3600), GK_BUILD_DATE + 3600);
    assert_int_equal(raised(f, AGENT_CLOCK_CERTIFICATE, GK_BUILD_DATE + 3601),
                     GK_BUILD_DATE + 3601);
}

static void believes_nobody_beyond_the_end_of_our_certificate(void **state)
{
    struct fixture *f = *state;

    certify_until(f, GK_BUILD_DATE + YEAR);
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + YEAR + 1), GK_BUILD_DATE);
    assert_int_equal(read_file(f)->refused, GK_BUILD_DATE + YEAR + 1);
    assert_string_equal(agent_clock_source_name(f->record.refused_source), "https");
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + YEAR), GK_BUILD_DATE + YEAR);
    /* With another certificate there is another ceiling. */
    certify_until(f, GK_BUILD_DATE + 2 * YEAR);
    assert_int_equal(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + YEAR + 1),
                     GK_BUILD_DATE + YEAR + 1);
}

/* Raised under a certificate that lasted longer, or written by whoever took the service over. */
static void believes_no_floor_beyond_the_end_of_our_certificate(void **state)
{
    struct fixture *f = *state;
    int64_t now = (int64_t)time(NULL), end = now + YEAR;

    certify_until(f, end + 9 * YEAR);
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, end + YEAR), end + YEAR);
    certify_until(f, end);
    assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE);
    assert_in_range(agent_clock_now(&f->config), now, now + DAY);
    /* And it is no higher step for what comes next. */
    assert_int_equal(raised(f, AGENT_CLOCK_CRL, end - DAY), end - DAY);
    write_file(f, "{\"version\":1,\"floor\":253402300799,\"source\":\"hub\"}");
    assert_in_range(agent_clock_now(&f->config), now, now + DAY);
}

static void believes_nobody_twenty_years_after_the_build(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + 21 * YEAR), GK_BUILD_DATE);
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, INT64_MAX), GK_BUILD_DATE);
    /* A certificate for ever is none to go by. */
    certify_until(f, GK_BUILD_DATE + 80 * YEAR);
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + 21 * YEAR), GK_BUILD_DATE);
    assert_int_equal(raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + 19 * YEAR),
                     GK_BUILD_DATE + 19 * YEAR);
}

static void begins_anew_where_the_file_makes_no_sense(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"version\":2,\"floor\":9000000000}",
        "{\"version\":1,\"floor\":-1}",
        "{\"version\":1,\"floor\":1e30}",
        "{\"version\":1,\"floor\":999999999999999}",
        "{\"version\":1,\"floor\":9000000000,\"source\":\"me\"}",
        "{\"version\":1,\"floor\":9000000000,\"floor\":1}",
        "{\"version\":1,\"seen\":{}}",
        "{\"version\":1,\"seen\":{\"boot\":\"0123456789012345678901234567890123456789\"}}",
        "{\"version\":1,\"seen\":{\"boot\":\"x\",\"wall\":-1}}",
        "{\"version\":1,\"seen\":{\"boot\":\"x\",\"settled\":1}}",
        "{\"version\":1,\"seen\":{\"boot\":\"x\",\"tpm\":{}}}",
        "{\"version\":1,\"tampering\":{\"kind\":\"right\",\"detail\":\"\"}}",
        "{\"version\":1,\"tampering\":{\"kind\":\"setBack\"}}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(f, texts[i]);
        assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE);
        assert_int_equal(agent_clock_read(f->directory, &f->record, &f->err), GK_BAD_FILE);
        assert_non_null(strstr(f->err.advice, "begins anew"));
    }
    assert_int_equal(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + DAY), GK_BUILD_DATE + DAY);
    assert_int_equal(read_file(f)->floor, GK_BUILD_DATE + DAY);
}

static bool fill(struct agent_clock_record *record, void *context)
{
    *record = *(const struct agent_clock_record *)context;
    return true;
}

static void keeps_all_that_gatekeyd_saw(void **state)
{
    struct fixture *f = *state;
    struct agent_clock_record all;

    memset(&all, 0, sizeof(all)); /* its padding too, which is compared */
    all.floor = GK_BUILD_DATE + 5;
    all.source = AGENT_CLOCK_HUB;
    all.refused = INT64_MAX;
    all.refused_source = AGENT_CLOCK_HTTPS;
    all.mark.known = true;
    all.mark.wall_ms = 1;
    all.mark.moment.since_boot_ms = 2;
    strcpy(all.mark.moment.boot, "11111111-2222-3333-4444-555555555555");
    all.mark.settled = true;
    all.mark.last_ms = 3;
    all.mark.has_tpm = true;
    all.mark.tpm.ms = (uint64_t)1 << 60;
    all.mark.tpm.up_ms = 5;
    all.mark.tpm.resets = UINT32_MAX;
    all.mark.tpm.restarts = 7;
    all.mark.tpm.safe = true;
    all.mark.settled_ms = 8;
    all.report.kind = AGENT_CLOCK_BEFORE_FLOOR;
    all.report.seconds = -9;
    all.report.at = 10;
    all.report.stands = all.report.held = all.report.told = true;
    memset(all.report.detail, '"', sizeof(all.report.detail) - 1);
    assert_int_equal(agent_clock_change(f->directory, fill, &all, &f->err), GK_OK);
    assert_memory_equal(read_file(f), &all, sizeof(all));
}

static void a_newer_build_goes_before_an_older_file(void **state)
{
    struct fixture *f = *state;

    write_file(f, "{\"version\":1,\"floor\":1000,\"source\":\"crl\"}");
    assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE);
    assert_int_equal(read_file(f)->source, AGENT_CLOCK_BUILD);
}

static void somebody_can_begin_anew(void **state)
{
    struct fixture *f = *state;

    struct agent_clock_record *record = &f->record;

    raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + 9 * YEAR);
    read_file(f);
    record->mark.known = true;
    record->report.kind = AGENT_CLOCK_FORWARD;
    record->report.stands = record->report.held = true;
    assert_int_equal(agent_clock_change(f->directory, fill, record, &f->err), GK_OK);
    assert_int_equal(agent_clock_accept(&f->config, &f->err), GK_OK);
    assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE);
    read_file(f);
    assert_false(record->mark.known || record->report.stands || record->report.held);
    /* What was found is found, and the hub still has to be told. */
    assert_int_equal(record->report.kind, AGENT_CLOCK_FORWARD);
    raised(f, AGENT_CLOCK_HTTPS, GK_BUILD_DATE + DAY);
    assert_int_equal(agent_clock_forget(&f->config, &f->err), GK_OK);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(agent_clock_forget(&f->config, &f->err), GK_OK);
}

/* The directory is its owner's, who may put anything there; root must not be led astray by it. */
static void follows_no_link(void **state)
{
    struct fixture *f = *state;
    char target[128];

    mkdir(f->directory, 0700);
    snprintf(target, sizeof(target), "%s/target", f->identity);
    assert_int_equal(close(creat(target, 0600)), 0);
    assert_int_equal(symlink("../target", f->path), 0);
    assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE);
    assert_int_not_equal(
        agent_clock_raise(&f->config, AGENT_CLOCK_CRL, GK_BUILD_DATE + DAY, &f->err), GK_OK);
    assert_non_null(strstr(f->err.object, "clock.json"));
    assert_int_equal(unlink(f->path), 0);
    /* The file beside is replaced, not followed. */
    strcat(f->path, ".new");
    assert_int_equal(symlink("../target", f->path), 0);
    assert_int_equal(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + DAY), GK_BUILD_DATE + DAY);
    assert_int_equal(access(f->path, F_OK), -1);
}

static void become_nobody(void)
{
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setgid(NOBODY), 0);
    assert_int_equal(setuid(NOBODY), 0);
}

static void root_and_the_service_share_it(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    pid_t child;
    int status;

    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(mkdir(f->directory, 0700), 0);
    assert_int_equal(chown(f->directory, NOBODY, NOBODY), 0);
    assert_int_equal(chmod(f->identity, 0755), 0);
    raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + DAY);
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_uid, NOBODY);
    assert_int_equal(info.st_mode & 07777, 0600);
    child = fork();
    if (child == 0) {
        assert_int_equal(chdir(f->identity), 0);
        f->config.state_directory = (char *)"state";
        become_nobody();
        _exit(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + 2 * DAY) == GK_BUILD_DATE + 2 * DAY ? 0
                                                                                             : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + 3 * DAY), GK_BUILD_DATE + 3 * DAY);
}

/* Many at once: nothing is lost, and nobody reads half a file. */
static void is_raised_by_several_at_once(void **state)
{
    struct fixture *f = *state;
    int status;

    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            for (int j = 0; j < 20; j++) {
                raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + i + 8 * j + 1);
                read_file(f);
            }
            _exit(0);
        }
    }
    while (wait(&status) > 0) {
        assert_int_equal(status, 0);
    }
    assert_int_equal(agent_clock_floor(&f->config), GK_BUILD_DATE + 160);
}

/* Whoever runs the service may hold it for ever. */
static void waits_for_no_holder_for_ever(void **state)
{
    struct fixture *f = *state;
    int fd;

    raised(f, AGENT_CLOCK_CRL, GK_BUILD_DATE + DAY);
    fd = open(f->directory, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    alarm(60); /* ends the test where it hangs */
    assert_int_equal(
        agent_clock_raise(&f->config, AGENT_CLOCK_CRL, GK_BUILD_DATE + 2 * DAY, &f->err), GK_BUSY);
    alarm(0);
    assert_non_null(strstr(f->err.object, f->directory));
    close(fd);
    assert_int_equal(
        agent_clock_raise(&f->config, AGENT_CLOCK_CRL, GK_BUILD_DATE + 2 * DAY, &f->err), GK_OK);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(waits_for_no_holder_for_ever),
        CLAIM(begins_at_the_build),
        CLAIM(only_moves_forward),
        CLAIM(judges_by_the_later_of_floor_and_wall_clock),
        CLAIM(spares_the_flash_with_dates),
        CLAIM(believes_nobody_beyond_the_end_of_our_certificate),
        CLAIM(believes_no_floor_beyond_the_end_of_our_certificate),
        CLAIM(believes_nobody_twenty_years_after_the_build),
        CLAIM(begins_anew_where_the_file_makes_no_sense),
        CLAIM(keeps_all_that_gatekeyd_saw),
        CLAIM(a_newer_build_goes_before_an_older_file),
        CLAIM(somebody_can_begin_anew),
        CLAIM(follows_no_link),
        CLAIM(root_and_the_service_share_it),
        CLAIM(is_raised_by_several_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
