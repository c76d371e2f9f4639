/* SPDX-License-Identifier: Apache-2.0 */
/* The connect budget and the backoff, with a clock that the test moves. */
#include "agent/budget.h"

#include "cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    char path[96];
    struct agent_moment now;
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "budget.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/connects", f->directory);
    f->now = (struct agent_moment){ 1000000, "11111111-2222-3333-4444-555555555555" };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static int64_t take(struct fixture *f, bool patient)
{
    int64_t wait_ms = -1;

    assert_int_equal(agent_budget_take(f->directory, &f->now, patient, &wait_ms, &f->err), GK_OK);
    return wait_ms;
}

static int64_t failed(struct fixture *f, uint32_t jitter)
{
    int64_t wait_ms = -1;

    assert_int_equal(agent_budget_failed(f->directory, &f->now, f->now.since_boot_ms, jitter, 0,
                                         &wait_ms, &f->err),
                     GK_OK);
    return wait_ms;
}

static void spend(struct fixture *f)
{
    for (int i = 0; i < AGENT_BUDGET_CONNECTS; i++) {
        assert_int_equal(take(f, false), 0);
        f->now.since_boot_ms += 1000;
    }
}

static int64_t room(struct fixture *f, unsigned connects)
{
    int64_t wait_ms = -1;

    assert_int_equal(agent_budget_room(f->directory, &f->now, connects, &wait_ms, &f->err), GK_OK);
    return wait_ms;
}

static void reboot(struct fixture *f, int64_t since_boot_ms)
{
    f->now.boot[0] = f->now.boot[0] == '1' ? '9' : '1';
    f->now.since_boot_ms = since_boot_ms;
}

static void write_file(const struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void tells_room_for_several_and_takes_none(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(room(f, 3), 0);
    assert_int_equal(take(f, false), 0);
    assert_int_equal(room(f, 1), AGENT_BUDGET_SPACING_MS);
    f->now.since_boot_ms += 10000;
    assert_int_equal(room(f, 2), 0);
    assert_int_equal(room(f, 3), 110000);
    assert_int_equal(take(f, false), 0);
    f->now.since_boot_ms += 10000;
    /* One more could go; two only when the first is forgotten. */
    assert_int_equal(room(f, 1), 0);
    assert_int_equal(room(f, 2), 100000);
    assert_int_equal(room(f, 3), 110000);
    f->now.since_boot_ms += 100000;
    assert_int_equal(room(f, 2), 0);
    /* The backoff is somebody else's. */
    assert_true(failed(f, 0) > 0);
    assert_int_equal(room(f, 2), 0);
    assert_int_equal(take(f, false), 0);
}

static void grants_three_in_two_minutes(void **state)
{
    struct fixture *f = *state;

    spend(f);
    assert_int_equal(take(f, false), 117000);
    f->now.since_boot_ms += 116999;
    assert_int_equal(take(f, false), 1);
    f->now.since_boot_ms += 1;
    assert_int_equal(take(f, false), 0);
    assert_int_equal(take(f, false), 1000);
}

static void grants_one_a_second(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(take(f, false), 0);
    f->now.since_boot_ms += 400;
    assert_int_equal(take(f, false), 600);
    f->now.since_boot_ms += 600;
    assert_int_equal(take(f, false), 0);
}

static void never_exceeds_the_budget_whoever_asks_and_whenever(void **state)
{
    struct fixture *f = *state;
    int64_t granted[120];
    unsigned count = 0;

    srandom(7);
    while (count < 120) {
        if (take(f, random() % 2 == 0) == 0) {
            granted[count] = f->now.since_boot_ms;
            if (count >= AGENT_BUDGET_CONNECTS) {
                assert_true(granted[count] - granted[count - AGENT_BUDGET_CONNECTS] >=
                            AGENT_BUDGET_WINDOW_MS);
            }
            count++;
            if (random() % 3 != 0) {
                failed(f, (uint32_t)random());
            }
        }
        f->now.since_boot_ms += random() % 9000;
    }
}

static void doubles_the_wait_and_only_lengthens_it(void **state)
{
    static const int64_t waits[] = { 8000, 16000, 32000, 64000, 128000, 128000 };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        assert_int_equal(failed(f, 0), waits[i]);
        f->now.since_boot_ms += 500000;
    }
    assert_true(failed(f, UINT32_MAX) < 128000 + 64000);
    assert_true(failed(f, UINT32_MAX) >= 128000 + 63999);
}

