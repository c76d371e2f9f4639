/* SPDX-License-Identifier: Apache-2.0 */
/* Which commands there are, whose turn it is, which came before, and what flow control says. */
#include "agent/service/commands.h"
#include "agent/service/seen.h"
#include "agent/service/service.h"
#include "agent/service/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct agent_handler program = { (char *)"a", NULL };

/* A command on that topic, for a program or for the applications. */
static struct command *make(const char *rest, const struct agent_handler *handler, size_t size)
{
    static char payload[COMMANDS_BYTES];
    const struct command_kind *kind = command_kind_of(rest);
    struct command *command;

    assert_non_null(kind);
    command = command_new(kind, rest, NULL, payload, size);
    assert_non_null(command);
    command->handler = handler;
    return command;
}

static enum gk_status put_sized(struct commands *commands, const char *rest, size_t size)
{
    CLEANUP(command_freep) struct command *command = make(rest, NULL, size);
    struct gk_error err = { 0 };

    return commands_put(commands, &command, &err);
}

static enum gk_status put(struct commands *commands, const char *rest)
{
    return put_sized(commands, rest, 1);
}

static void put_for_program(struct commands *commands, const char *rest)
{
    struct command *command = make(rest, &program, 1);
    struct gk_error err = { 0 };

    assert_int_equal(commands_put(commands, &command, &err), GK_OK);
}

static void knows_what_is_a_command(void **state)
{
    static const struct {
        const char *rest, *name, *answer;
    } commands[] = {
        { "thing/service/reboot", "reboot", "thing/service/reboot_reply" },
        { "thing/service/enable", "enable", "thing/service/enable_reply" },
        { "thing/service/measurepoint/get", "measurepoint/get",
          "thing/service/measurepoint/get_reply" },
        { "thing/enable", "thing/enable", "thing/enable_reply" },
        { "thing/delete", "thing/delete", "thing/delete_reply" },
        { "thing/model/down_raw", "thing/model/down_raw", "thing/model/down_raw_reply" },
        { "rrpc/request/17", "rrpc/request", "rrpc/response/17" },
        { "traffic/control", "traffic/control", "traffic/control" },
    };
    static const char *const others[] = { "thing/service/reboot_reply",
                                          "thing/service/",
                                          "thing/service/a//b",
                                          "thing/service/a b",
                                          "thing/model/down_raw_reply",
                                          "thing/model/up_raw",
                                          "thing/enabled",
                                          "rrpc/request/",
                                          "rrpc/response/17",
                                          "ota/device/upgrade",
                                          "" };

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command_kind *kind = command_kind_of(commands[i].rest);
        char topic[ENOS_TOPIC_MAX];

        assert_non_null(kind);
        assert_string_equal(command_name(kind, commands[i].rest), commands[i].name);
        command_answer_topic(commands[i].rest, topic);
        assert_string_equal(topic, commands[i].answer);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_null(command_kind_of(others[i]));
    }
}

static void gives_turns_by_name_in_their_order(void **state)
{
    struct commands commands = { 0 };
    struct command *first, *second;

    (void)state;
    assert_int_equal(put(&commands, "thing/service/a"), GK_OK);
    assert_int_equal(put(&commands, "thing/service/a"), GK_OK);
    assert_int_equal(put(&commands, "thing/service/b"), GK_OK);
    first = commands_next(&commands, service_now_ms());
    assert_ptr_equal(first, commands.first);
    first->begun = true;
    second = commands_next(&commands, service_now_ms());
    assert_string_equal(second->rest, "thing/service/b");
    second->begun = true;
    assert_null(commands_next(&commands, service_now_ms()));
    assert_ptr_equal(commands_under_way(&commands, "thing/service/a"), first);
    commands_remove(&commands, first);
    command_free(first);
    first = commands_next(&commands, service_now_ms());
    assert_non_null(first);
    assert_string_equal(first->rest, "thing/service/a");
    assert_null(commands_under_way(&commands, "thing/service/a"));
    commands_clear(&commands);
    assert_int_equal(commands_count(&commands), 0);
}

