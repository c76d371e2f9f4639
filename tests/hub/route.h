/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP call and its answer, as api.c hands it to the functions that do the work. */
#ifndef GATEKEY_HUB_ROUTE_H
#define GATEKEY_HUB_ROUTE_H

#include "tests/hub/hub.h"
#include "tests/hub/signature.h"

#define HUB_CALL_PARAMETERS 32

/* Codes of EnOS's REST API that several parts answer. */
enum hub_code {
    HUB_CODE_OK = 0,
    HUB_CODE_NO_DEVICE = 11404,
    HUB_CODE_BAD_CALL = 99400,
    HUB_CODE_NO_PERMISSION = 99403,
    HUB_CODE_FAULT = 99500,
};

struct MHD_Connection;

struct hub_call {
    struct hub *hub;
    struct MHD_Connection *connection;
    bool trusted;  /* it came by the control socket: nothing is signed */
    bool is_plain; /* it came without TLS: there is only what everybody may read */
    const char *method;
    const char *path;
    struct hub_parameter query[HUB_CALL_PARAMETERS]; /* decoded */
    size_t query_count;
    char *body;
    size_t body_size;
    bool too_large;
    json_t *application; /* whose call it is, once that is proved; NULL when it is trusted */
};

/* How an answer's JSON is wrapped. */
enum hub_envelope {
    HUB_ENVELOPE_SERVICE, /* {"code","msg","requestId","data"} */
    HUB_ENVELOPE_TOKEN,   /* {"status","msg","business","data"} */
    HUB_ENVELOPE_NONE,    /* text as it stands */
};

struct hub_answer {
    unsigned int http;
    enum hub_envelope envelope;
    int code;
    char message[256];
    json_t *data;
    char *text; /* for HUB_ENVELOPE_NONE */
    size_t text_size;
    const char *text_type;
    char etag[40]; /* both where a cache may keep the text */
    char modified[40];
};

/* Refuse a call: code and text for the envelope. */
void hub_answer_refuse(struct hub_answer *answer, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuse it for an internal fault, which may be the CA's (ca-client.h); what is behind it is said
 * on stderr. */
void hub_answer_fault(struct hub_answer *answer, const char *operation, const struct gk_error *err);

struct hub_route {
    const char *name; /* for the faults */
    const char *method;
    const char *path;
    const char *action;     /* of the query; NULL for none */
    const char *permission; /* of the application that signs it; NULL: nothing is signed */
    enum hub_envelope envelope;
    void (*handle)(struct hub_call *call, struct hub_answer *answer);
};

/* The route of a call, or NULL. */
const struct hub_route *hub_route_find(const struct hub_call *call);

/* Check what a signed call must show: token, signature, organisation, permission. False with the
 * refusal in answer. */
bool hub_route_authorise(struct hub_call *call, const struct hub_route *route,
                         struct hub_answer *answer);

/* Whether the call may touch that product; false with the refusal in answer. */
bool hub_call_may_touch(const struct hub_call *call, const char *product_key,
                        struct hub_answer *answer);

/* A query parameter or a header, NULL where it is missing. */
const char *hub_call_parameter(const struct hub_call *call, const char *name);
const char *hub_call_header(const struct hub_call *call, const char *name);

/* The body as a JSON object, the caller's to release; NULL with the refusal in answer. */
json_t *hub_call_json(const struct hub_call *call, struct hub_answer *answer);

/* The row of the device the query names, the caller's to release; NULL with the refusal in answer.
 */
json_t *hub_call_device(const struct hub_call *call, struct hub_answer *answer);

/* token.c */
void hub_token_get(struct hub_call *call, struct hub_answer *answer);
void hub_token_refresh(struct hub_call *call, struct hub_answer *answer);

/* device.c */
void hub_device_create(struct hub_call *call, struct hub_answer *answer);
void hub_device_get(struct hub_call *call, struct hub_answer *answer);
void hub_device_enable(struct hub_call *call, struct hub_answer *answer);
void hub_device_disable(struct hub_call *call, struct hub_answer *answer);
void hub_device_set_point(struct hub_call *call, struct hub_answer *answer);
void hub_device_get_point(struct hub_call *call, struct hub_answer *answer);
void hub_device_invoke(struct hub_call *call, struct hub_answer *answer);

/* event.c */
void hub_event_list(struct hub_call *call, struct hub_answer *answer);

/* certificate.c */
void hub_certificate_apply(struct hub_call *call, struct hub_answer *answer);
void hub_certificate_renew(struct hub_call *call, struct hub_answer *answer);

/* revocation.c */
void hub_certificate_revoke(struct hub_call *call, struct hub_answer *answer);
void hub_certificate_list(struct hub_call *call, struct hub_answer *answer);

/* publication.c: what everybody may read */
void hub_publish_root(struct hub_call *call, struct hub_answer *answer);
void hub_publish_crl(struct hub_call *call, struct hub_answer *answer);

/* control.c: for hubctl alone */
void hub_control_faults(struct hub_call *call, struct hub_answer *answer);
void hub_control_fault(struct hub_call *call, struct hub_answer *answer);
void hub_control_settings(struct hub_call *call, struct hub_answer *answer);
void hub_control_setting(struct hub_call *call, struct hub_answer *answer);
void hub_control_revoke_server(struct hub_call *call, struct hub_answer *answer);
void hub_control_renew_server(struct hub_call *call, struct hub_answer *answer);
void hub_control_new_root(struct hub_call *call, struct hub_answer *answer);
void hub_control_switch_server(struct hub_call *call, struct hub_answer *answer);
void hub_control_drop(struct hub_call *call, struct hub_answer *answer);
void hub_control_command(struct hub_call *call, struct hub_answer *answer); /* invocation.c */

#endif