static void spreads_those_that_lost_their_connection(void **state)
{
    static const uint32_t jitters[] = { 0, 1U << 31, UINT32_MAX };
    static const int64_t waits[] = { 8000, 8000 + 17000, 8000 + 33999 };
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        int64_t wait_ms = -1;

        assert_int_equal(agent_budget_lasted(f->directory, &f->now, &f->err), GK_OK);
        assert_int_equal(agent_budget_failed(f->directory, &f->now, f->now.since_boot_ms,
                                             jitters[i], 30000, &wait_ms, &f->err),
                         GK_OK);
        assert_int_equal(wait_ms, waits[i]);
    }
}

static void makes_the_service_wait_and_not_the_person(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(take(f, true), 0);
    assert_int_equal(failed(f, 0), 8000);
    f->now.since_boot_ms += 1000;
    assert_int_equal(take(f, true), 7000);
    assert_int_equal(take(f, false), 0);
}

static void starts_over_after_a_connection_that_lasted(void **state)
{
    struct fixture *f = *state;

    failed(f, 0);
    failed(f, 0);
    assert_int_equal(agent_budget_lasted(f->directory, &f->now, &f->err), GK_OK);
    assert_int_equal(take(f, true), 0);
    assert_int_equal(failed(f, 0), 8000);
}

static void gives_back_what_was_not_used(void **state)
{
    struct fixture *f = *state;

    int64_t last;

    spend(f);
    last = f->now.since_boot_ms - 1000;
    assert_int_equal(agent_budget_give_back(f->directory, &f->now, last, &f->err), GK_OK);
    assert_int_equal(take(f, false), 0);
    assert_true(take(f, false) > 0);
}

/* The service's, while gatekey has taken another one since. */
static void gives_back_its_own_and_no_other(void **state)
{
    struct fixture *f = *state;
    int64_t own = f->now.since_boot_ms;

    spend(f);
    assert_int_equal(agent_budget_give_back(f->directory, &f->now, own, &f->err), GK_OK);
    assert_int_equal(take(f, false), 0);
    assert_int_equal(agent_budget_give_back(f->directory, &f->now, own, &f->err), GK_OK);
    /* The oldest that is left is the second of the three. */
    assert_int_equal(take(f, false), 120000 - 2000);
}

static void counts_a_connect_from_when_it_was_sent(void **state)
{
    struct fixture *f = *state;
    int64_t own = f->now.since_boot_ms;

    spend(f);
    f->now.since_boot_ms += 57000;
    assert_int_equal(agent_budget_sent(f->directory, &f->now, own, f->now.since_boot_ms, &f->err),
                     GK_OK);
    f->now.since_boot_ms = own + 120000;
    assert_int_equal(take(f, false), 1000);
    f->now.since_boot_ms = own + 122000;
    assert_int_equal(take(f, false), 0);
    assert_int_equal(take(f, false), 1000);
    f->now.since_boot_ms += 1000;
    assert_int_equal(take(f, false), 0);
    f->now.since_boot_ms += 1000;
    assert_int_equal(take(f, false), 60000 - 4000);
}

static void counts_one_that_was_long_on_its_way(void **state)
{
    struct fixture *f = *state;
    int64_t own = f->now.since_boot_ms;

    assert_int_equal(take(f, false), 0);
    f->now.since_boot_ms += 130000;
    assert_int_equal(agent_budget_sent(f->directory, &f->now, own, f->now.since_boot_ms, &f->err),
                     GK_OK);
    assert_int_equal(take(f, false), AGENT_BUDGET_SPACING_MS);
    assert_int_equal(room(f, 3), 120000);
}

