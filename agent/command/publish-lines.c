/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatekey publish --lines: many messages over one connection. It does not wait for one answer
 * before it sends the next, so that gatekeyd can store a hundred with one sync of the disk.
 */
#include "agent/command/publish.h"
#include "agent/command/service.h"
#include "agent/enos/handed.h"
#include "agent/local.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define UNDER_WAY_MAX 256
#define LINE_MAX_SIZE (AGENT_LOCAL_LINE_MAX - 512)
#define CHUNK ((size_t)65536)
#define SILENCE_S 60 /* of gatekeyd, before it is given up */

struct bytes {
    char *data;
    size_t size, room;
};

struct stream {
    struct run *run;
    const struct publication *publication;
    const char *path;
    char *topic; /* the default, as JSON text */
    int fd;
    bool ended;    /* nothing more comes in */
    bool skipping; /* the rest of a line that is too long */
    struct bytes in, out, answers;
    size_t line;                     /* lines seen */
    size_t under_way[UNDER_WAY_MAX]; /* their numbers, oldest first, from begin on */
    size_t begin, count;
    size_t accepted, rejected;
};

static void free_bytes(struct bytes *bytes)
{
    free(bytes->data);
}

static enum gk_status make_room(struct bytes *bytes, size_t more, struct gk_error *err)
{
    size_t room = bytes->room == 0 ? CHUNK : bytes->room;
    char *data;

    while (room < bytes->size + more) {
        room *= 2;
    }
    if (room == bytes->room) {
        return GK_OK;
    }
    data = realloc(bytes->data, room);
    if (data == NULL) {
        return gk_fail(err, GK_NO_MEMORY, NULL);
    }
    bytes->data = data;
    bytes->room = room;
    return GK_OK;
}

