/* signal.c: executes AMX instructions where the CPU says that they are illegal. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/emulate/amx.h"

static _Thread_local agate_amx_tiles tiles;
static struct sigaction previous;
static bool counts;

/* Where ucontext has the registers of encodings. */
static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* The instruction is executed again once the handler returns, and the signal then takes its default
 * action. */
static void die(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};

    sigaction(SIGILL, &standard, NULL);
}

static void complain(const char *fault, uint64_t at)
{
    char line[256];
    const int length = snprintf(line, sizeof line, "AMX: %s (at 0x%llx)\n", fault, (unsigned long long)at);

    if (length < 0 || write(STDERR_FILENO, line, (size_t)length) < 0)
        return;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(number, info, context);
    else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN)
        die();
    else
        previous.sa_handler(number);
}

static void on_illegal(int number, siginfo_t *info, void *context)
{
    greg_t *saved = ((ucontext_t *)context)->uc_mcontext.gregs;
    const int saved_errno = errno;
    const uint8_t *code = (const uint8_t *)(uintptr_t)saved[REG_RIP];
    agate_amx_instruction instruction;
    uint64_t registers[17];

    if (!agate_amx_decode(code, &instruction)) {
        pass_on(number, info, context);
        return;
    }
    for (int i = 0; i < 16; i++)
        registers[i] = (uint64_t)saved[places[i]];
    /* No instruction of AMX changes a register: those that follow one another cost one signal. */
    do {
        registers[AGATE_AMX_RIP] = (uintptr_t)code + (uint64_t)instruction.length_bytes;
        const char *fault = agate_amx_execute(&tiles, &instruction, registers);
        saved[REG_RIP] = (greg_t)(uintptr_t)code;
        if (counts && !fault)
            agate_amx_count(&tiles, &instruction, registers);
        if (fault) {
            complain(fault, (uintptr_t)code);
            die();
            break;
        }
        code += instruction.length_bytes;
        saved[REG_RIP] = (greg_t)(uintptr_t)code;
    } while (agate_amx_decode(code, &instruction));
    errno = saved_errno;
}

bool agate_amx_install(void)
{
    struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};

    struct sigaction before;

    counts = getenv("AGATE_AMX_COUNT") != NULL;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGILL, &action, &before) != 0)
        return false;
    if (!(before.sa_flags & SA_SIGINFO) || before.sa_sigaction != on_illegal)
        previous = before;
    return true;
}
