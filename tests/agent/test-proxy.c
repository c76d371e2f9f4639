/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy is asked, and what its refusals mean. */
#include "agent/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static char host_name[] = "proxy.example";
static const struct agent_proxy plain = { .kind = AGENT_PROXY_HTTP,
                                          .host = host_name,
                                          .port = 3128 };

/* What was read of it, as "KIND HOST PORT USER". */
static const char *read_as(const char *text)
{
    static char found[200];
    struct agent_proxy proxy = { 0 };
    char copy[100];
    const struct agent_config config = { .proxy = copy };
    struct gk_error err = { 0 };

    snprintf(copy, sizeof(copy), "%s", text);
    if (agent_proxy_read(&config, &proxy, &err) != GK_OK) {
        agent_proxy_clear(&proxy);
        return "refused";
    }
    snprintf(found, sizeof(found), "%s %s %u %s",
             proxy.kind == AGENT_PROXY_SOCKS5 ? "socks5" : "http", proxy.host, proxy.port,
             proxy.user != NULL ? proxy.user : "-");
    agent_proxy_clear(&proxy);
    assert_null(proxy.host);
    return found;
}

static void reads_where_the_proxy_is(void **state)
{
    const struct agent_config none = { 0 };
    struct agent_proxy proxy = { 0 };

    (void)state;
    assert_string_equal(read_as("http://proxy.example:3128"), "http proxy.example 3128 -");
    assert_string_equal(read_as("socks5://me@10.0.0.1:1080"), "socks5 10.0.0.1 1080 me");
    assert_string_equal(read_as("socks5://[::1]:65535"), "socks5 ::1 65535 -");
    assert_string_equal(read_as("http://a@b@[fe80::1]:80"), "http fe80::1 80 a@b");
    assert_string_equal(read_as("http://:80"), "refused");
    assert_string_equal(read_as("http://proxy"), "refused");
    assert_int_equal(agent_proxy_read(&none, &proxy, NULL), GK_OK);
    assert_int_equal(proxy.kind, AGENT_PROXY_NONE);
}

static void asks_for_a_tunnel(void **state)
{
    static char user[] = "Aladdin";
    static const char word[] = "open sesame"; /* RFC 7617's own example */
    struct agent_proxy proxy = plain;
    char *text = NULL;

    (void)state;
    assert_int_equal(agent_proxy_request(&proxy, "hub.example", 18883, &text, NULL), GK_OK);
    assert_string_equal(text,
                        "CONNECT hub.example:18883 HTTP/1.1\r\nHost: hub.example:18883\r\n\r\n");
    free(text);
    assert_int_equal(agent_proxy_request(&proxy, "2001:db8::1", 1, &text, NULL), GK_OK);
    assert_string_equal(text, "CONNECT [2001:db8::1]:1 HTTP/1.1\r\nHost: [2001:db8::1]:1\r\n\r\n");
    free(text);
    proxy.user = user;
    memcpy(proxy.password.text, word, sizeof(word));
    proxy.password.size = strlen(word);
    assert_int_equal(agent_proxy_request(&proxy, "h", 1, &text, NULL), GK_OK);
    assert_string_equal(text, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nProxy-Authorization: Basic "
                              "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
    free(text);
}

static enum gk_status judge(const struct agent_proxy *proxy, const char *head, const char *words)
{
    struct gk_error err = { 0 };
    enum gk_status status = agent_proxy_judge(proxy, head, "hub.example", &err);

    if (status != GK_OK) {
        assert_non_null(strstr(err.object, "proxy proxy.example port 3128: "));
        assert_non_null(strstr(err.object, words));
    }
    return status;
}

static void understands_what_an_http_proxy_says(void **state)
{
    static char user[] = "me";
    struct agent_proxy known = plain;

    (void)state;
    known.user = user;
    assert_int_equal(judge(&plain, "HTTP/1.1 200 Connection established\r\n\r\n", ""), GK_OK);
    assert_int_equal(judge(&plain, "HTTP/1.0 299 x\r\n\r\n", ""), GK_OK);
    assert_int_equal(judge(&plain, "HTTP/1.1 199 x", "it makes no tunnel, HTTP 199"), GK_PROXY);
    assert_int_equal(judge(&plain, "HTTP/1.1 300 x", "it makes no tunnel, HTTP 300"), GK_PROXY);
    assert_int_equal(judge(&plain, "HTTP/1.1 407 x", "wants a user and a password"), GK_PROXY);
    assert_int_equal(judge(&known, "HTTP/1.1 407 x", "refuses this user and password"), GK_PROXY);
    assert_int_equal(judge(&plain, "HTTP/1.1 403 x", "it forbids this host or port"), GK_PROXY);
    for (unsigned code = 502; code <= 504; code++) {
        char head[32];

        snprintf(head, sizeof(head), "HTTP/1.1 %u x", code);
        assert_int_equal(judge(&plain, head, "it cannot reach the hub"), GK_UNREACHABLE);
    }
    assert_int_equal(judge(&plain, "HTTP/1.1 501 x", "it makes no tunnel"), GK_PROXY);
    assert_int_equal(judge(&plain, "SSH-2.0-x", "what it says is no HTTP"), GK_PROXY);
    assert_int_equal(judge(&plain, "HTTP/1.1", "what it says is no HTTP"), GK_PROXY);
    assert_int_equal(judge(&plain, "", "what it says is no HTTP"), GK_PROXY);
}

static enum gk_status explain(const char *said, size_t size, const char *words)
{
    struct gk_error err = { 0 };
    enum gk_status status =
        agent_proxy_explain_socks(&plain, (const uint8_t *)said, size, "hub.example", &err);

    assert_true(status == GK_OK || strstr(err.object, words) != NULL);
    return status;
}

static void understands_what_a_socks_proxy_says(void **state)
{
    static const bool hub[] = { false, true, false, true, true, true, true, false, false, false };

    (void)state;
    assert_int_equal(explain("", 0, ""), GK_OK);
    assert_int_equal(explain("\x05", 1, ""), GK_OK);
    assert_int_equal(explain("\x05\x00", 2, ""), GK_OK);
    assert_int_equal(explain("\x05\x02", 2, ""), GK_OK);
    assert_int_equal(explain("\x05\xff", 2, "it wants a user and a password, SOCKS5 255"),
                     GK_PROXY);
    assert_int_equal(explain("\x01\x00", 2, ""), GK_OK);
    assert_int_equal(explain("\x01\x01", 2, "refuses this user and password, SOCKS5 1"), GK_PROXY);
    assert_int_equal(explain("H", 1, "what it says is no SOCKS5"), GK_PROXY);
    assert_int_equal(explain("HTTP", 4, "what it says is no SOCKS5"), GK_PROXY);
    assert_int_equal(explain("\x05\x00\x00", 3, ""), GK_OK);
    for (unsigned code = 1; code < sizeof(hub) / sizeof(hub[0]); code++) {
        const char said[] = { 5, (char)code, 0 };
        char words[16];

        snprintf(words, sizeof(words), "SOCKS5 %u", code);
        assert_int_equal(explain(said, sizeof(said), words), hub[code] ? GK_UNREACHABLE : GK_PROXY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_where_the_proxy_is),
        cmocka_unit_test(asks_for_a_tunnel),
        cmocka_unit_test(understands_what_an_http_proxy_says),
        cmocka_unit_test(understands_what_a_socks_proxy_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
