/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey.conf: what it means, and that every error names its file and line. */
#include "agent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    char path[96];
    struct agent_config *config;
    struct gk_error err;
    enum gk_status status;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "test-config.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/gatekey.conf", f->directory);
    unsetenv("GATEKEY_TCTI");
    unsetenv("GATEKEY_IDENTITY");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    agent_config_free(f->config);
    unlink(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void read_bytes(struct fixture *f, const void *text, size_t size)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
    agent_config_free(f->config);
    f->config = NULL;
    f->status = agent_config_read(f->path, NULL, &f->config, &f->err);
}

static void read_text(struct fixture *f, const char *text)
{
    read_bytes(f, text, strlen(text));
}

/* The text is refused, in this line and for this reason. */
static void refuses(void **state, const char *text, unsigned line, const char *reason)
{
    struct fixture *f = *state;
    char place[128];

    read_text(f, text);
    snprintf(place, sizeof(place), "%s:%u: ", f->path, line);
    assert_int_equal(f->status, GK_BAD_CONFIG);
    assert_null(f->config);
    if (strncmp(f->err.object, place, strlen(place)) != 0 ||
        strstr(f->err.object, reason) == NULL) {
        fail_msg("wanted %s...%s, got %s", place, reason, f->err.object);
    }
}

static void an_empty_file_means_the_defaults(void **state)
{
    struct fixture *f = *state;

    read_text(f, "");
    assert_int_equal(f->status, GK_OK);
    assert_string_equal(f->config->path, f->path);
    assert_string_equal(f->config->tcti, "device:/dev/tpmrm0");
    assert_int_equal(f->config->handle, 0x81000100);
    assert_string_equal(f->config->directory, "/var/lib/gatekey");
    assert_string_equal(f->config->provider, "gatekey");
    assert_string_equal(f->config->key, "gatekey:");
    assert_string_equal(f->config->common_name, "{device_key}");
    assert_string_equal(f->config->country, "CN");
    assert_int_equal(f->config->port, 18883);
    assert_int_equal(f->config->activation_port, 18883);
    assert_int_equal(f->config->keepalive_s, 60);
    assert_int_equal(f->config->spread_s, 30);
    assert_int_equal(f->config->valid_days, 365);
    assert_true(f->config->csr_extensions);
    assert_int_equal(f->config->settle_s, 60);
    assert_int_equal(f->config->overlap_s, 86400);
    assert_int_equal(f->config->renew_by, AGENT_RENEW_HAND);
    assert_string_equal(f->config->socket_group, "gatekey-local");
    assert_null(f->config->host);
    assert_null(f->config->hub_ca_file);
    assert_int_equal(f->config->handler_count, 0);
}

static void reads_every_setting(void **state)
{
    struct fixture *f = *state;
    struct agent_config *c;

    read_text(f, "# a comment\n[tpm]\ntcti = swtpm:path=/s\nhandle = 0x81000200\n"
                 "owner_auth_file = /o\nkey_auth_file = credential:key\n\n"
                 "[identity]\ndirectory = /i\nprovider = /p/gatekey.so\nkey = handle:0x81000200\n"
                 "propquery = ?provider=tpm2\n[device]\nproduct_key = PK\ndevice_key = gw-1\n"
                 "product_secret_file = /ps\ncommon_name = edge-{device_key}\ncountry = SG\n"
                 "state = S\nlocality = L\norganization = O\norganizational_unit = OU\n"
                 "[hub]\nhost = hub.example\nport = 1\nactivation_port = 2\nca_file = /ca\n"
                 "server_name = mqtt.example\nkeepalive = 300\nspread = 600\n[api]\nurl = "
                 "https://api.example:8/x/\n"
                 "ca_file = system\napp_key = AK\napp_secret_file = /as\norganization_id = o1\n"
                 "valid_days = 30\n[local]\nsocket = /s\nsocket_group =\nstate_directory = /sd\n"
                 "command.measurepoint/set = /bin/set one  two\ncommand.reboot = /sbin/reboot\n");
    c = f->config;
    assert_int_equal(f->status, GK_OK);
    assert_string_equal(c->tcti, "swtpm:path=/s");
    assert_int_equal(c->handle, 0x81000200);
    assert_string_equal(c->key_auth_file, "credential:key");
    assert_string_equal(c->provider, "/p/gatekey.so");
    assert_string_equal(c->propquery, "?provider=tpm2");
    assert_string_equal(c->common_name, "edge-{device_key}");
    assert_string_equal(c->organizational_unit, "OU");
    assert_int_equal(c->activation_port, 2);
    assert_string_equal(c->hub_ca_file, "/ca");
    assert_int_equal(c->keepalive_s, 300);
    assert_int_equal(c->spread_s, 600);
    assert_string_equal(c->api_url, "https://api.example:8/x");
    assert_null(c->api_ca_file);
    assert_string_equal(c->organization_id, "o1");
    assert_string_equal(c->socket_group, "");
    assert_int_equal(c->handler_count, 2);
    assert_string_equal(c->handlers[0].service, "measurepoint/set");
    assert_string_equal(c->handlers[0].argv[2], "two");
    assert_null(c->handlers[0].argv[3]);
    assert_string_equal(c->handlers[1].argv[0], "/sbin/reboot");
}

