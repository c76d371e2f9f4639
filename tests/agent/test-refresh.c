/* SPDX-License-Identifier: Apache-2.0 */
/* When lists are asked for again, and what is remembered of them. */
#include "agent/command/refresh.h"

#include "tests/agent/authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW ((int64_t)2000000000)
#define HOUR_S ((int64_t)3600)

struct fixture {
    struct agent_config config;
    struct agent_openssl *openssl;
    struct authority ca;
    struct gk_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char directory[256];

    assert_non_null(getcwd(directory, sizeof(directory)));
    f->config = (struct agent_config){
        .tcti = (char *)"device:/nonexistent",
        .directory = strdup(directory),
        .provider = (char *)"default",
        .refresh_s = 24 * HOUR_S,
    };
    assert_int_equal(agent_openssl_new(&f->config, &f->openssl, &f->err), GK_OK);
    f->ca = authority_make("CA");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    authority_clear(&f->ca);
    agent_openssl_free(f->openssl);
    free(f->config.directory);
    free(f);
    return 0;
}

/* When to ask again after a list with these dates came. */
static int64_t next_after(struct fixture *f, int64_t this_update, int64_t next_update)
{
    struct refresh_item item = { .failures = 3, .error = "x" };
    X509_CRL *made = crl_make(&(struct crl_recipe){
        .issuer = &f->ca, .this_update = this_update, .next_update = next_update });
    struct agent_crl *crl;
    size_t size;
    unsigned char *data = crl_encode(made, false, &size);

    assert_int_equal(agent_crl_parse(f->openssl, data, size, &crl, &f->err), GK_OK);
    refresh_note_success(&f->config, &item, NOW, crl);
    assert_int_equal(item.checked, NOW);
    assert_int_equal(item.failures, 0);
    assert_string_equal(item.error, "");
    agent_crl_free(crl);
    X509_CRL_free(made);
    free(data);
    return item.next - NOW;
}

static void asks_as_often_as_configured_and_before_a_list_is_over(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(next_after(f, NOW, NOW + 30 * 24 * HOUR_S), 24 * HOUR_S);
    /* The last tenth of ten hours begins after nine. */
    assert_int_equal(next_after(f, NOW, NOW + 10 * HOUR_S), 9 * HOUR_S);
    assert_int_equal(next_after(f, NOW - 8 * HOUR_S, NOW + 2 * HOUR_S), HOUR_S);
    /* Within the last tenth, and past the end: soon, but not at once. */
    assert_int_equal(next_after(f, NOW - 99 * HOUR_S, NOW + HOUR_S), 60);
    assert_int_equal(next_after(f, NOW - 2 * HOUR_S, NOW - HOUR_S), 900);
    f->config.refresh_s = 10;
    assert_int_equal(next_after(f, NOW - 2 * HOUR_S, NOW - HOUR_S), 10);
    f->config.refresh_s = 24 * HOUR_S;
}

static void asks_less_and_less_often_after_failures(void **state)
{
    struct fixture *f = *state;
    struct refresh_item item = { .checked = 7 };
    int64_t expected[] = { 60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 15360 };

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        refresh_note_failure(&f->config, &item, NOW, "no\x1b[2Jbody answers");
        assert_int_equal(item.next - NOW, expected[i]);
    }
    assert_int_equal(item.checked, 7);
    assert_string_equal(item.error, "no?[2Jbody answers");
    f->config.refresh_s = 600;
    refresh_note_failure(&f->config, &item, NOW, "");
    assert_int_equal(item.next - NOW, 600);
    f->config.refresh_s = 24 * HOUR_S;
}

static void is_due_by_time_address_and_a_clock_that_went_back(void **state)
{
    struct refresh_item item = { .url = "http://a/", .tried = NOW, .next = NOW + 10 };

    (void)state;
    assert_false(refresh_is_due(&item, "http://a/", NOW));
    assert_true(refresh_is_due(&item, "http://a/", NOW + 10));
    assert_true(refresh_is_due(&item, "http://b/", NOW));
    assert_true(refresh_is_due(&item, "http://a/", NOW - HOUR_S));
}

static void remembers_what_it_is_told(void **state)
{
    struct fixture *f = *state;
    static struct refresh_memory memory, read;
    struct refresh_item *item = &memory.items[REFRESH_SERVER_CRL];

    assert_int_equal(refresh_memory_read(&f->config, &read, &f->err), GK_OK);
    assert_int_equal(read.removed_count, 0);
    *item = (struct refresh_item){ .url = "http://a/\"b\"",
                                   .etag = "\"t\"",
                                   .modified = "m",
                                   .error = "e",
                                   .checked = 1,
                                   .tried = 2,
                                   .next = 3,
                                   .failures = 4 };
    refresh_note_removed(&memory, f->ca.x509);
    assert_int_equal(refresh_memory_write(&f->config, &memory, &f->err), GK_OK);
    assert_int_equal(refresh_memory_read(&f->config, &read, &f->err), GK_OK);
    assert_memory_equal(&read.items[REFRESH_SERVER_CRL].checked, &item->checked,
                        4 * sizeof(int64_t));
    assert_string_equal(read.items[REFRESH_SERVER_CRL].url, item->url);
    assert_string_equal(read.items[REFRESH_SERVER_CRL].etag, item->etag);
    assert_true(refresh_was_removed(&read, f->ca.x509));
    refresh_forget_removed(&read, f->ca.x509);
    assert_false(refresh_was_removed(&read, f->ca.x509));
    file_write(f->config.directory, GK_FILE_REFRESH, "{}", 2);
    assert_int_equal(refresh_memory_read(&f->config, &read, &f->err), GK_BAD_FILE);
}

static void forgets_the_oldest_removal_only(void **state)
{
    struct fixture *f = *state;
    static struct refresh_memory memory;
    X509 *first = NULL, *last = NULL;

    for (long serial = 1; serial <= REFRESH_REMOVED_MAX + 1; serial++) {
        X509_free(last);
        last = certificate_make(
            &(struct certificate_recipe){ .name = "R", .key = f->ca.key, .serial = serial });
        if (serial == 1) {
            first = last;
            X509_up_ref(first);
        }
        refresh_note_removed(&memory, last);
        refresh_note_removed(&memory, last);
        assert_true(refresh_was_removed(&memory, last));
        assert_int_equal(refresh_was_removed(&memory, first), serial <= REFRESH_REMOVED_MAX);
    }
    assert_int_equal(memory.removed_count, REFRESH_REMOVED_MAX);
    X509_free(first);
    X509_free(last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_as_often_as_configured_and_before_a_list_is_over),
        cmocka_unit_test(asks_less_and_less_often_after_failures),
        cmocka_unit_test(is_due_by_time_address_and_a_clock_that_went_back),
        cmocka_unit_test(remembers_what_it_is_told),
        cmocka_unit_test(forgets_the_oldest_removal_only),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