static void runs_four_programs_at_a_time(void **state)
{
    static char running; /* only whether there is one is looked at */
    struct commands commands = { 0 };
    char rest[32];

    (void)state;
    for (int i = 0; i < 5; i++) {
        snprintf(rest, sizeof(rest), "thing/service/s%d", i);
        put_for_program(&commands, rest);
    }
    assert_int_equal(commands_count(&commands), 5);
    assert_false(commands_run_programs(&commands));
    for (int i = 0; i < 4; i++) {
        struct command *command = commands_next(&commands, service_now_ms());

        assert_non_null(command);
        command->begun = true;
        command->run = (struct handler_run *)(void *)&running;
    }
    assert_null(commands_next(&commands, service_now_ms()));
    assert_true(commands_run_programs(&commands));
    assert_int_equal(put(&commands, "thing/service/other"), GK_OK);
    assert_string_equal(commands_next(&commands, service_now_ms())->rest, "thing/service/other");
    for (struct command *c = commands.first; c != NULL; c = c->next) {
        c->run = NULL;
    }
    assert_string_equal(commands_next(&commands, service_now_ms())->rest, "thing/service/s4");
    commands_clear(&commands);
}

static void is_bounded(void **state)
{
    struct commands commands = { 0 };
    char rest[32];

    (void)state;
    for (int i = 0; i < COMMANDS_OF_A_NAME; i++) {
        assert_int_equal(put(&commands, "thing/service/a"), GK_OK);
    }
    assert_int_equal(put(&commands, "thing/service/a"), GK_BUSY);
    for (int i = 0; i < COMMANDS_MAX - COMMANDS_OF_A_NAME; i++) {
        snprintf(rest, sizeof(rest), "thing/service/s%d", i);
        assert_int_equal(put(&commands, rest), GK_OK);
    }
    assert_int_equal(put(&commands, "thing/service/more"), GK_BUSY);
    commands_clear(&commands);
    assert_int_equal(put_sized(&commands, "thing/service/a", COMMANDS_BYTES / 2), GK_OK);
    assert_int_equal(put_sized(&commands, "thing/service/b", COMMANDS_BYTES / 2), GK_OK);
    assert_int_equal(put_sized(&commands, "thing/service/c", 1), GK_BUSY);
    commands_clear(&commands);
}

static void ends_what_takes_too_long(void **state)
{
    struct commands commands = { 0 };
    uint64_t now = service_now_ms();
    struct command *command;

    (void)state;
    assert_int_equal(commands_deadline(&commands), UINT64_MAX);
    assert_int_equal(put(&commands, "thing/service/a"), GK_OK);
    command = commands.first;
    /* As after a sleep: it is not begun, whatever came first then. */
    assert_ptr_equal(commands_next(&commands, commands_deadline(&commands) - 1), command);
    assert_null(commands_next(&commands, commands_deadline(&commands)));
    /* Before there is too little time left to begin; and before the hub gives up. */
    assert_true(commands_deadline(&commands) >= now + COMMAND_BEGIN_MS);
    assert_true(commands_deadline(&commands) < now + COMMAND_END_MS);
    command->begun = true;
    assert_true(commands_deadline(&commands) >= now + COMMAND_END_MS);
    assert_true(commands_deadline(&commands) < now + COMMAND_LIFE_MS);
    assert_null(commands_expired(&commands, commands_deadline(&commands) - 1));
    assert_ptr_equal(commands_expired(&commands, commands_deadline(&commands)), command);
    /* A program is ended by its own clock. */
    command->handler = &program;
    assert_int_equal(commands_deadline(&commands), UINT64_MAX);
    commands_clear(&commands);
}

static void knows_what_came_before(void **state)
{
    static struct seen seen;
    CLEANUP(json_freep) json_t *text = json_string("7");
    CLEANUP(json_freep) json_t *number = json_integer(7);

    (void)state;
    assert_false(seen_before(&seen, "thing/service/a", text, 1000));
    assert_true(seen_before(&seen, "thing/service/a", text, 1000));
    assert_false(seen_before(&seen, "thing/service/b", text, 1000));
    assert_false(seen_before(&seen, "thing/service/a", number, 1000));
    assert_false(seen_before(&seen, "rrpc/request/7", NULL, 1000));
    assert_true(seen_before(&seen, "rrpc/request/7", NULL, 1000));
    assert_true(seen_before(&seen, "thing/service/a", text, 1000 + SEEN_MS - 1));
    assert_false(seen_before(&seen, "thing/service/a", text, 1000 + SEEN_MS));
    seen_clear(&seen);
}