static void reads_the_settings_of_an_identitys_life(void **state)
{
    struct fixture *f = *state;
    struct agent_config *c;

    read_text(f, "[tpm]\nseal_pcrs = sha256:0,2,7\n[device]\ncsr_extensions = no\n"
                 "[hub]\ncrl_url = http://ca.example/crl?x=1\n[renew]\nby = event\n"
                 "rotate_key = yes\nsettle = 30\noverlap = 2h\n"
                 "reloaded = nginx.service other.service\nexpired = stop\n"
                 "[trust]\ncrl_url = https://ca.example/crl\nroot_url = https://ca.example/root\n"
                 "refresh = 15m\ngrace = 3d\nstale = stop\n[clock]\non_tamper = stop\n"
                 "tolerance = 90s\n");
    c = f->config;
    assert_int_equal(f->status, GK_OK);
    assert_string_equal(c->seal_pcrs, "sha256:0,2,7");
    assert_false(c->csr_extensions);
    assert_string_equal(c->server_crl_url, "http://ca.example/crl?x=1");
    assert_int_equal(c->renew_by, AGENT_RENEW_EVENT);
    assert_true(c->rotate_key);
    assert_int_equal(c->settle_s, 30);
    assert_int_equal(c->overlap_s, 7200);
    assert_string_equal(c->reloaded, "nginx.service other.service");
    assert_int_equal(c->renew_expired, AGENT_EXPIRED_STOP);
    assert_string_equal(c->issuer_crl_url, "https://ca.example/crl");
    assert_string_equal(c->root_url, "https://ca.example/root");
    assert_int_equal(c->refresh_s, 900);
    assert_int_equal(c->grace_s, 3 * 86400);
    assert_int_equal(c->stale, AGENT_STOP);
    assert_int_equal(c->on_tamper, AGENT_STOP);
    assert_int_equal(c->tolerance_s, 90);
}

static void reads_the_settings_of_the_way_to_the_hub(void **state)
{
    struct fixture *f = *state;
    struct agent_config *c;

    read_text(f, "");
    assert_true(f->config->resume);
    assert_null(f->config->fallback);
    assert_string_equal(f->config->broker, "/run/gatekey/local/broker.sock");
    assert_int_equal(f->config->spool_bytes, 256 * 1024 * 1024);
    assert_int_equal(f->config->uplink_rate, 900 * 1024);
    read_text(f, "[hub]\nfallback = two.example  192.0.2.7 2001:db8::7\nresume = no\n"
                 "proxy = socks5://user@proxy.example:1080\n"
                 "proxy_password_file = credential:proxy\n"
                 "[local]\nbroker =\nmetrics_file = /m\n"
                 "[spool]\nmax_size = 4G\nmax_age = 7d\nresume_after = 0\nrate = 0\n");
    c = f->config;
    assert_int_equal(f->status, GK_OK);
    assert_string_equal(c->fallback, "two.example  192.0.2.7 2001:db8::7");
    assert_false(c->resume);
    assert_string_equal(c->proxy, "socks5://user@proxy.example:1080");
    assert_string_equal(c->proxy_password_file, "credential:proxy");
    assert_string_equal(c->broker, "");
    assert_string_equal(c->metrics_file, "/m");
    assert_true(c->spool_bytes == UINT64_C(4) << 30);
    assert_int_equal(c->spool_age_s, 7 * 86400);
    assert_int_equal(c->resume_after_s, 0);
    assert_true(c->uplink_rate == 0);
}

