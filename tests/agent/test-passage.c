/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says goes on, whatever is held of what it is told. */
#include "agent/broker/passage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cmocka.h>

#define ROUNDS 100

static uint64_t handed, answered;
static int epoll, client, broker; /* the ends that are not ours */
static struct passage *passage;
static char buffer[PASSAGE_CHUNK];

uint64_t door_handed(const struct door *door)
{
    (void)door;
    return handed;
}

uint64_t door_answered(const struct door *door)
{
    (void)door;
    return answered;
}

static int begin(void **state)
{
    int outer[2], inner[2];

    (void)state;
    handed = answered = 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, outer), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, inner), 0);
    client = outer[0];
    broker = inner[0];
    passage = passage_new(epoll, outer[1], inner[1]);
    assert_non_null(passage);
    return 0;
}

static int end(void **state)
{
    (void)state;
    passage_free(passage);
    close(client);
    close(broker);
    close(epoll);
    return 0;
}

static void move(void)
{
    while (passage_move(passage, epoll, NULL, buffer)) {
    }
}

/* As the gate does, for what epoll says at once. */
static void go_on(void)
{
    struct epoll_event events[2];

    for (int i = 0; i < ROUNDS; i++) {
        int count = epoll_wait(epoll, events, 2, 0);

        for (int j = 0; j < count; j++) {
            passage_note(events[j].data.ptr, events[j].events);
        }
        if (count <= 0) {
            return;
        }
        move();
    }
    fail_msg("it is woken up for nothing");
}

static void release(void)
{
    answered = handed;
    move();
    go_on();
}

static size_t drain(int fd)
{
    size_t size = 0;
    ssize_t got;

    while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
        size += (size_t)got;
    }
    return size;
}

/* The client talks until nobody takes any more. How much it said. */
static size_t talk(void)
{
    static const char words[PASSAGE_CHUNK];
    size_t size = 0;

    for (ssize_t sent; (sent = send(client, words, sizeof(words), 0)) > 0; go_on()) {
        size += (size_t)sent;
    }
    return size;
}

static void test_a_client_that_is_held_is_heard(void **state)
{
    size_t said, heard;

    (void)state;
    handed = 1;
    assert_int_equal(send(broker, "a", 1, 0), 1);
    go_on();
    assert_int_equal(drain(client), 0); /* it is held */
    said = talk();
    heard = drain(broker);
    assert_true(heard > 0 && heard < said);
    for (int i = 0; i < ROUNDS && heard < said; i++) {
        go_on();
        heard += drain(broker);
    }
    assert_int_equal(heard, said);
    assert_int_equal(drain(client), 0);
    release();
    assert_int_equal(drain(client), 1);
}

static void test_what_is_said_meanwhile_wakes_it_once_at_most(void **state)
{
    (void)state;
    handed = 1;
    assert_int_equal(send(broker, "a", 1, 0), 1);
    go_on();
    talk();
    for (int i = 0; i < 3; i++) {
        struct epoll_event event;

        assert_int_equal(send(broker, "b", 1, 0), 1);
        go_on();
        assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
    }
    release();
    assert_int_equal(drain(client), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_client_that_is_held_is_heard, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_said_meanwhile_wakes_it_once_at_most, begin,
                                        end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