static void drop(struct bytes *bytes, size_t size)
{
    memmove(bytes->data, bytes->data + size, bytes->size - size);
    bytes->size -= size;
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void reject(struct stream *stream, size_t line, const struct gk_error *err)
{
    char sentence[1024];

    gk_error_sentence(err, "publish", sentence, sizeof(sentence));
    say_note(stream->run, "line %zu: %s", line, sentence);
    stream->rejected++;
}

/* {"topic":...,"params":...}, and nothing else: what is misspelt would be sent to the wrong place.
 */
static enum gk_status check_members(const json_t *whole, struct gk_error *err)
{
    const json_t *topic = json_object_get(whole, "topic");
    size_t known = (topic != NULL ? 1 : 0) + 1;

    if (json_object_size(whole) != known || (topic != NULL && !json_is_string(topic))) {
        gk_fail(err, GK_USAGE, "beside params there may be a topic, and nothing else");
        gk_advise(err, "write {\"topic\":\"thing/measurepoint/post\",\"params\":{...}}, or the "
                       "params alone");
        return GK_USAGE;
    }
    return GK_OK;
}

struct parts {
    const char *topic, *params;
    size_t topic_size, params_size;
};

/* As they are written; jansson would print some numbers otherwise. */
static enum gk_status take_apart(const struct stream *stream, const char *line, size_t size,
                                 struct parts *parts, struct gk_error *err)
{
    json_error_t why;
    CLEANUP(json_freep) json_t *whole = json_loadb(line, size, JSON_REJECT_DUPLICATES, &why);

    *parts = (struct parts){ stream->topic, line, strlen(stream->topic), size };
    if (whole == NULL) {
        gk_fail(err, GK_USAGE, "no JSON object or array: %.100s at byte %d", why.text,
                why.position);
        gk_advise(err, "write the params of one message on each line");
        return GK_USAGE;
    }
    if (json_object_get(whole, "params") == NULL) {
        return GK_OK;
    }
    if (!enos_member_find(line, size, "params", &parts->params, &parts->params_size) ||
        (json_object_get(whole, "topic") != NULL &&
         !enos_member_find(line, size, "topic", &parts->topic, &parts->topic_size))) {
        return gk_fail(err, GK_USAGE, "topic and params must be written without \\u");
    }
    return check_members(whole, err);
}

/* Where there is room; SIZE_MAX: up to the NUL. */
static void append(struct bytes *bytes, const char *text, size_t size)
{
    size = size == SIZE_MAX ? strlen(text) : size;
    memcpy(bytes->data + bytes->size, text, size);
    bytes->size += size;
}

static enum gk_status ask(struct stream *stream, const char *line, size_t size,
                          struct gk_error *err)
{
    const struct publication *publication = stream->publication;
    struct bytes *out = &stream->out;
    char wait[48] = "";
    struct parts parts;
    enum gk_status status = take_apart(stream, line, size, &parts, err);

    if (status != GK_OK) {
        return status;
    }
    if (publication->wait) {
        snprintf(wait, sizeof(wait), "\"wait\":true,\"timeout\":%u,", publication->timeout_s);
    }
    status = make_room(out, parts.topic_size + parts.params_size + 128, err);
    if (status != GK_OK) {
        return status;
    }
    append(out, "{\"op\":\"publish\",", SIZE_MAX);
    append(out, wait, SIZE_MAX);
    append(out, "\"topic\":", SIZE_MAX);
    append(out, parts.topic, parts.topic_size);
    append(out, ",\"params\":", SIZE_MAX);
    append(out, parts.params, parts.params_size);
    append(out, "}\n", SIZE_MAX);
    stream->under_way[(stream->begin + stream->count) % UNDER_WAY_MAX] = stream->line;
    stream->count++;
    return GK_OK;
}

static void take_line(struct stream *stream, const char *line, size_t size)
{
    struct gk_error err = { 0 };

    stream->line++;
    if (stream->skipping) {
        stream->skipping = false; /* its end */
        return;
    }
    if (strspn(line, " \t\r\n") < size && ask(stream, line, size, &err) != GK_OK) {
        reject(stream, stream->line, &err);
    }
}

static bool may_ask(const struct stream *stream)
{
    return stream->count < UNDER_WAY_MAX && stream->out.size < CHUNK;
}

static void skip_long_line(struct stream *stream)
{
    struct gk_error err = { 0 };

    if (!stream->skipping) {
        gk_fail(&err, GK_USAGE, "a line of more than %zu bytes", LINE_MAX_SIZE);
        reject(stream, stream->line + 1, &err);
        stream->skipping = true;
    }
    stream->in.size = 0;
}

static void take_lines(struct stream *stream)
{
    struct bytes *in = &stream->in;
    size_t taken = 0;

    while (may_ask(stream) && taken < in->size) {
        char *line = in->data + taken, *end = memchr(line, '\n', in->size - taken);

        if (end == NULL && stream->ended) {
            end = in->data + in->size; /* there is room for one byte more */
        }
        if (end == NULL) {
            break;
        }
        *end = '\0';
        take_line(stream, line, (size_t)(end - line));
        taken = (size_t)(end - in->data) + 1;
    }
    drop(in, taken < in->size ? taken : in->size);
    if (in->size > LINE_MAX_SIZE && memchr(in->data, '\n', in->size) == NULL) {
        skip_long_line(stream);
    }
}

static enum gk_status read_lines(struct stream *stream, struct gk_error *err)
{
    enum gk_status status = make_room(&stream->in, CHUNK + 1, err);
    ssize_t got;

    if (status != GK_OK) {
        return status;
    }
    got = read(STDIN_FILENO, stream->in.data + stream->in.size, CHUNK);
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
        return gk_fail_file(err, errno, "standard input");
    }
    stream->ended = got == 0;
    stream->in.size += got > 0 ? (size_t)got : 0;
    return GK_OK;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static enum gk_status take_answer(struct stream *stream, const char *text, size_t size,
                                  struct gk_error *err)
{
    CLEANUP(json_freep) json_t *answer = json_loadb(text, size, 0, NULL);
    const char *id = json_string_value(json_object_get(answer, "id"));
    struct gk_error why = { 0 };
    size_t line;

    if (!json_is_boolean(json_object_get(answer, "ok")) || stream->count == 0) {
        return gk_fail(err, GK_BAD_FILE, "%s: the answer makes no sense", stream->path);
    }
    line = stream->under_way[stream->begin];
    stream->begin = (stream->begin + 1) % UNDER_WAY_MAX;
    stream->count--;
    if (service_verdict(answer, &why) != GK_OK) {
        reject(stream, line, &why);
        return GK_OK;
    }
    stream->accepted++;
    say_line(stream->run, "%s", id != NULL ? id : "");
    return GK_OK;
}

static enum gk_status read_answers(struct stream *stream, struct gk_error *err)
{
    struct bytes *answers = &stream->answers;
    enum gk_status status = make_room(answers, CHUNK, err);
    size_t taken = 0;
    ssize_t got;

    if (status != GK_OK) {
        return status;
    }
    got = recv(stream->fd, answers->data + answers->size, answers->room - answers->size, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        return gk_fail(err, GK_NO_SERVICE, "%s: it hung up", stream->path);
    }
    answers->size += got > 0 ? (size_t)got : 0;
    while (status == GK_OK) {
        const char *from = answers->data + taken;
        const char *end = memchr(from, '\n', answers->size - taken);

        if (end == NULL) {
            break;
        }
        status = take_answer(stream, from, (size_t)(end - from), err);
        taken = (size_t)(end - answers->data) + 1;
    }
    drop(answers, taken);
    fflush(stdout); /* who reads the numbers should not wait for the last line */
    return status;
}

static enum gk_status write_requests(struct stream *stream, struct gk_error *err)
{
    ssize_t sent = send(stream->fd, stream->out.data, stream->out.size, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return gk_fail(err, GK_NO_SERVICE, "%s: it hung up", stream->path);
    }
    drop(&stream->out, sent > 0 ? (size_t)sent : 0);
    return GK_OK;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static enum gk_status step(struct stream *stream, struct gk_error *err)
{
    bool asking = !stream->ended && may_ask(stream);
    short events = (short)(POLLIN | (stream->out.size > 0 ? POLLOUT : 0));
    struct pollfd fds[] = { { stream->fd, events, 0 }, { asking ? STDIN_FILENO : -1, POLLIN, 0 } };
    unsigned patience_s =
        SILENCE_S + (stream->publication->wait ? stream->publication->timeout_s : 0);
    /* Whoever types takes the time he needs. */
    int count = poll(fds, 2, stream->count > 0 ? (int)patience_s * 1000 : -1);
    enum gk_status status = GK_OK;

    if (count == 0) {
        return gk_fail(err, GK_NO_SERVICE, "%s: no answer in time", stream->path);
    }
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        status = read_answers(stream, err);
    }
    if (status == GK_OK && (fds[0].revents & POLLOUT) != 0) {
        status = write_requests(stream, err);
    }
    if (status == GK_OK && fds[1].revents != 0) {
        status = read_lines(stream, err);
    }
    if (status == GK_OK) {
        take_lines(stream);
    }
    return status;
}

static enum gk_status conclude(const struct stream *stream, enum gk_status status,
                               struct gk_error *err)
{
    say_member(stream->run, "accepted", json_integer((json_int_t)stream->accepted));
    say_member(stream->run, "rejected", json_integer((json_int_t)stream->rejected));
    if (status != GK_OK) {
        if (stream->count > 0) {
            gk_advise(err, "lines %zu to %zu were not answered: they may be in the spool or not",
                      stream->under_way[stream->begin], stream->line);
        }
        return status;
    }
    if (stream->rejected > 0) {
        gk_fail(err, GK_BAD_FILE, "standard input: %zu of %zu lines were not accepted",
                stream->rejected, stream->accepted + stream->rejected);
        gk_advise(err, "see what was said of each; the others are in the spool");
        return GK_BAD_FILE;
    }
    return GK_OK;
}

static void close_stream(struct stream *stream)
{
    gk_closep(&stream->fd);
    free_bytes(&stream->in);
    free_bytes(&stream->out);
    free_bytes(&stream->answers);
    free(stream->topic);
}

enum gk_status publish_lines(struct run *run, const struct publication *publication,
                             struct gk_error *err)
{
    CLEANUP(json_freep) json_t *topic = json_string(publication->topic);
    CLEANUP(close_stream)
    struct stream stream = { .run = run,
                             .publication = publication,
                             .path = run->config->socket,
                             .topic = json_dumps(topic, JSON_ENCODE_ANY),
                             .fd = -1 };
    enum gk_status status;

    if (stream.topic == NULL) {
        return gk_fail(err, GK_USAGE, "the topic is not valid UTF-8");
    }
    status = agent_local_open(run->config, &stream.fd, err);
    while (status == GK_OK &&
           (!stream.ended || stream.in.size > 0 || stream.out.size > 0 || stream.count > 0)) {
        status = step(&stream, err);
    }
    return conclude(&stream, status, err);
}
