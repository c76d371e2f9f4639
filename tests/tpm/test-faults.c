/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault matrix: every command that tpm/ sends x every fault that can befall it, once and for
 * ever. In each cell the operation must fail with the right status and sentence, or recover where
 * it can; leave nothing in the TPM, no memory and no descriptor; and work the next time.
 *
 * Its last line says how many cells there were. In the first operation that sends it a command
 * meets all faults, in the others typical ones, and few where RSA keys are made, which takes a
 * while; with GATEKEY_FAULTS=all (make check-faults) everything meets everything.
 */
#include "tests/tpm/direct.h"
#include "tests/tpm/fault.h"
#include "tests/tpm/faults.h"
#include "tests/tpm/fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#define COMMANDS_MAX 64
#define STAND_IN 6       /* among the operations: one of ESYS */
#define OPENING SIZE_MAX /* a cell's place: not a command, but the line being opened */

/* Of the sanitizer, where there is one: tells about leaks so far and looks for new ones only. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

struct cell {
    const struct operation *operation;
    const uint32_t *commands;
    size_t count, place;
    const struct fault *fault;
    bool is_for_ever;
    unsigned opened; /* how often the operation opens the line when nothing goes wrong */
};

static struct {
    unsigned cells, leaks, wrong;
} total;

static char where[160]; /* the cell under way, for the signal handler and for complaints */

static void describe_cell(const struct cell *cell)
{
    char place[48] = "opening the line";

    if (cell->place != OPENING) {
        snprintf(place, sizeof(place), "command %zu of %zu (0x%x)", cell->place + 1, cell->count,
                 (unsigned)cell->commands[cell->place]);
    }
    snprintf(where, sizeof(where), "%s: %s: %s%s", cell->operation->name, place,
             cell->fault->action, cell->is_for_ever ? " for ever" : "");
}

