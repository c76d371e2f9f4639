/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key file that some program hands to OpenSSL: both stages of the provider's decoder.
 *
 * They are called as OpenSSL calls them, but not by it: building a chain of decoders takes it a
 * hundred times as long as everything that is looked at here.
 */
#include "tests/fuzz/target.h"

#include "provider/internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

/* What OpenSSL would hand us as a BIO. */
struct input {
    const uint8_t *data;
    size_t size;
};

static int input_gets(OSSL_CORE_BIO *bio, char *line, int room)
{
    struct input *input = (struct input *)bio;
    int size = 0;

    while (size < room - 1 && input->size > 0) {
        line[size++] = (char)*input->data++;
        input->size--;
        if (line[size - 1] == '\n') {
            break;
        }
    }
    line[size] = '\0';
    return size;
}

static int input_read(OSSL_CORE_BIO *bio, void *data, size_t room, size_t *got)
{
    struct input *input = (struct input *)bio;

    *got = room < input->size ? room : input->size;
    if (*got > 0) {
        memcpy(data, input->data, *got);
        input->data += *got;
        input->size -= *got;
    }
    return *got > 0;
}

static struct prov_context *context(void)
{
    static const OSSL_DISPATCH upcalls[] = {
        { OSSL_FUNC_BIO_GETS, (void (*)(void))input_gets },
        { OSSL_FUNC_BIO_READ_EX, (void (*)(void))input_read },
        { 0, NULL },
    };
    static struct prov_context *made;

    if (made == NULL) {
        made = prov_context_new(NULL, upcalls);
    }
    return made;
}

static int no_password(char *phrase, size_t room, size_t *size, const OSSL_PARAM params[],
                       void *argument)
{
    (void)phrase;
    (void)room;
    (void)size;
    (void)params;
    (void)argument;
    return 0;
}

/* The entry of the table that takes this input; "der" and "pem" are the only two. */
static int decode(const char *input_type, struct input input, OSSL_CALLBACK *deliver,
                  void *argument)
{
    const OSSL_ALGORITHM *decoder = prov_decoder;
    const OSSL_DISPATCH *function;

    while (strstr(decoder->property_definition, input_type) == NULL) {
        decoder++;
    }
    function = decoder->implementation;
    while (function->function_id != OSSL_FUNC_DECODER_DECODE) {
        function++;
    }
    return OSSL_FUNC_decoder_decode(function)(context(), (OSSL_CORE_BIO *)&input, 0, deliver,
                                              argument, no_password, NULL);
}

/* What key management does with it; what was taken is an RSA-2048 key. */
static int take_key(const OSSL_PARAM params[], void *argument)
{
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, OSSL_OBJECT_PARAM_REFERENCE);
    struct prov_key **offered = param != NULL ? param->data : NULL;
    CLEANUP(prov_key_freep) struct prov_key *key = offered != NULL ? TAKE(*offered) : NULL;

    if (argument != NULL) {
        *(bool *)argument = true;
    }
    if (key == NULL || (gk_key_public(key->reference)->modulus[0] & 0x80) == 0) {
        abort();
    }
    return 1;
}

/* What the first stage has checked the second one takes. */
static int decode_der(const OSSL_PARAM params[], void *argument)
{
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, OSSL_OBJECT_PARAM_DATA);
    bool taken = false;

    (void)argument;
    if (param == NULL ||
        decode("input=der", (struct input){ param->data, param->data_size }, take_key, &taken) !=
            1 ||
        !taken) {
        abort();
    }
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)decode("input=pem", (struct input){ data, size }, decode_der, NULL);
    (void)decode("input=der", (struct input){ data, size }, take_key, NULL);
    if (ERR_peek_error() != 0) {
        abort();
    }
    return 0;
}
