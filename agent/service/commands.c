/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded list of commands, and whose turn it is. */
#include "agent/service/commands.h"

static const char *name_of(const struct command *command)
{
    return command_name(command->kind, command->rest);
}

static bool is_namesake(const struct command *one, const struct command *other)
{
    return strcmp(name_of(one), name_of(other)) == 0;
}

size_t commands_count(const struct commands *commands)
{
    size_t count = 0;

    for (const struct command *c = commands->first; c != NULL; c = c->next) {
        count++;
    }
    return count;
}

enum gk_status commands_put(struct commands *commands, struct command **command,
                            struct gk_error *err)
{
    struct command **end = &commands->first;
    size_t count = 0, namesakes = 0, bytes = (*command)->size;

    for (; *end != NULL; end = &(*end)->next) {
        count++;
        namesakes += is_namesake(*end, *command);
        bytes += (*end)->size;
    }
    if (count >= COMMANDS_MAX) {
        return gk_fail(err, GK_BUSY, "%zu commands wait", count);
    }
    if (namesakes >= COMMANDS_OF_A_NAME) {
        return gk_fail(err, GK_BUSY, "%zu commands %s wait", namesakes, name_of(*command));
    }
    if (bytes > COMMANDS_BYTES) {
        return gk_fail(err, GK_BUSY, "the commands that wait are %zu bytes", bytes);
    }
    *end = TAKE(*command);
    return GK_OK;
}

static size_t count_programs(const struct commands *commands)
{
    size_t count = 0;

    for (const struct command *c = commands->first; c != NULL; c = c->next) {
        count += c->run != NULL;
    }
    return count;
}

bool commands_run_programs(const struct commands *commands)
{
    return count_programs(commands) > 0;
}

/* Those before it in the list came before it; whether one is under way or waits, it goes first. */
static bool is_its_turn(const struct commands *commands, const struct command *command)
{
    for (const struct command *c = commands->first; c != command; c = c->next) {
        if (is_namesake(c, command)) {
            return false;
        }
    }
    return command->handler == NULL || count_programs(commands) < COMMANDS_PROGRAMS;
}

struct command *commands_next(const struct commands *commands, uint64_t now_ms)
{
    for (struct command *c = commands->first; c != NULL; c = c->next) {
        if (!c->begun && command_deadline(c) > now_ms && is_its_turn(commands, c)) {
            return c;
        }
    }
    return NULL;
}

struct command *commands_expired(const struct commands *commands, uint64_t now_ms)
{
    for (struct command *c = commands->first; c != NULL; c = c->next) {
        if (command_deadline(c) <= now_ms) {
            return c;
        }
    }
    return NULL;
}

uint64_t commands_deadline(const struct commands *commands)
{
    uint64_t earliest = UINT64_MAX;

    for (const struct command *c = commands->first; c != NULL; c = c->next) {
        uint64_t deadline = command_deadline(c);

        earliest = deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

struct command *commands_under_way(const struct commands *commands, const char *rest)
{
    for (struct command *c = commands->first; c != NULL; c = c->next) {
        if (c->begun && c->handler == NULL && strcmp(c->rest, rest) == 0) {
            return c;
        }
    }
    return NULL;
}

void commands_remove(struct commands *commands, struct command *command)
{
    for (struct command **at = &commands->first; *at != NULL; at = &(*at)->next) {
        if (*at == command) {
            *at = command->next;
            command->next = NULL;
            return;
        }
    }
}

void commands_clear(struct commands *commands)
{
    while (commands->first != NULL) {
        struct command *command = commands->first;

        commands_remove(commands, command);
        command_free(command);
    }
}