static void refuses_a_way_that_leads_nowhere(void **state)
{
    static const char *const proxies[] = {
        "proxy.example:1080", "socks4://p:1",        "http://p",      "http://p:0",
        "http://p:65536",     "socks5://p:80/path",  "http://:80",    "socks5://p:80:",
        "http://p:8 0",       "ftp://socks5://p:80", "socks5h://p:80"
    };
    static const char *const sizes[] = { "1", "0.5G", "1T", "-1G", "1GB", "2048G", "0x100000" };
    char text[128];

    for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        snprintf(text, sizeof(text), "[hub]\nproxy = %s\n", proxies[i]);
        refuses(state, text, 2, "proxy must be socks5://");
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(text, sizeof(text), "[spool]\nmax_size = %s\n", sizes[i]);
        refuses(state, text, 2, "must be a size such as 65536, 900K, 256M or 4G, 1M to 1024G");
    }
    refuses(state, "[hub]\nfallback = a b c d\n", 2, "fallback must be one to three");
    refuses(state, "[hub]\nfallback = a b/c\n", 2, "fallback must be one to three");
    refuses(state, "[hub]\nfallback =\n", 2, "fallback must be one to three");
    refuses(state, "[local]\nbroker = here\n", 2, "broker must be an absolute path");
}

static void refuses_what_it_does_not_know(void **state)
{
    refuses(state, "\n[tmp]\n", 2, "unknown section [tmp]");
    refuses(state, "[tpm]\ntctl = device:/x\n", 2, "unknown setting tctl in [tpm]");
    refuses(state, "[hub]\n\nhandle = 0x81000100\n", 3, "unknown setting handle in [hub]");
    refuses(state, "handle = 0x81000100\n", 1, "before any [section]");
    refuses(state, "[tpm\nhandle = 0x81000100\n", 1, "unknown section [tpm");
    refuses(state, "[tpm]\nhandle\n", 2, "neither [section], nor name = value");
}

static void refuses_what_stands_there_twice(void **state)
{
    refuses(state, "[hub]\nport = 1\n[tpm]\n[hub]\nport = 1\n", 5, "port stands there twice");
    refuses(state, "[local]\ncommand.a = /a\ncommand.a = /b\n", 3, "command.a stands there twice");
}

static void refuses_lines_that_would_be_read_otherwise_than_they_look(void **state)
{
    char text[512] = "[device]\ndevice_key = a\nlocality = ";

    refuses(state, "[hub]\nhost = a\n  port = 1\n", 3, "beginning of its line");
    memset(text + strlen(text), 'x', 300);
    refuses(state, text, 3, "longer than");
}