/* What could not be noted when it happened is noted later, and others were there before. */
static void counts_those_that_are_told_late_in_their_order(void **state)
{
    struct fixture *f = *state;
    int64_t own = f->now.since_boot_ms, end = own + AGENT_BUDGET_WINDOW_MS;

    spend(f); /* at own, and a second and two after it */
    assert_int_equal(agent_budget_sent(f->directory, &f->now, own, own + 1500, &f->err), GK_OK);
    assert_int_equal(room(f, 1), end + 1000 - f->now.since_boot_ms);
    assert_int_equal(room(f, 2), end + 1500 - f->now.since_boot_ms);
    /* One that is older than all three. */
    assert_int_equal(agent_budget_sent(f->directory, &f->now, 1, own + 500, &f->err), GK_OK);
    assert_int_equal(room(f, 1), end + 1000 - f->now.since_boot_ms);
}

static void waits_less_after_what_the_hub_did_not_see(void **state)
{
    (void)state;
    assert_int_equal(agent_budget_miss_ms(1, 0, 0), 2000);
    assert_int_equal(agent_budget_miss_ms(2, 0, 0), 4000);
    assert_int_equal(agent_budget_miss_ms(6, 0, 0), 60000);
    assert_int_equal(agent_budget_miss_ms(1000000, 0, 0), 60000);
    assert_int_equal(agent_budget_miss_ms(1, UINT32_MAX, 0), 2999);
    assert_int_equal(agent_budget_miss_ms(40, UINT32_MAX, 0), 89999);
    assert_int_equal(agent_budget_miss_ms(1, 0, 30000), 2000);
    assert_int_equal(agent_budget_miss_ms(1, UINT32_MAX, 30000), 32999);
}

static void counts_across_a_reboot_from_its_beginning(void **state)
{
    struct fixture *f = *state;

    spend(f);
    reboot(f, 5000);
    assert_int_equal(take(f, true), 115000);
    f->now.since_boot_ms = 120000;
    assert_int_equal(take(f, true), 0);
}

static void keeps_the_count_of_failures_across_a_reboot(void **state)
{
    struct fixture *f = *state;

    failed(f, 0);
    failed(f, 0);
    reboot(f, 5000);
    assert_int_equal(take(f, true), 0);
    assert_int_equal(failed(f, 0), 32000);
}

static void does_not_delay_a_boot_after_a_connection_that_lasted(void **state)
{
    struct fixture *f = *state;

    spend(f);
    f->now.since_boot_ms += 120000;
    assert_int_equal(agent_budget_lasted(f->directory, &f->now, &f->err), GK_OK);
    reboot(f, 5000);
    assert_int_equal(take(f, true), 0);
}

static void takes_a_file_that_makes_no_sense_as_a_spent_budget(void **state)
{
    static const char *const texts[] = {
        "x",
        "gatekey-connects 1 11111111-2222-3333-4444-555555555555 0 0 3 1 2",
        "gatekey-connects 1 11111111-2222-3333-4444-555555555555 0 0 9 1 2 3 4 5 6 7 8 9\n",
        "gatekey-connects 1 11111111-2222-3333-4444-555555555555 0 0 1 9999999999\n",
        "gatekey-connects 1 11111111-2222-3333-4444-555555555555 0 0 2 9 8\n",
        "gatekey-connects 1 11111111-2222-3333-4444-555555555555 0 99999999999 0\n",
        "gatekey-connects 2 11111111-2222-3333-4444-555555555555 0 0 0\n",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("%s\n", texts[i]);
        write_file(f, texts[i]);
        assert_int_equal(take(f, false), 120000);
        f->now.since_boot_ms += 119999;
        assert_int_equal(take(f, false), 1);
        f->now.since_boot_ms += 1;
        assert_int_equal(take(f, false), 0);
    }
}

static void follows_no_link(void **state)
{
    struct fixture *f = *state;
    int64_t wait_ms = -1;

    assert_int_equal(symlink("/tmp/elsewhere", f->path), 0);
    assert_int_not_equal(agent_budget_take(f->directory, &f->now, false, &wait_ms, &f->err), GK_OK);
    assert_int_equal(wait_ms, -1);
    assert_non_null(strstr(f->err.object, f->path));
    assert_int_not_equal(access("/tmp/elsewhere", F_OK), 0);
}

