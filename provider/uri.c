/* SPDX-License-Identifier: Apache-2.0 */
/* The URIs of our store: what each of them names. */
#include "provider/internal.h"

#include <strings.h>

#define SCHEME "gatekey:"
#define HANDLE "handle="
#define HANDLE_LENGTH 10 /* "0x" and eight hex digits, as every TPM tool prints one */
#define PASSWORD "?pass"

/* handle=0x81000100, and ?pass after it where there is no reference to say that it has one. */
static bool parse_handle(const char *text, struct prov_uri *uri)
{
    char digits[HANDLE_LENGTH + 1];
    unsigned long value;
    const char *rest;
    char *end;

    if (strncmp(text, HANDLE, strlen(HANDLE)) != 0) {
        return false;
    }
    snprintf(digits, sizeof(digits), "%s", text + strlen(HANDLE));
    if (strlen(digits) != HANDLE_LENGTH || strncasecmp(digits, "0x", 2) != 0) {
        return false;
    }
    value = strtoul(digits + 2, &end, 16);
    if (*end != '\0' || strpbrk(digits + 2, "+- \t\n\v\f\r") != NULL || value < GK_HANDLE_FIRST ||
        value > GK_HANDLE_LAST) {
        return false;
    }
    rest = text + strlen(HANDLE) + HANDLE_LENGTH;
    *uri = (struct prov_uri){ PROV_HANDLE, (uint32_t)value, strcmp(rest, PASSWORD) == 0 };
    return *rest == '\0' || uri->has_password;
}

enum gk_status prov_uri_parse(const char *text, struct prov_uri *uri, struct gk_error *err)
{
    static const struct {
        const char *name;
        enum prov_content content;
    } table[] = {
        { "", PROV_KEY },
        { "cert", PROV_CERTIFICATE },
        { "chain", PROV_CHAIN },
    };
    const char *rest = text + strlen(SCHEME);

    if (strncasecmp(text, SCHEME, strlen(SCHEME)) == 0) {
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            if (strcmp(rest, table[i].name) == 0) {
                *uri = (struct prov_uri){ .content = table[i].content };
                return GK_OK;
            }
        }
        if (parse_handle(rest, uri)) {
            return GK_OK;
        }
    }
    (void)gk_fail(err, GK_USAGE, "%s", text);
    gk_advise(err,
              "write gatekey: (the key), gatekey:cert, gatekey:chain, or gatekey:handle=0x%08x "
              "(0x%08x to 0x%08x), with ?pass after it for a key that has a password",
              GK_HANDLE_DEFAULT, GK_HANDLE_FIRST, GK_HANDLE_LAST);
    return GK_USAGE;
}