static void refuses_values_out_of_range(void **state)
{
    refuses(state, "[hub]\nport = 0\n", 2, "port must be a port");
    refuses(state, "[hub]\nport = 65536\n", 2, "port must be a port");
    refuses(state, "[hub]\nport = -1\n", 2, "port must be a port");
    refuses(state, "[hub]\nport = 12x\n", 2, "port must be a port");
    refuses(state, "[hub]\nkeepalive = 59\n", 2, "keepalive must be a number, 60 to 300");
    refuses(state, "[hub]\nkeepalive = 301\n", 2, "keepalive");
    refuses(state, "[hub]\nspread = 601\n", 2, "spread");
    refuses(state, "[hub]\nhost = a b\n", 2, "host must be a host name");
    refuses(state, "[api]\nvalid_days = 0\n", 2, "valid_days");
    refuses(state, "[tpm]\nseal_pcrs = sha256:24\n", 2, "seal_pcrs must be a bank");
    refuses(state, "[tpm]\nseal_pcrs = 1,2\n", 2, "seal_pcrs must be a bank");
    refuses(state, "[tpm]\nseal_pcrs = sha256:1,\n", 2, "seal_pcrs must be a bank");
    refuses(state, "[renew]\nby = magic\n", 2, "by must be api, event or hand");
    refuses(state, "[renew]\nrotate_key = true\n", 2, "rotate_key must be yes or no");
    refuses(state, "[renew]\nsettle = 61m\n", 2,
            "settle must be a time such as 90s, 15m, 24h or 30d, 0s to 1h");
    refuses(state, "[renew]\noverlap = 1w\n", 2, "overlap must be a time");
    refuses(state, "[renew]\nsettle = 3601\n", 2, "settle must be a time");
    refuses(state, "[renew]\noverlap = 7776001s\n", 2, "overlap must be a time");
    refuses(state, "[renew]\noverlap = 18446744073709551616\n", 2, "overlap must be a time");
    refuses(state, "[renew]\noverlap = 18446744073709551615d\n", 2, "overlap must be a time");
    refuses(state, "[spool]\nmax_age = 59\n", 2, "max_age must be a time");
    refuses(state, "[renew]\nexpired = maybe\n", 2, "expired must be apply or stop");
    refuses(state, "[trust]\ncrl_url = ftp://a/b\n", 2, "crl_url must be http:// or https://");
    refuses(state, "[trust]\nroot_url = http://a/b\n", 2, "root_url must be https://");
    refuses(state, "[clock]\non_tamper = panic\n", 2, "on_tamper must be warn or stop");
    refuses(state, "[tpm]\nhandle = 0x80000000\n", 2, "persistent handle");
    refuses(state, "[tpm]\nhandle = 0x81800000\n", 2, "persistent handle");
    refuses(state, "[tpm]\nhandle = 81000100\n", 2, "persistent handle");
    refuses(state, "[tpm]\ntcti = device\n", 2, "tcti must be a TPM connection");
    refuses(state, "[tpm]\ntcti = device:\n", 2, "tcti must be a TPM connection");
    refuses(state, "[device]\ncountry = CHN\n", 2, "country must have 2 characters");
    refuses(state, "[device]\ndevice_key = a|b\n", 2, "device_key must not hold");
    refuses(state, "[device]\nproduct_key = a/b\n", 2, "product_key must not hold");
    refuses(state, "[device]\nproduct_key =\n", 2, "1 to 64 characters");
}

/* A time in seconds may be long. */
static void takes_a_day_in_each_unit(void **state)
{
    static const char *const days[] = { "1d", "24h", "1440m", "86400s", "86400" };
    struct fixture *f = *state;
    char text[64];

    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        snprintf(text, sizeof(text), "[renew]\noverlap = %s\n", days[i]);
        read_text(f, text);
        assert_int_equal(f->status, GK_OK);
        assert_int_equal(f->config->overlap_s, 86400);
    }
}

static void refuses_paths_that_depend_on_where_one_stands(void **state)
{
    refuses(state, "[identity]\ndirectory = lib\n", 2, "directory must be an absolute path");
    refuses(state, "[hub]\nca_file = ca.pem\n", 2, "ca_file must be an absolute path, or system");
    refuses(state, "[local]\nsocket = s\n", 2, "socket must be an absolute path");
    refuses(state, "[local]\ncommand.a = reboot\n", 2, "absolute path of a program");
    refuses(state, "[identity]\nprovider = x/y.so\n", 2, "provider must be");
}

static void refuses_an_api_without_tls(void **state)
{
    refuses(state, "[api]\nurl = http://hub\n", 2, "url must be https://");
    refuses(state, "[api]\nurl = https://\n", 2, "url must be https://");
    refuses(state, "[api]\nurl = https://user@hub\n", 2, "url must be https://");
    refuses(state, "[api]\nurl = https://hub/?x=1\n", 2, "url must be https://");
}

static void never_shows_a_secret_put_where_a_path_belongs(void **state)
{
    struct fixture *f = *state;

    refuses(state, "[api]\napp_secret_file = hunter2\n", 2, "never the secret itself");
    assert_null(strstr(f->err.object, "hunter2"));
    refuses(state, "[tpm]\nkey_auth_file = credential:../x\n", 2, "systemd credential");
}

static void takes_programs_for_commands_that_are_no_services(void **state)
{
    struct fixture *f = *state;

    read_text(f, "[local]\ncommand.measurepoint/get = /a\ncommand.thing/enable = /a\n"
                 "command.thing/disable = /a\ncommand.thing/delete = /a\ncommand.enable = /a\n"
                 "command.thing/model/down_raw = /a\ncommand.rrpc/request = /a\n");
    assert_int_equal(f->status, GK_OK);
    assert_int_equal(f->config->handler_count, 7);
}

