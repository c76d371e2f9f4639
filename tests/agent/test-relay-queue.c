/* SPDX-License-Identifier: Apache-2.0 */
/* What is on its way to applications: in order, bounded, again over each connection, not for long.
 */
#include "agent/service/relay-internal.h"
#include "tests/agent/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <mqtt_protocol.h>

static struct relay relay;

/* What libmosquitto was given, and what it says to that. */
static struct published {
    char topic[100];
    char text[100];
    bool retain;
    uint32_t expiry_s; /* 0: none */
    int mid;
} published[1000];
static size_t count;
static int answer;

int mosquitto_publish_v5(struct mosquitto *mosquitto, int *mid, const char *topic, int size,
                         const void *payload, int qos, bool retain,
                         const mosquitto_property *properties)
{
    struct published *one = &published[count];

    (void)mosquitto;
    assert_int_equal(qos, 1);
    if (answer != MOSQ_ERR_SUCCESS) {
        return answer;
    }
    *one = (struct published){ .retain = retain, .mid = (int)++count };
    *mid = one->mid;
    snprintf(one->topic, sizeof(one->topic), "%s", topic);
    snprintf(one->text, sizeof(one->text), "%.*s", size, (const char *)payload);
    mosquitto_property_read_int32(properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &one->expiry_s,
                                  false);
    return MOSQ_ERR_SUCCESS;
}

static int begin(void **state)
{
    (void)state;
    relay = (struct relay){ .connected = true };
    count = 0;
    answer = MOSQ_ERR_SUCCESS;
    return 0;
}

static int end(void **state)
{
    (void)state;
    relay_queue_free(&relay);
    assert_int_equal(relay.count, 0);
    assert_int_equal(relay.bytes, 0);
    return 0;
}

static enum gk_status put_as(const char *text, bool retain, uint64_t life_ms)
{
    const struct outgoing outgoing = { .topic = "x",
                                       .payload = text,
                                       .size = strlen(text),
                                       .retain = retain,
                                       .end_ms = life_ms > 0 ? loop_now_ms() + life_ms : 0 };
    struct gk_error err = { 0 };

    return relay_queue_put(&relay, &outgoing, &err);
}

static enum gk_status put(const char *text)
{
    return put_as(text, false, 0);
}

static void disconnect(void)
{
    relay.connected = false;
    relay_queue_down(&relay);
}

static void connect_again(void)
{
    relay.connected = true;
    relay_queue_up(&relay);
}

/* What was published from there on, each followed by a blank. */
static const char *since(size_t first)
{
    static char text[1000];

    text[0] = '\0';
    for (size_t i = first; i < count; i++) {
        size_t length = strlen(text);

        snprintf(text + length, sizeof(text) - length, "%s ", published[i].text);
    }
    return text;
}

static void sends_again_what_the_broker_did_not_acknowledge(void **state)
{
    (void)state;
    assert_int_equal(put("a"), GK_OK);
    assert_int_equal(put("b"), GK_OK);
    assert_int_equal(put("c"), GK_OK);
    assert_string_equal(published[0].topic, "gatekey/x");
    assert_string_equal(since(0), "a b c ");
    relay_queue_done(&relay, published[2].mid, 0);
    relay_queue_done(&relay, published[1].mid, 0);
    relay_queue_done(&relay, 4711, 0);
    assert_int_equal(relay.count, 1);
    assert_int_equal(put("d"), GK_OK);
    disconnect();
    assert_int_equal(put("e"), GK_OK);
    assert_string_equal(since(4), "");
    connect_again();
    assert_string_equal(since(4), "a d e ");
    relay_queue_done(&relay, published[5].mid, 0);
    relay_queue_done(&relay, published[6].mid, 0);
    relay_queue_done(&relay, published[4].mid, 0);
    assert_int_equal(relay.count, 0);
    assert_int_equal(relay.published, 5);
    assert_int_equal(relay.lost, 0);
}

/* The number of a message that was not sent over this connection is another's by now. */
static void takes_no_old_acknowledgement_for_a_new_one(void **state)
{
    (void)state;
    assert_int_equal(put("a"), GK_OK);
    disconnect();
    relay_queue_done(&relay, published[0].mid, 0);
    assert_int_equal(relay.count, 1);
}

