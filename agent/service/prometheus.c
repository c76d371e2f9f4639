/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures as Prometheus reads them from a file (the textfile collector of node_exporter):
 * "Exposition formats" and "Metric and label naming" in its documentation.
 */
#include "agent/service/metrics-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

enum kind { GAUGE, COUNTER };

/* One metric: the member of the figures it comes from, "a.b" where that is in an object. */
struct row {
    const char *name, *member;
    enum kind kind;
    double scale;
    const char *help;
};

static const struct row rows[] = {
    { "gatekey_status_timestamp_seconds", "time", GAUGE, 1,
      "When this was written; gatekeyd does so every five minutes at least." },
    { "gatekey_uptime_seconds", "uptime_s", GAUGE, 1, "How long gatekeyd has been running." },
    { "gatekey_connected", "connected", GAUGE, 1, "1 while the hub has accepted us." },
    { "gatekey_connected_since_timestamp_seconds", "since", GAUGE, 1,
      "Since when it is connected." },
    { "gatekey_connect_attempts_total", "attempts", COUNTER, 1, "Attempts to connect." },
    { "gatekey_connects_total", "connects", COUNTER, 1, "Those that the hub accepted." },
    { "gatekey_connects_resumed_total", "resumed", COUNTER, 1,
      "Connects that resumed a TLS session, for which the TPM does nothing." },
    { "gatekey_certificate_expiry_timestamp_seconds", "certificate.not_after", GAUGE, 1,
      "When the device certificate ends." },
    { "gatekey_clock_synchronised", "clock.synchronised", GAUGE, 1,
      "1 while the kernel takes the clock for synchronised." },
    { "gatekey_clock_tampered", "clock.tampering.stands", GAUGE, 1,
      "1 while a change of the clock stands that nobody accepted." },
    { "gatekey_spool_usable", "spool.usable", GAUGE, 1,
      "0 while the spool cannot be used, and nothing is accepted." },
    { "gatekey_spool_messages", "spool.queued", GAUGE, 1, "Messages that wait for the hub." },
    { "gatekey_spool_bytes", "spool.bytes", GAUGE, 1, "Bytes of these." },
    { "gatekey_spool_limit_bytes", "spool.max_bytes", GAUGE, 1, "How many there may be." },
    { "gatekey_spool_oldest_timestamp_seconds", "spool.oldest", GAUGE, 1,
      "When the oldest of them was accepted." },
    { "gatekey_spool_refused_messages", "spool.refused_kept", GAUGE, 1,
      "Messages that the hub refused for good, set aside." },
    { "gatekey_spool_refused_bytes", "spool.refused_bytes", GAUGE, 1, "Bytes of these." },
    { "gatekey_spool_rebuilt_total", "spool.rebuilt", COUNTER, 1,
      "How often the spool had to be begun anew." },
    { "gatekey_messages_accepted_total", "counters.accepted", COUNTER, 1,
      "Messages of local programs that were put into the spool." },
    { "gatekey_messages_sent_total", "counters.sent", COUNTER, 1, "Messages sent to the hub." },
    { "gatekey_messages_resent_total", "counters.resent", COUNTER, 1,
      "Those among them that had been sent before." },
    { "gatekey_messages_acknowledged_total", "counters.acknowledged", COUNTER, 1,
      "Messages that the hub has." },
    { "gatekey_messages_dropped_total", "counters.dropped", COUNTER, 1,
      "Messages dropped for lack of room, by age, or by hand." },
    { "gatekey_messages_rejected_total", "counters.rejected", COUNTER, 1,
      "Messages of local programs that were never accepted." },
    { "gatekey_commands_total", "commands", COUNTER, 1, "Commands of the hub." },
    { "gatekey_commands_duplicate_total", "duplicates", COUNTER, 1,
      "Those among them that came twice." },
    { "gatekey_commands_answered_total", "answered", COUNTER, 1, "Commands that were answered." },
    { "gatekey_broker_connected", "broker.connected", GAUGE, 1,
      "1 while there is a connection to the local broker." },
    { "gatekey_broker_messages_taken_total", "broker.taken", COUNTER, 1,
      "Messages of applications that the local broker handed over." },
    { "gatekey_broker_messages_refused_total", "broker.refused", COUNTER, 1,
      "Those that cannot be taken, and were answered on gatekey/error." },
    { "gatekey_broker_messages_deferred_total", "broker.deferred", COUNTER, 1,
      "Those that could not be taken then; the applications send them again." },
    { "gatekey_broker_messages_lost_total", "broker.lost", COUNTER, 1,
      "Messages to applications that were lost since there was no broker." },
    { "gatekey_tpm_signatures_total", "tpm.signatures", COUNTER, 1,
      "Signatures by the device key." },
    { "gatekey_tpm_signature_failures_total", "tpm.signature_failures", COUNTER, 1,
      "Signatures that were asked for and could not be made." },
    { "gatekey_tpm_signature_seconds_total", "tpm.signature_ms_total", COUNTER, 0.001,
      "Time that the signatures took." },
    { "gatekey_tpm_signature_last_seconds", "tpm.signature_ms_last", GAUGE, 0.001,
      "Time that the last one took." },
    { "gatekey_resident_memory_bytes", "resident_bytes", GAUGE, 1,
      "Memory of gatekeyd, what it shares with others included." },
};