static void takes_for_new_what_was_turned_down_but_not_its_copy(void **state)
{
    static struct seen seen;
    CLEANUP(json_freep) json_t *id = json_string("7");
    CLEANUP(json_freep) json_t *other = json_string("8");

    (void)state;
    assert_false(seen_before(&seen, "thing/service/a", id, 1000));
    assert_false(seen_before(&seen, "thing/service/a", other, 1000));
    seen_release(&seen, "thing/service/a", id, 1000);
    assert_true(seen_before(&seen, "thing/service/a", id, 1000 + SEEN_COPY_MS - 1));
    assert_false(seen_before(&seen, "thing/service/a", id, 1000 + SEEN_COPY_MS));
    /* And once it was taken it counts as any other. */
    assert_true(seen_before(&seen, "thing/service/a", id, 1000 + SEEN_COPY_MS + SEEN_MS - 1));
    assert_true(seen_before(&seen, "thing/service/a", other, 1000 + SEEN_MS - 1));
    /* What is not known, or nearly over, is let alone. */
    seen_release(&seen, "thing/service/b", id, 1000);
    seen_release(&seen, "thing/service/a", other, 1000 + SEEN_MS - 1);
    assert_false(seen_before(&seen, "thing/service/a", other, 1000 + SEEN_MS));
    seen_clear(&seen);
}

static void forgets_the_oldest_of_many(void **state)
{
    static struct seen seen;

    (void)state;
    for (int i = 0; i <= SEEN_MAX; i++) {
        CLEANUP(json_freep) json_t *id = json_integer(i);

        assert_false(seen_before(&seen, "thing/service/a", id, 1000));
    }
    for (int i = SEEN_MAX; i > 0; i--) {
        CLEANUP(json_freep) json_t *id = json_integer(i);

        assert_true(seen_before(&seen, "thing/service/a", id, 1000));
    }
    seen_clear(&seen);
}

static void reads_a_time_where_one_is_stated(void **state)
{
    static const struct {
        const char *params;
        unsigned pause_ms;
    } rows[] = {
        { "{}", TRAFFIC_PAUSE_MS },
        { "[5]", TRAFFIC_PAUSE_MS },
        { "{\"rate\":5}", TRAFFIC_PAUSE_MS },
        { "{\"duration\":\"5\"}", TRAFFIC_PAUSE_MS },
        { "{\"duration\":0}", TRAFFIC_PAUSE_MS },
        { "{\"duration\":-1}", TRAFFIC_PAUSE_MS },
        { "{\"seconds\":-9223372036854775807}", TRAFFIC_PAUSE_MS },
        { "{\"duration\":-9223372036854775808}", TRAFFIC_PAUSE_MS },
        { "{\"duration\":5}", 5000 },
        { "{\"duration\":999}", TRAFFIC_PAUSE_MAX_MS },
        { "{\"duration\":1000}", 1000 },
        { "{\"duration\":5000}", 5000 },
        { "{\"seconds\":600}", TRAFFIC_PAUSE_MAX_MS },
        { "{\"seconds\":599}", 599000 },
        { "{\"milliseconds\":5}", TRAFFIC_PAUSE_MIN_MS },
        { "{\"pause\":2,\"retryAfter\":30}", 30000 },
        { "{\"seconds\":9223372036854775807}", TRAFFIC_PAUSE_MAX_MS },
        { "{\"duration\":9223372036854775807}", TRAFFIC_PAUSE_MAX_MS },
    };

    (void)state;
    assert_int_equal(traffic_pause_ms(NULL), TRAFFIC_PAUSE_MS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP(json_freep) json_t *params = json_loads(rows[i].params, 0, NULL);

        assert_non_null(params);
        assert_int_equal(traffic_pause_ms(params), rows[i].pause_ms);
    }
}

/* A broker may send us what we answered ourselves. */
static void knows_its_own_answer_to_flow_control(void **state)
{
    static const struct {
        const char *message;
        bool is_answer;
    } rows[] = {
        { "{\"id\":\"1\",\"code\":200}", true },
        { "{\"id\":\"1\",\"code\":200,\"method\":\"traffic.control\"}", false },
        { "{\"id\":\"1\",\"method\":\"traffic.control\"}", false },
        { "{\"id\":\"1\"}", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP(json_freep) json_t *message = json_loads(rows[i].message, 0, NULL);

        assert_int_equal(traffic_is_answer(message), rows[i].is_answer);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_is_a_command),
        cmocka_unit_test(gives_turns_by_name_in_their_order),
        cmocka_unit_test(runs_four_programs_at_a_time),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(ends_what_takes_too_long),
        cmocka_unit_test(knows_what_came_before),
        cmocka_unit_test(takes_for_new_what_was_turned_down_but_not_its_copy),
        cmocka_unit_test(forgets_the_oldest_of_many),
        cmocka_unit_test(reads_a_time_where_one_is_stated),
        cmocka_unit_test(knows_its_own_answer_to_flow_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
