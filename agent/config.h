/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey.conf as both programs see it: one INI file, every key known by name (gatekey.conf(5)).
 *
 * Plain data after reading; may be shared read-only between threads. Holds paths of secrets, never
 * secrets. Errors: see error.h.
 */
#ifndef GATEKEY_AGENT_CONFIG_H
#define GATEKEY_AGENT_CONFIG_H

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One local program that answers one command of the hub ([local] command.NAME = PROGRAM
 * ARGUMENT...). */
struct agent_handler {
    char *service; /* a service's identifier, or "measurepoint/set" */
    char **argv;   /* absolute path of the program, fixed arguments, NULL */
};

/* Who gets the renewed certificate from the hub. */
enum agent_renew_by {
    AGENT_RENEW_AUTO,  /* api where [api] app_key is set, else hand: what is meant by default */
    AGENT_RENEW_API,   /* gatekey, by the REST API */
    AGENT_RENEW_EVENT, /* an application beside the hub: certificateRequest, installCertificate */
    AGENT_RENEW_HAND,  /* somebody, by csr and install */
};

/* What to do when a certificate expired before it was renewed. */
enum agent_renew_expired { AGENT_EXPIRED_APPLY, AGENT_EXPIRED_STOP };

/* Say so and go on, or do not connect any more. */
enum agent_policy { AGENT_WARN, AGENT_STOP };

struct agent_config {
    char *path; /* the file this came from; NULL when there was none and all is default */

    /* [tpm] */
    char *tcti;      /* default device:/dev/tpmrm0; GATEKEY_TCTI goes before it */
    uint32_t handle; /* default 0x81000100 */
    /* Every *_file here and below that holds a secret: an absolute path, or "credential:NAME" for a
     * systemd credential; agent_secret_read_file() takes both. */
    char *owner_auth_file; /* NULL: owner authorisation is empty */
    char *key_auth_file;   /* NULL: the device key has no password */
    char *seal_pcrs; /* "sha256:0,2,7": what the device secret is sealed to; NULL: the TPM alone */

    /* [identity] */
    char *directory; /* default /var/lib/gatekey; --identity, then GATEKEY_IDENTITY go before it */
    char *provider; /* OpenSSL provider: a name, or an absolute path of a module; default gatekey */
    char *key;      /* URI the provider knows; default "gatekey:" */
    char *propquery; /* NULL or an OpenSSL property query */

    /* [device] */
    char *product_key;
    char *device_key;
    char *product_secret_file; /* NULL: no dynamic activation */
    bool csr_extensions;       /* ask for keyUsage and EKU clientAuth; default true */
    char *common_name;         /* template, "{device_key}" is replaced; default "{device_key}" */
    /* CSR subject; EnOS's defaults */
    char *country, *state, *locality, *organization, *organizational_unit;

    /* [hub] */
    char *host;               /* host name or address of the MQTT listener */
    uint16_t port;            /* default 18883 */
    uint16_t activation_port; /* default: port */
    char *hub_ca_file;        /* [hub] ca_file: roots, or NULL for "system" */
    char *server_name;        /* expected name where it is not host */
    unsigned keepalive_s;     /* 60 to 300, default 60 */
    unsigned spread_s;        /* of first attempts after a lost connection; to 600, default 30 */
    char *fallback;           /* more hosts to try in turn, same port, parted by blanks; or NULL */
    bool resume;              /* TLS sessions; default true */
    char *proxy;              /* socks5://[USER@]HOST:PORT or http://[USER@]HOST:PORT; or NULL */
    char *proxy_password_file;
    char *server_crl_url; /* [hub] crl_url: http(s), list of the CA of the hub's certificate;
                           * NULL: that is not checked */

    /* [api] */
    char *api_url;     /* https://..., NULL: no API on this gateway */
    char *api_ca_file; /* roots, or NULL for "system" */
    char *app_key;     /* application key */
    char *app_secret_file;
    char *organization_id;
    unsigned valid_days; /* asked for in CSR applications; default 365 */

    /* [local] */
    char *socket;          /* default /run/gatekey/gatekeyd.sock */
    char *socket_group;    /* default gatekey-local; empty: leave the group alone */
    char *state_directory; /* default /var/lib/gatekeyd: what the service may write */
    char *broker;          /* the local broker's socket; default /run/gatekey/local/broker.sock,
                            * empty: none */
    char *metrics_file;    /* Prometheus text for node_exporter; NULL: none */
    struct agent_handler *handlers;
    size_t handler_count;

    /* [spool] */
    uint64_t spool_bytes;    /* max_size; default 256 MiB */
    unsigned spool_age_s;    /* max_age, of telemetry; default 30 days */
    unsigned resume_after_s; /* telemetry older than this goes by resume; default 60, 0: never */
    uint64_t uplink_rate;    /* rate: bytes per second to the hub, 0: no limit; default 900 KiB */

    /* [renew] Times are in seconds; the file takes 90, 90s, 15m, 24h, 30d. */
    enum agent_renew_by renew_by;
    bool rotate_key;    /* a new key at the next handle; needs key = gatekey: */
    unsigned settle_s;  /* before a new certificate is tried; default 60 */
    unsigned overlap_s; /* old and new valid together; default 86400 */
    char *reloaded;     /* units to reload after a renewal, parted by blanks; NULL: none */
    enum agent_renew_expired renew_expired;

    /* [trust] */
    char *
        issuer_crl_url; /* crl_url: http(s), our issuing CA's list; NULL: as the certificate says */
    char *root_url;     /* https, where new roots are published; NULL: nowhere */
    unsigned refresh_s; /* default 86400 */
    unsigned grace_s;   /* how long past nextUpdate a list is still used; default 7 days */
    enum agent_policy stale; /* after that; default warn */

    /* [clock] */
    enum agent_policy on_tamper; /* default warn */
    unsigned tolerance_s;        /* what is no step; default 60 */
};

/*
 * Read path, or the installed gatekey.conf when NULL (which need not exist), then apply
 * GATEKEY_TCTI and GATEKEY_IDENTITY, then identity (--identity) where not NULL. *config is
 * allocated; the caller frees it with agent_config_free(). Unknown sections and keys, repeated
 * keys, values out of range and relative paths are errors that name file and line. Fails with
 * GK_NO_FILE (a path that was asked for), GK_BAD_CONFIG, GK_FILE_DENIED, GK_FILE_FAILED,
 * GK_NO_MEMORY.
 */
enum gk_status agent_config_read(const char *path, const char *identity,
                                 struct agent_config **config, struct gk_error *err) GK_MUST_CHECK;
void agent_config_free(struct agent_config *config); /* NULL is fine */

/*
 * Check that a setting that has no default was given; name is what stands in the file, such as
 * "[hub] host". Fails with GK_BAD_CONFIG, and says which file should set it.
 */
enum gk_status agent_config_need(const struct agent_config *config, const void *value,
                                 const char *name, struct gk_error *err) GK_MUST_CHECK;

GK_DEFINE_CLEANUP(struct agent_config, agent_config_free)

#endif