static void makes_its_directory(void **state)
{
    struct fixture *f = *state;
    struct stat info;

    assert_int_equal(rmdir(f->directory), 0);
    assert_int_equal(take(f, false), 0);
    assert_int_equal(stat(f->directory, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void leaves_the_file_to_the_directorys_owner(void **state)
{
    struct fixture *f = *state;
    struct stat info;

    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chown(f->directory, 12345, 12346), 0);
    assert_int_equal(take(f, false), 0);
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_uid, 12345);
    assert_int_equal(info.st_gid, 12346);
    assert_int_equal(info.st_mode & 0777, 0600);
}

/* Sixteen processes ask for one CONNECT each, at once. */
static void is_shared_between_processes(void **state)
{
    struct fixture *f = *state;
    int granted = 0;

    for (int i = 0; i < 16; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            int64_t wait_ms = -1;

            f->now.since_boot_ms += i % 2;
            if (agent_budget_take(f->directory, &f->now, false, &wait_ms, NULL) != GK_OK) {
                _exit(2);
            }
            _exit(wait_ms == 0);
        }
    }
    for (int i = 0; i < 16; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        granted += WEXITSTATUS(status);
    }
    assert_int_equal(granted, 1);
}

static void reads_the_time_since_boot(void **state)
{
    struct agent_moment first = { 0 };
    struct agent_moment second = { 0 };
    struct gk_error err = { 0 };

    (void)state;
    assert_int_equal(agent_moment_now(&first, &err), GK_OK);
    assert_int_equal(agent_moment_now(&second, &err), GK_OK);
    assert_true(first.since_boot_ms > 0 && first.since_boot_ms <= second.since_boot_ms);
    assert_int_equal(strlen(first.boot), 36);
    assert_string_equal(first.boot, second.boot);
}

/* Whoever runs the service may hold it for ever. */
static void waits_for_no_holder_for_ever(void **state)
{
    struct fixture *f = *state;
    int64_t wait_ms = -1;
    int fd;

    assert_int_equal(take(f, false), 0);
    fd = open(f->path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    alarm(60); /* ends the test where it hangs */
    assert_int_equal(agent_budget_room(f->directory, &f->now, 1, &wait_ms, &f->err), GK_BUSY);
    alarm(0);
    assert_non_null(strstr(f->err.object, f->path));
    close(fd);
    assert_int_equal(agent_budget_room(f->directory, &f->now, 1, &wait_ms, &f->err), GK_OK);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(waits_for_no_holder_for_ever),
        CLAIM(grants_three_in_two_minutes),
        CLAIM(tells_room_for_several_and_takes_none),
        CLAIM(grants_one_a_second),
        CLAIM(never_exceeds_the_budget_whoever_asks_and_whenever),
        CLAIM(doubles_the_wait_and_only_lengthens_it),
        CLAIM(spreads_those_that_lost_their_connection),
        CLAIM(makes_the_service_wait_and_not_the_person),
        CLAIM(starts_over_after_a_connection_that_lasted),
        CLAIM(gives_back_what_was_not_used),
        CLAIM(gives_back_its_own_and_no_other),
        CLAIM(counts_a_connect_from_when_it_was_sent),
        CLAIM(counts_one_that_was_long_on_its_way),
        CLAIM(counts_those_that_are_told_late_in_their_order),
        CLAIM(waits_less_after_what_the_hub_did_not_see),
        CLAIM(counts_across_a_reboot_from_its_beginning),
        CLAIM(keeps_the_count_of_failures_across_a_reboot),
        CLAIM(does_not_delay_a_boot_after_a_connection_that_lasted),
        CLAIM(takes_a_file_that_makes_no_sense_as_a_spent_budget),
        CLAIM(follows_no_link),
        CLAIM(makes_its_directory),
        CLAIM(leaves_the_file_to_the_directorys_owner),
        CLAIM(is_shared_between_processes),
        CLAIM(reads_the_time_since_boot),
    };

    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