static void keeps_for_half_a_minute(void **state)
{
    (void)state;
    disconnect();
    assert_int_equal(put("a"), GK_OK);
    loop_pass(1);
    assert_int_equal(put("b"), GK_OK);
    loop_pass(29999);
    connect_again();
    assert_string_equal(since(0), "b ");
    assert_int_equal(relay.lost, 1);
    loop_pass(60000);
    assert_int_equal(put("c"), GK_OK);
    assert_int_equal(relay.count, 2); /* the broker has b, and is to say so */
    assert_int_equal(relay.lost, 1);
}

static void keeps_256_and_two_mebibytes(void **state)
{
    static char large[1024 * 1024 + 1];

    (void)state;
    disconnect();
    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(put("a"), GK_OK);
    }
    assert_int_equal(put("b"), GK_BUSY);
    assert_int_equal(put_as("status", true, 0), GK_OK); /* it is wanted for as long as we live */
    connect_again();
    for (size_t i = 0; i < count; i++) {
        relay_queue_done(&relay, published[i].mid, 0);
    }
    assert_int_equal(relay.count, 0);
    disconnect();
    memset(large, 'x', sizeof(large) - 1);
    assert_int_equal(put(large), GK_OK);
    assert_int_equal(put(large), GK_OK);
    assert_int_equal(put("b"), GK_BUSY);
    loop_pass(30000);
    assert_int_equal(put("b"), GK_OK);
    assert_int_equal(relay.lost, 2);
    assert_int_equal(relay.bytes, 1);
}

static void retains_the_newest_for_each_connection(void **state)
{
    (void)state;
    assert_int_equal(put_as("one", true, 0), GK_OK);
    assert_int_equal(put_as("two", true, 0), GK_OK);
    loop_pass(3600000);
    disconnect();
    connect_again();
    assert_string_equal(since(0), "one two two ");
    assert_true(published[2].retain);
    assert_int_equal(relay.count, 0);
}

/* Carried out later than the hub waits, or twice, it would do harm. */
static void hands_a_command_on_once_and_in_time(void **state)
{
    (void)state;
    assert_int_equal(put_as("a", false, 30000), GK_OK);
    assert_int_equal(published[0].expiry_s, 29);
    disconnect();
    assert_int_equal(put_as("b", false, 30000), GK_OK);
    assert_int_equal(put_as("c", false, 12000), GK_OK);
    assert_int_equal(put("d"), GK_OK);
    loop_pass(10000); /* two seconds is too little for a broker that counts them */
    connect_again();
    assert_string_equal(since(1), "b d ");
    assert_int_equal(published[1].expiry_s, 19);
    assert_int_equal(published[2].expiry_s, 0);
    assert_int_equal(relay.lost, 2);
    assert_int_equal(put_as("e", false, 2000), GK_BUSY);
    assert_int_equal(put_as("f", false, 2001), GK_OK);
    assert_true(published[3].expiry_s > 0);
    relay.old = true;
    assert_int_equal(put_as("g", false, 30000), GK_OK);
    assert_int_equal(published[4].expiry_s, 0);
}

static void keeps_nothing_that_the_library_will_not_take(void **state)
{
    static char topic[UINT16_MAX];
    const struct outgoing outgoing = { .topic = topic, .payload = "" };
    struct gk_error err = { 0 };

    (void)state;
    answer = MOSQ_ERR_PAYLOAD_SIZE;
    assert_int_equal(put("a"), GK_USAGE);
    answer = MOSQ_ERR_NOMEM;
    assert_int_equal(put("a"), GK_NO_MEMORY);
    answer = MOSQ_ERR_SUCCESS;
    disconnect();
    connect_again();
    assert_string_equal(since(0), "");
    assert_int_equal(relay.published, 0);
    /* "gatekey/" goes before it. */
    memset(topic, 'x', UINT16_MAX - 8);
    assert_int_equal(relay_queue_put(&relay, &outgoing, &err), GK_OK);
    topic[UINT16_MAX - 8] = 'x';
    assert_int_equal(relay_queue_put(&relay, &outgoing, &err), GK_USAGE);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(sends_again_what_the_broker_did_not_acknowledge),
        CLAIM(takes_no_old_acknowledgement_for_a_new_one),
        CLAIM(keeps_for_half_a_minute),
        CLAIM(keeps_256_and_two_mebibytes),
        CLAIM(retains_the_newest_for_each_connection),
        CLAIM(hands_a_command_on_once_and_in_time),
        CLAIM(keeps_nothing_that_the_library_will_not_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
