/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of value gatekey.conf knows: each turns text into a field of struct agent_config.
 *
 * A reader gets the field's address and the setting's bounds. It returns NULL when the value was
 * good and is stored, AGENT_NO_MEMORY, or a static text saying what must stand there.
 */
#ifndef GATEKEY_AGENT_CONFIG_VALUE_H
#define GATEKEY_AGENT_CONFIG_VALUE_H

#include <stddef.h>

struct agent_bounds {
    unsigned long min, max;
    const char *problem; /* what to say of a value that is beyond them */
};

/* Bounds, and how they are told; times in s, m, h or d, sizes in nothing, K, M or G. */
#define AGENT_CHARACTERS(low, high)                             \
    {                                                           \
        low, high, "must have " #low " to " #high " characters" \
    }
#define AGENT_NUMBER(low, high)                           \
    {                                                     \
        low, high, "must be a number, " #low " to " #high \
    }
#define AGENT_TIME(low, high, unit)                                                  \
    {                                                                                \
        low, (high)*AGENT_SECONDS_##unit,                                            \
            "must be a time such as 90s, 15m, 24h or 30d, " #low "s to " #high #unit \
    }
#define AGENT_SIZE(low, low_unit, high, unit)                                                    \
    {                                                                                            \
        (low) * AGENT_BYTES_##low_unit, (high)*AGENT_BYTES_##unit,                               \
            "must be a size such as 65536, 900K, 256M or 4G, " #low #low_unit " to " #high #unit \
    }
#define AGENT_SECONDS_h 3600UL
#define AGENT_SECONDS_d 86400UL
#define AGENT_BYTES_ 1UL
#define AGENT_BYTES_M (1UL << 20)
#define AGENT_BYTES_G (1UL << 30)

typedef const char *agent_value_read(void *field, const char *value,
                                     const struct agent_bounds *bounds);

extern const char AGENT_NO_MEMORY[];

agent_value_read
    agent_value_text; /* char *: min to max characters, none of them a control character */
agent_value_read
    agent_value_name; /* char *: as text, and without what MQTT and EnOS give a meaning */
agent_value_read agent_value_host;  /* char *: a host name or an address */
agent_value_read agent_value_hosts; /* char *: up to three of them, parted by blanks */
agent_value_read agent_value_proxy; /* char *: socks5:// or http://, [USER@]HOST:PORT */
agent_value_read agent_value_size;  /* uint64_t: bytes, or a number and K, M or G (of 1024) */
agent_value_read agent_value_path;  /* char *: an absolute path */
agent_value_read agent_value_path_or_none; /* char *: the same, or nothing */
agent_value_read agent_value_secret;       /* char *: an absolute path, or credential:NAME */
agent_value_read agent_value_ca;  /* char *: an absolute path, or "system", which is NULL */
agent_value_read agent_value_url; /* char *: https://HOST[:PORT][/PATH], its last slashes dropped */
agent_value_read agent_value_any_url;  /* char *: the same, or http://, and slashes stay */
agent_value_read agent_value_pcrs;     /* char *: BANK:PCR[,PCR...], as sha256:0,2,7 */
agent_value_read agent_value_bool;     /* bool: yes or no */
agent_value_read agent_value_seconds;  /* unsigned: a number and s, m, h or d; min and max in s */
agent_value_read agent_value_renew_by; /* enum agent_renew_by: api, event, hand */
agent_value_read agent_value_expired;  /* enum agent_renew_expired: apply, stop */
agent_value_read agent_value_policy;   /* enum agent_policy: warn, stop */
agent_value_read agent_value_provider; /* char *: a bare name, or an absolute path */
agent_value_read agent_value_tcti;     /* char *: NAME:SETTINGS */
agent_value_read agent_value_unsigned; /* unsigned */
agent_value_read agent_value_port;     /* uint16_t */
agent_value_read agent_value_handle;   /* uint32_t: a persistent handle, in hex with 0x */

#endif
