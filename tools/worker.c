/* worker.c: a child process that does one job after another. */
#include "tools/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- messages: a size, then as many bytes -------------------------------------------------------------- */

static bool send_all(int link, const void *bytes, size_t size)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t sent = send(link, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int link, agate_text *text, size_t size)
{
    char buffer[4096];

    while (size > 0) {
        ssize_t got = recv(link, buffer, size < sizeof buffer ? size : sizeof buffer, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        agate_text_add_bytes(text, buffer, (size_t)got);
        size -= (size_t)got;
    }
    return true;
}

static bool send_message(int link, const char *bytes, size_t size)
{
    return send_all(link, &size, sizeof size) && send_all(link, bytes, size);
}

static bool receive_message(int link, agate_text *out_text)
{
    agate_text head = {0};
    size_t size = 0;
    bool whole = receive_all(link, &head, sizeof size);

    if (whole)
        memcpy(&size, head.data, sizeof size);
    agate_text_deinit(&head);
    return whole && receive_all(link, out_text, size);
}

/* ---- the child ----------------------------------------------------------------------------------------- */

_Noreturn static void work(const agate_worker *worker, int link)
{
    signal(SIGALRM, SIG_DFL); /* whatever the parent does about it */
    for (;;) {
        agate_text job = {0}, answer = {0};
        bool told = false;

        if (receive_message(link, &job)) {
            alarm(worker->timeout_seconds);
            worker->run(worker->user, agate_text_c(&job), &answer);
            alarm(0);
            fflush(stdout);
            told = send_message(link, agate_text_c(&answer), answer.size_bytes);
        }
        agate_text_deinit(&job);
        agate_text_deinit(&answer);
        if (!told)
            exit(EXIT_SUCCESS); /* nobody asks any more */
    }
}

static bool start(agate_worker *worker)
{
    int ends[2];

    fflush(stdout);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    worker->child = fork();
    if (worker->child == 0) {
        close(ends[0]);
        work(worker, ends[1]);
    }
    close(ends[1]);
    if (worker->child < 0) {
        worker->child = 0;
        close(ends[0]);
        return false;
    }
    worker->link = ends[0];
    return true;
}

/* ---- its parent ---------------------------------------------------------------------------------------- */

/* Waits for the child's end, and returns its status. */
static int reap(agate_worker *worker)
{
    int status = 0;

    close(worker->link);
    while (waitpid(worker->child, &status, 0) < 0 && errno == EINTR)
        continue;
    worker->child = 0;
    return status;
}

static void describe_end(const agate_worker *worker, int status, agate_text *text)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        agate_text_add(text, "no answer within %u s", worker->timeout_seconds);
    else if (WIFSIGNALED(status))
        agate_text_add(text, "crashed: %s", strsignal(WTERMSIG(status)));
    else
        agate_text_add(text, "ended with exit code %d", WEXITSTATUS(status));
}

bool agate_worker_do(agate_worker *worker, const char *job, agate_text *out_answer)
{
    agate_text answer = {0};
    bool answered;

    if (!worker->child && !start(worker)) {
        agate_text_add(out_answer, "no process to run it in: %s", strerror(errno));
        return false;
    }
    answered = send_message(worker->link, job, strlen(job)) && receive_message(worker->link, &answer);
    if (answered)
        agate_text_add_bytes(out_answer, agate_text_c(&answer), answer.size_bytes);
    else
        describe_end(worker, reap(worker), out_answer);
    agate_text_deinit(&answer);
    return answered;
}

bool agate_worker_end(agate_worker *worker, agate_text *out_why)
{
    int status;

    if (!worker->child)
        return true;
    shutdown(worker->link, SHUT_WR);
    status = reap(worker);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    describe_end(worker, status, out_why);
    return false;
}
