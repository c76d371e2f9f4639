/* SPDX-License-Identifier: Apache-2.0 */
/* gatekey doctor looks at the machine: the service, groups, timers, and who may read what. */
#include "agent/command/doctor.h"

#include "agent/command/service.h"
#include "agent/secret.h"
#include "identity/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SERVICE_TIMEOUT_S 5

void doctor_service(struct doctor *doctor, struct doctor_finding *finding)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    struct gk_error err = { 0 };
    enum gk_status status = service_call(doctor->config, "status", SERVICE_TIMEOUT_S, &reply, &err);
    const char *state = json_string_value(json_object_get(reply, "state"));

    if (status == GK_NO_SERVICE) {
        doctor_doubt(finding, &err);
    } else if (status != GK_OK || service_trouble(reply, &err) != GK_OK) {
        doctor_fail(finding, &err);
    } else if (!json_is_true(json_object_get(reply, "connected"))) {
        doctor_warn(finding, "see its log: journalctl -u gatekeyd", "%s",
                    state != NULL ? state : "not connected");
    } else {
        doctor_fine(finding, "%s", state != NULL ? state : "connected");
    }
}

void doctor_broker(struct doctor *doctor, struct doctor_finding *finding)
{
    CLEANUP(json_freep) json_t *reply = NULL;
    const char *path = doctor->config->broker;
    const json_t *broker;
    const char *why;

    if (path == NULL || path[0] == '\0') {
        doctor_skip(finding, "there is to be none ([local] broker)");
        return;
    }
    if (service_call(doctor->config, "status", SERVICE_TIMEOUT_S, &reply, NULL) != GK_OK) {
        doctor_skip(finding, "gatekeyd does not say");
        return;
    }
    broker = json_object_get(reply, "broker");
    why = json_string_value(json_object_get(broker, "error"));
    if (json_is_true(json_object_get(broker, "connected"))) {
        doctor_fine(finding, "%s", path);
    } else {
        doctor_warn(finding,
                    "start it with systemctl start gatekey-broker, or say that there is none: "
                    "[local] broker =",
                    "gatekeyd is not connected to %s%s%s", path, why != NULL ? ": " : "",
                    why != NULL ? why : "");
    }
}

void doctor_groups(struct doctor *doctor, struct doctor_finding *finding)
{
    const char *const names[] = { "gatekey", doctor->config->socket_group };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i] != NULL && names[i][0] != '\0' && getgrnam(names[i]) == NULL) {
            doctor_warn(finding, "run systemd-sysusers, or make it with addgroup --system",
                        "there is no group %s", names[i]);
            return;
        }
    }
    doctor_fine(finding, "gatekey%s%s", names[1][0] != '\0' ? ", " : "", names[1]);
}

/* 0 when systemctl says yes; -1 when it could not be asked. */
static int ask_systemctl(const char *unit)
{
    static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
    char *argv[] = { (char *)GK_SYSTEMCTL, "--quiet", "is-enabled", "--", (char *)unit, NULL };
    posix_spawn_file_actions_t actions;
    int status = 0;
    int failed;
    pid_t child;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    failed = posix_spawn(&child, argv[0], &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        return -1;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void doctor_timers(struct doctor *doctor, struct doctor_finding *finding)
{
    static const char *const units[] = { "gatekey-renew.timer", "gatekey-refresh.timer" };

    (void)doctor;
    /* sd_booted(3). */
    if (access("/run/systemd/system", F_OK) != 0) {
        doctor_skip(finding, "systemd does not run here; let cron run gatekey renew --if-due and "
                             "gatekey refresh --if-due");
        return;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int answer = ask_systemctl(units[i]);

        if (answer < 0) {
            doctor_skip(finding, "%s does not answer", GK_SYSTEMCTL);
            return;
        }
        if (answer > 0) {
            doctor_warn(finding,
                        "run systemctl enable --now gatekey-renew.timer gatekey-refresh.timer",
                        "%s is not enabled", units[i]);
            return;
        }
    }
    doctor_fine(finding, "%s, %s", units[0], units[1]);
}

/* A file that the configuration names as a secret: reading it checks its modes. */
static bool check_secret_file(const char *path, struct doctor_finding *finding)
{
    CLEANUP(agent_secret_clear) struct agent_secret secret = { 0 };
    struct gk_error err = { 0 };

    if (path == NULL || path[0] != '/' || agent_secret_read_file(path, &secret, &err) == GK_OK) {
        return true;
    }
    doctor_fail(finding, &err);
    return false;
}

/* Who else may write where the identity is, or read what is the service's? */
static bool check_place(const char *path, mode_t forbidden, struct doctor_finding *finding)
{
    struct stat info;

    if (stat(path, &info) != 0 || (info.st_mode & forbidden) == 0) {
        return true;
    }
    doctor_warn(finding, "take that right away with chmod; gatekey(1) has the modes under FILES",
                "%s has mode %04o", path, (unsigned)(info.st_mode & 07777));
    return false;
}

void doctor_modes(struct doctor *doctor, struct doctor_finding *finding)
{
    const struct agent_config *c = doctor->config;
    const char *const secrets[] = { c->owner_auth_file, c->key_auth_file, c->product_secret_file,
                                    c->app_secret_file };
    const struct {
        const char *name;
        mode_t forbidden;
    } files[] = {
        { "", S_IWGRP | S_IWOTH },
        { "/" GK_FILE_SECRET, S_IWGRP | S_IRWXO },
        { "/" GK_FILE_STATE, S_IWGRP | S_IRWXO },
        { "/" GK_FILE_CERTIFICATE, S_IWGRP | S_IWOTH },
        { "/" GK_FILE_ISSUER_CA, S_IWGRP | S_IWOTH },
        { "/" GK_FILE_SERVER_CA, S_IWGRP | S_IWOTH },
    };

    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (!check_secret_file(secrets[i], finding)) {
            return;
        }
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        CLEANUP(gk_freep) char *path = NULL;

        if (asprintf(&path, "%s%s", c->directory, files[i].name) < 0) {
            path = NULL;
            doctor_skip(finding, "out of memory");
            return;
        }
        if (!check_place(path, files[i].forbidden, finding)) {
            return;
        }
    }
    if (check_place(c->state_directory, S_IRWXG | S_IRWXO, finding)) {
        doctor_fine(finding, "as they should be");
    }
}