static void complain(unsigned *counter, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(unsigned *counter, const char *format, ...)
{
    va_list arguments;

    (*counter)++;
    printf("%s: ", where);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

static void say_where_it_crashed(int number)
{
    static const char crashed[] = ": crashed\n";
    ssize_t ignored = write(STDERR_FILENO, where, strlen(where));

    ignored = write(STDERR_FILENO, crashed, sizeof(crashed) - 1);
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

/* --- what must come of it -----------------------------------------------------------------------
 */

static uint32_t command_of(const struct cell *cell)
{
    return cell->place == OPENING ? 0 : cell->commands[cell->place];
}

static bool is_answer(const struct fault *fault)
{
    return fault->kind == REFUSED || fault->kind == STALE || fault->kind == AGAIN;
}

/* What is left to do after this command but to tidy up. */
static bool is_last_of_substance(const struct cell *cell)
{
    for (size_t i = cell->place + 1; i < cell->count; i++) {
        if (cell->commands[i] != CC_FLUSH_CONTEXT) {
            return false;
        }
    }
    return true;
}

static bool fits(const struct exception *e, const struct cell *cell, unsigned nth)
{
    bool fits_place = (e->command == 0 && cell->place != OPENING) ||
                      (e->command == command_of(cell) && (e->nth == 0 || e->nth == nth));

    /* What befalls all commands from there on may show in a later one. */
    return (fits_place || cell->is_for_ever) &&
           (e->operation == NULL || strcmp(e->operation, cell->operation->name) == 0) &&
           (e->status == cell->fault->status || e->status == ANY_STATUS) &&
           (e->action == NULL || strcmp(e->action, cell->fault->action) == 0);
}

/* Is that what the fault is called here? The first exception that fits says. */
static bool is_named(const struct cell *cell, enum gk_status status)
{
    unsigned nth = 0;

    for (size_t i = 0; i <= cell->place && i < cell->count; i++) {
        nth += cell->commands[i] == command_of(cell);
    }
    for (size_t i = 0; i < exception_total; i++) {
        if (fits(&exceptions[i], cell, nth) &&
            (status == exceptions[i].instead || !cell->is_for_ever)) {
            return status == exceptions[i].instead;
        }
    }
    return status == cell->fault->status;
}

/* Can the operation, or whoever tidies up behind it, do without this command's success? */
static bool recovers(const struct cell *cell)
{
    const struct fault *fault = cell->fault;
    bool is_enhanced = cell->operation->has_sessions;

    if (fault->kind == LATE || (fault->kind == AGAIN && !cell->is_for_ever)) {
        return true;
    }
    if (fault->kind == SILENT) {
        return command_of(cell) == CC_FLUSH_CONTEXT && is_last_of_substance(cell);
    }
    if (command_of(cell) == CC_FLUSH_CONTEXT) {
        return (!cell->is_for_ever && (is_answer(fault) || !is_enhanced)) ||
               is_last_of_substance(cell);
    }
    /* One more connection is tried, but ESYS has objects and sessions on the old one. */
    return !is_enhanced && !cell->is_for_ever && fault->kind != REFUSED &&
           fault->status != GK_TPM_DENIED && fault->status != GK_NO_MEMORY;
}

static bool is_right(const struct cell *cell, enum gk_status status)
{
    if (cell->fault->kind == CHANGED) {
        /*
         * Nobody can tell, but by what comes of it: a signature that does not verify, a session
         * whose next command the TPM refuses. That it is one sentence is looked at all the same.
         */
        return true;
    }
    if (recovers(cell)) {
        return status == GK_OK;
    }
    if (is_named(cell, status)) {
        return true;
    }
    /* What goes wrong in flushing shows in the next command, if at all: ESYS says "bad sequence".
     */
    return command_of(cell) == CC_FLUSH_CONTEXT &&
           ((cell->fault->kind == SPOILT && (status == GK_OK || status == GK_NO_TPM)) ||
            (cell->fault->status == GK_NO_KEY && status == GK_OK));
}

/* Is it for the operation to notice that it was told something else? */
static bool must_have_worked(const struct cell *cell)
{
    return cell->fault->kind != CHANGED || command_of(cell) != CC_READ_PUBLIC;
}

/* May the TPM hold something afterwards? Only what nobody here can know of, or get rid of. */
static bool may_leave(const struct cell *cell)
{
    uint32_t command = command_of(cell);
    enum fault_kind kind = cell->fault->kind;

    if (cell->is_for_ever) {
        return true; /* flushing goes wrong as well */
    }
    if (kind == SILENT) {
        return true; /* that is waited for once, so what is known of is left to the next call */
    }
    return (kind == CUT_AFTER || kind == SPOILT || kind == CHANGED) &&
           (command == CC_CREATE_PRIMARY || command == CC_LOAD || command == CC_CONTEXT_LOAD ||
            command == CC_START_AUTH_SESSION);
}

/* cannot do it: CAUSE (OBJECT, TPM 0xCODE WORDS); NEXT STEP */
static void check_sentence(const struct cell *cell, enum gk_status status,
                           const struct gk_error *err)
{
    char sentence[1024], code[32];
    const char *says = cell->fault->says;

    gk_error_sentence(err, "do it", sentence, sizeof(sentence));
    if (is_answer(cell->fault)) {
        snprintf(code, sizeof(code), "TPM 0x%x",
                 (unsigned)strtoul(strchr(cell->fault->action, ' '), NULL, 16));
    } else {
        snprintf(code, sizeof(code), "TPM 0x%x", (unsigned)err->tpm_code);
    }
    if (err->status != status || err->object[0] == '\0' ||
        (strstr(sentence, code) == NULL && cell->fault->kind != CHANGED) ||
        strstr(sentence, "); ") == NULL || strncmp(sentence, "cannot do it: ", 14) != 0) {
        complain(&total.wrong, "status %s, but it says \"%s\"", gk_status_name(status), sentence);
    }
    if (status == cell->fault->status && says != NULL && strstr(sentence, says) == NULL) {
        complain(&total.wrong, "\"%s\" does not say \"%s\"", sentence, says);
    }
}

/* --- running it ---------------------------------------------------------------------------------
 */

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void set_plan(const struct cell *cell)
{
    const char *from_there_on = cell->is_for_ever ? "-" : "";

    if (cell->place == OPENING) {
        fault_plan("open 1%s %s\n", from_there_on, cell->fault->action);
    } else if (cell->is_for_ever && cell->fault->status == GK_NO_TPM) {
        /* Gone for good, so it cannot be opened any more either. */
        fault_plan("* %zu- %s\nopen %u- answer 0xa000a\n", cell->place + 1, cell->fault->action,
                   cell->opened + 1);
    } else {
        fault_plan("* %zu%s %s\n", cell->place + 1, from_there_on, cell->fault->action);
    }
}

static void works_again(const struct cell *cell)
{
    const struct operation *operation = cell->operation;
    struct gk_error err = { 0 };
    char sentence[1024];

    /* What is left behind is in the TPM or in this process, so a quick one of its kind will do. */
    if (operation->has_sessions &&
        (operation->pace != QUICK || cell->fault->weight == ONE_OF_MANY)) {
        operation = &operations[STAND_IN];
    }
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    fault_plan("%s", "");
    if (operation->run(fault_tcti(), &err) != GK_OK || !operation->has_worked()) {
        gk_error_sentence(&err, "do it again", sentence, sizeof(sentence));
        complain(&total.wrong, "%s", sentence);
    }
    if (direct_loaded() != 0) {
        complain(&total.leaks, "the next call leaves something in the TPM");
        direct_flush();
    }
}

static void run_cell(const struct cell *cell)
{
    struct gk_error err = { 0 };
    unsigned descriptors;
    enum gk_status status;

    describe_cell(cell);
    total.cells++;
    if (cell->operation->prepare != NULL) {
        cell->operation->prepare();
    }
    set_plan(cell);
    descriptors = count_descriptors();
    status = cell->operation->run(fault_tcti(), &err);
    if (!is_right(cell, status)) {
        complain(&total.wrong, "%s (0x%x)", gk_status_name(status), (unsigned)err.tpm_code);
    } else if (status != GK_OK) {
        check_sentence(cell, status, &err);
    } else if (must_have_worked(cell) && !cell->operation->has_worked()) {
        complain(&total.wrong, "it says that it has worked, and has not");
    }
    if (count_descriptors() != descriptors) {
        complain(&total.leaks, "%u descriptors, %u before", count_descriptors(), descriptors);
    }
    if (direct_loaded() != 0) {
        if (!may_leave(cell)) {
            complain(&total.leaks, "%u objects are left in the TPM", direct_loaded());
        }
        direct_flush();
    }
    works_again(cell);
}

/* Has an operation before this one sent that command already? */
static bool is_known(const struct cell *cell)
{
    static struct {
        const struct operation *operation;
        uint32_t command;
    } firsts[COMMANDS_MAX];
    size_t i = 0;

    while (firsts[i].operation != NULL &&
           (firsts[i].command != command_of(cell) ||
            firsts[i].operation->has_sessions != cell->operation->has_sessions)) {
        i++;
    }
    assert_in_range(i, 0, COMMANDS_MAX - 2);
    if (firsts[i].operation == NULL) {
        firsts[i].operation = cell->operation;
        firsts[i].command = command_of(cell);
    }
    return firsts[i].operation != cell->operation;
}

/* Every command meets every fault in the first operation that sends it, and some in the others. */
static unsigned least_weight(const struct cell *cell)
{
    bool is_old = is_known(cell);

    switch (cell->operation->pace) {
    case SLOW:
        return is_old ? SAMPLE : TYPICAL;
    case SLOWEST:
        return is_old ? NONE : SAMPLE;
    case QUICK:
        break;
    }
    if (cell->is_for_ever && cell->count > 1) {
        return SAMPLE;
    }
    return is_old ? TYPICAL : ONE_OF_MANY;
}

static bool is_wanted(const struct cell *cell, bool is_all)
{
    bool is_opening = cell->place == OPENING;

    if ((cell->fault->kind == NOT_OPENED) != is_opening ||
        (cell->fault->kind == LATE && cell->is_for_ever)) {
        return false;
    }
    if (is_all) {
        return true;
    }
    /* Asking a TPM that is busy, or full, for ever again and again takes seconds. */
    if (cell->is_for_ever &&
        (cell->operation->pace != QUICK ||
         (!cell->operation->has_sessions &&
          (cell->fault->kind == AGAIN || cell->fault->status == GK_TPM_MEMORY)))) {
        return false;
    }
    return cell->fault->weight >= least_weight(cell);
}

static void run_faults(struct cell *cell)
{
    const char *which = getenv("GATEKEY_FAULTS");

    for (size_t i = 0; i < fault_total; i++) {
        cell->fault = &faults[i];
        for (int ever = 0; ever < 2; ever++) {
            cell->is_for_ever = ever;
            if (is_wanted(cell, which != NULL && strcmp(which, "all") == 0)) {
                run_cell(cell);
            }
        }
    }
}

/* Let it run without faults to see what it sends; then everything goes wrong in turn. */
static void run_operation(const struct operation *operation)
{
    uint32_t commands[COMMANDS_MAX];
    struct cell cell = { .operation = operation, .commands = commands };
    struct gk_error err = { 0 };
    unsigned before = total.cells;

    if (operation->prepare != NULL) {
        operation->prepare();
    }
    fault_plan("%s", "");
    assert_int_equal(operation->run(fault_tcti(), &err), GK_OK);
    assert_true(operation->has_worked());
    assert_int_equal(direct_loaded(), 0);
    cell.count = fault_commands(commands, COMMANDS_MAX);
    cell.opened = fault_opened();
    assert_in_range(cell.count, 1, COMMANDS_MAX);
    for (cell.place = 0; cell.place < cell.count; cell.place++) {
        run_faults(&cell);
    }
    cell.place = OPENING;
    run_faults(&cell);
    if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0) {
        complain(&total.leaks, "memory, in one of this operation's cells");
    }
    printf("%s: %zu commands, %u cells\n", operation->name, cell.count, total.cells - before);
}

static void every_command_meets_every_fault(void **state)
{
    const char *only = getenv("GATEKEY_FAULTS_OPERATION");

    (void)state;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, say_where_it_crashed);
    signal(SIGABRT, say_where_it_crashed);
    direct_open();
    (void)fault_tcti();
    operations_open();
    for (size_t i = 0; i < operation_total; i++) {
        if (only == NULL || strcmp(only, operations[i].name) == 0) {
            run_operation(&operations[i]);
        }
    }
    operations_close();
    direct_close();
    printf("%u cells: 0 crashes, %u leaks, %u wrong messages\n", total.cells, total.leaks,
           total.wrong);
    assert_int_equal(total.leaks + total.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_meets_every_fault),
    };

    setenv("TSS2_LOG", "all+NONE", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