static const json_t *find(const json_t *figures, const char *member)
{
    const json_t *object = figures;
    const char *dot;
    char name[32];

    while ((dot = strchr(member, '.')) != NULL) {
        snprintf(name, sizeof(name), "%.*s", (int)(dot - member), member);
        object = json_object_get(object, name);
        member = dot + 1;
    }
    return json_object_get(object, member);
}

static void write_row(FILE *stream, const struct row *row, const json_t *value)
{
    fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
            row->kind == COUNTER ? "counter" : "gauge");
    if (json_is_boolean(value)) {
        fprintf(stream, "%s %d\n", row->name, json_is_true(value) ? 1 : 0);
    } else if (json_is_integer(value) && row->scale == 1) {
        fprintf(stream, "%s %" JSON_INTEGER_FORMAT "\n", row->name, json_integer_value(value));
    } else {
        fprintf(stream, "%s %.6f\n", row->name, json_number_value(value) * row->scale);
    }
}

/* Backslash, quotation mark and newline are all that a label's value escapes. */
static void write_label(FILE *stream, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);

    fprintf(stream, "%s=\"", name);
    for (; text != NULL && *text != '\0'; text++) {
        if (*text == '\\' || *text == '"') {
            fputc('\\', stream);
        }
        fputs(*text == '\n' ? "\\n" : (char[]){ *text, '\0' }, stream);
    }
    fputc('"', stream);
}

static void write_info(FILE *stream, const json_t *figures)
{
    fputs("# HELP gatekey_info Which gateway this is, and by which version.\n"
          "# TYPE gatekey_info gauge\ngatekey_info{",
          stream);
    write_label(stream, "version", json_object_get(figures, "version"));
    fputc(',', stream);
    write_label(stream, "product_key", json_object_get(figures, "product_key"));
    fputc(',', stream);
    write_label(stream, "device_key", json_object_get(figures, "device_key"));
    fputs("} 1\n", stream);
}

static void write_state(FILE *stream, const json_t *figures)
{
    const json_t *state = json_object_get(figures, "state");

    /* Without a state there is no service any more: this is its last word. */
    fprintf(stream,
            "# HELP gatekey_up 1 while gatekeyd runs; it says 0 when it is stopped.\n"
            "# TYPE gatekey_up gauge\ngatekey_up %d\n",
            state != NULL ? 1 : 0);
    if (state != NULL) {
        fputs("# HELP gatekey_state The state of the connection, as gatekey status names it.\n"
              "# TYPE gatekey_state gauge\ngatekey_state{",
              stream);
        write_label(stream, "state", state);
        fputs("} 1\n", stream);
    }
}

char *prometheus_format(const json_t *figures, size_t *size)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, size);

    if (stream == NULL) {
        return NULL;
    }
    write_state(stream, figures);
    write_info(stream, figures);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const json_t *value = find(figures, rows[i].member);

        if (value != NULL) {
            write_row(stream, &rows[i], value);
        }
    }
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* --- the file -------------------------------------------------------------------------------- */

static bool write_whole(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, text, size);

        if (put < 0 && errno != EINTR) {
            return false;
        }
        text += put > 0 ? put : 0;
        size -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

enum gk_status prometheus_write(const char *path, const char *text, size_t size,
                                struct gk_error *err)
{
    CLEANUP(gk_closep) int fd = -1;
    char beside[PATH_MAX];
    enum gk_status status = GK_OK;

    /* node_exporter reads what ends in .prom, and nothing else. */
    if (snprintf(beside, sizeof(beside), "%s.tmp", path) >= (int)sizeof(beside)) {
        return gk_fail_file(err, ENAMETOOLONG, path);
    }
    /* Whatever lies there is not followed, and not written to: others may write this folder. */
    if (unlink(beside) != 0 && errno != ENOENT) {
        return gk_fail_file(err, errno, beside);
    }
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        return gk_fail_file(err, errno, beside);
    }
    if (fchmod(fd, 0644) != 0 || !write_whole(fd, text, size) || rename(beside, path) != 0) {
        status = gk_fail_file(err, errno, path);
        unlink(beside);
    }
    return status;
}
