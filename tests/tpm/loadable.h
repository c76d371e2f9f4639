/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of loadable keys share: keys made by tpm2-tools, a TPM behind a proxy that counts.
 */
#ifndef GATEKEY_TESTS_TPM_LOADABLE_H
#define GATEKEY_TESTS_TPM_LOADABLE_H

#include "tests/tpm/fixture.h"
#include "tests/tpm/proxy.h"

#define OWNER 0x40000001U
#define ENDORSEMENT 0x4000000bU
#define PLATFORM 0x4000000cU
#define NULL_HIERARCHY 0x40000007U
#define PERSISTENT 0x81000001U
#define PERSISTENT_WITH_PASSWORD 0x81000002U

/* Commands: a persistent parent has none of its own; a hierarchy's is made the first time. */
#define LOADABLE_COST 3
#define LOADABLE_COST_FIRST 6

#define TEMPLATE "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
#define SIGNING "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"

/* The proxy, and the TPM through it. */
extern struct proxy *loadable_proxy;
extern struct gk_tpm *loadable_tpm;

/*
 * Before all tests: parents at the two persistent handles above (the second has the password
 * "secret"), the keys "persistent" and "owner" under what their names say.
 */
int loadable_set_up(void **state);
int loadable_tear_down(void **state);

/* Before and after each test: the proxy does no harm, and nothing stays loaded. */
int loadable_begin(void **state);
int loadable_end(void **state);
#define LOADABLE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, loadable_begin, loadable_end)

/* Make a key with tpm2_create: NAME.pub and NAME.priv. parent is what its -C takes. */
void loadable_make(const char *name, const char *parent, const char *settings);
/* The same under a primary key that is made for it in a hierarchy (tpm2_createprimary's -C, -G). */
void loadable_make_under(const char *name, const char *hierarchy, const char *algorithm,
                         const char *settings);

size_t loadable_read_file(const char *name, const char *suffix, uint8_t *bytes, size_t capacity);
enum gk_status loadable_try_read(const char *name, uint32_t parent, struct gk_key **key,
                                 struct gk_error *err);
struct gk_key *loadable_read(const char *name, uint32_t parent, bool rsa_parent, bool needs_auth);

enum gk_status loadable_sign_by(const struct gk_key *key, const struct gk_auth *auth,
                                enum gk_scheme scheme, enum gk_hash hash, size_t salt_size,
                                struct gk_error *err);
/* RSA-PSS with SHA-256. */
enum gk_status loadable_sign(const struct gk_key *key, struct gk_error *err);

/* A TPM answers the first use of a key without noDA with TPM_RC_RETRY, to note it before. */
void loadable_warm_up(void);

/* Sign three times, with so many commands each, and nothing left loaded after any. */
void loadable_assert_costs(const struct gk_key *key, unsigned first, unsigned later);

#endif