static void refuses_services_that_are_no_identifiers(void **state)
{
    refuses(state, "[local]\ncommand. = /a\n", 2, "service's identifier");
    refuses(state, "[local]\ncommand.installCertificate = /a\n", 2, "takes no program");
    refuses(state, "[local]\ncommand.a/b = /a\n", 2, "service's identifier");
    refuses(state, "[local]\ncommand.traffic/control = /a\n", 2, "service's identifier");
}

static void refuses_bytes_that_hide_the_rest(void **state)
{
    struct fixture *f = *state;

    read_bytes(f, "[hub]\nport = 1\0 2\n", 18);
    assert_int_equal(f->status, GK_BAD_CONFIG);
    assert_non_null(strstr(f->err.object, "NUL"));
}

static void says_which_file_is_missing(void **state)
{
    struct fixture *f = *state;

    f->status = agent_config_read("/nonexistent/gatekey.conf", NULL, &f->config, &f->err);
    assert_int_equal(f->status, GK_NO_FILE);
    assert_string_equal(f->err.object, "/nonexistent/gatekey.conf");
}

static void refuses_a_folder(void **state)
{
    struct fixture *f = *state;

    f->status = agent_config_read(f->directory, NULL, &f->config, &f->err);
    assert_int_equal(f->status, GK_BAD_CONFIG);
}

static void the_environment_goes_before_the_file(void **state)
{
    struct fixture *f = *state;

    setenv("GATEKEY_TCTI", "swtpm:path=/env", 1);
    setenv("GATEKEY_IDENTITY", "/env", 1);
    read_text(f, "[tpm]\ntcti = device:/file\n[identity]\ndirectory = /file\n");
    assert_string_equal(f->config->tcti, "swtpm:path=/env");
    assert_string_equal(f->config->directory, "/env");
}

static void the_option_goes_before_the_environment(void **state)
{
    struct fixture *f = *state;
    char *here = getcwd(NULL, 0);
    char wanted[4200];

    setenv("GATEKEY_IDENTITY", "/env", 1);
    read_text(f, "");
    agent_config_free(f->config);
    assert_int_equal(agent_config_read(f->path, "id", &f->config, &f->err), GK_OK);
    snprintf(wanted, sizeof(wanted), "%s/id", here);
    assert_string_equal(f->config->directory, wanted);
    free(here);
}

static void refuses_an_environment_that_names_no_tpm(void **state)
{
    struct fixture *f = *state;

    setenv("GATEKEY_TCTI", "swtpm", 1);
    read_text(f, "");
    assert_int_equal(f->status, GK_BAD_TCTI);
}

static void says_what_is_not_set(void **state)
{
    struct fixture *f = *state;

    read_text(f, "");
    assert_int_equal(agent_config_need(f->config, f->config->host, "[hub] host", &f->err),
                     GK_BAD_CONFIG);
    assert_string_equal(f->err.object, "[hub] host is not set");
    assert_non_null(strstr(f->err.advice, f->path));
    assert_int_equal(agent_config_need(f->config, f->config->tcti, "[tpm] tcti", &f->err), GK_OK);
}

#define CLAIM(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(an_empty_file_means_the_defaults),
        CLAIM(reads_every_setting),
        CLAIM(reads_the_settings_of_an_identitys_life),
        CLAIM(reads_the_settings_of_the_way_to_the_hub),
        CLAIM(refuses_a_way_that_leads_nowhere),
        CLAIM(refuses_what_it_does_not_know),
        CLAIM(refuses_what_stands_there_twice),
        CLAIM(refuses_lines_that_would_be_read_otherwise_than_they_look),
        CLAIM(refuses_values_out_of_range),
        CLAIM(takes_a_day_in_each_unit),
        CLAIM(refuses_paths_that_depend_on_where_one_stands),
        CLAIM(refuses_an_api_without_tls),
        CLAIM(never_shows_a_secret_put_where_a_path_belongs),
        CLAIM(takes_programs_for_commands_that_are_no_services),
        CLAIM(refuses_services_that_are_no_identifiers),
        CLAIM(refuses_bytes_that_hide_the_rest),
        CLAIM(says_which_file_is_missing),
        CLAIM(refuses_a_folder),
        CLAIM(the_environment_goes_before_the_file),
        CLAIM(the_option_goes_before_the_environment),
        CLAIM(refuses_an_environment_that_names_no_tpm),
        CLAIM(says_what_is_not_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
