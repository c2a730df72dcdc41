/* links: cli driver passes backend frontend runtime ir ref base */
/* test_cli.c: what the verbs are built from: .npy files, comparing, diffs, seeds, workers. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/diff.h"
#include "tools/file.h"
#include "tools/npy.h"
#include "tools/tensor.h"
#include "tools/worker.h"
#include "tests/suite.h"

/* ---- .npy --------------------------------------------------------------------------------------------- */

static agate_status parse(const char *header, size_t data_bytes, agate_tensor *out_tensor)
{
    agate_text file = {0};
    size_t length = strlen(header);
    uint8_t start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)length, (uint8_t)(length >> 8)};
    agate_status status;

    agate_text_add_bytes(&file, start, sizeof start);
    agate_text_add_bytes(&file, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        agate_text_add_bytes(&file, "", 1);
    status = agate_npy_parse(file.data, file.size_bytes, out_tensor);
    agate_text_deinit(&file);
    return status;
}

START_TEST(npy_headers)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        agate_dtype dtype;
        int32_t rank;
    } good[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, AGATE_F32, 2},
        {"{'shape':(5,),'fortran_order':True,'descr':'|u1'}", 5, AGATE_U8, 1},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': ()}", 8, AGATE_I64, 0},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (0, 7)}", 0, AGATE_BOOL, 2},
    };

    for (size_t i = 0; i < AGATE_COUNT(good); i++) {
        agate_tensor tensor;
        agate_status status = parse(good[i].header, good[i].data_bytes, &tensor);

        ck_assert_msg(status == AGATE_OK, "%s: %s", good[i].header, agate_status_message(status));
        ck_assert_int_eq(tensor.dtype, good[i].dtype);
        ck_assert_int_eq(tensor.rank, good[i].rank);
        agate_tensor_free(&tensor, 1);
    }
}
END_TEST

START_TEST(npy_damage)
{
    static const char *const bad[] = {
        "",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
        "{'descr': '",
        "{'descr': '<f44', 'fortran_order': False, 'shape': (1,)}",
        "{'shape': (1,), 'fortran_order': False, 'descr': '<u16'}",
        /* Where the header ends, nothing is read. */
        "{'shape': (1,), 'fortran_order': False, 'descr'",
        "{'shape': (1,), 'fortran_order': False, 'descr': '<f4",
    };

    for (size_t i = 0; i < AGATE_COUNT(bad); i++) {
        agate_tensor tensor;
        agate_status status = parse(bad[i], 4, &tensor);

        ck_assert_msg(status != AGATE_OK, "accepted: %s", bad[i]);
        if (strstr(bad[i], ">f4"))
            ck_assert_ptr_nonnull(strstr(agate_status_message(status), "save it with the least byte first"));
        agate_status_release(status);
    }
}
END_TEST

START_TEST(npy_round_trip)
{
    char path[] = "agate-test-XXXXXX";
    float values[] = {1, -0.0f, INFINITY, 4, 5, 6};
    agate_tensor tensor = {AGATE_F32, 2, {2, 3}, values, sizeof values}, back;
    int file = mkstemp(path);
    size_t size_bytes;
    char *data;

    ck_assert_int_ge(file, 0);
    close(file);
    ck_assert(agate_npy_write(path, &tensor) == AGATE_OK);
    ck_assert(agate_file_read(path, &data, &size_bytes) == AGATE_OK);
    ck_assert_uint_eq(size_bytes % 64, sizeof values % 64);
    ck_assert(agate_npy_parse(data, size_bytes, &back) == AGATE_OK);
    ck_assert_mem_eq(back.data, values, sizeof values);
    ck_assert_int_eq(back.dims[1], 3);
    agate_tensor_free(&back, 1);
    free(data);
    unlink(path);
}
END_TEST

/* ---- tensors ------------------------------------------------------------------------------------------ */

static bool equal(agate_tensor *got, agate_tensor *want)
{
    agate_text why = {0};
    bool same = agate_tensor_compare(got, want, 1e-3, 1e-7, &why);

    ck_assert_int_eq(same, why.size_bytes == 0);
    agate_text_deinit(&why);
    return same;
}

START_TEST(comparing)
{
    float want[] = {1000, NAN, INFINITY, 0}, near[] = {1000.9f, NAN, INFINITY, 5e-8f};
    float far[] = {1001.1f, NAN, INFINITY, 0}, other_inf[] = {1000, NAN, -INFINITY, 0},
          no_nan[] = {1000, 1, INFINITY, 0};
    float nan[] = {NAN, NAN, INFINITY, 0};
    int32_t seven[] = {7}, eight[] = {8};
    agate_tensor a = {AGATE_F32, 1, {4}, want, sizeof want}, b = a;
    agate_tensor i = {AGATE_I32, 1, {1}, seven, 4}, k = {AGATE_I32, 1, {1}, eight, 4},
                 u = {AGATE_U32, 1, {1}, seven, 4};

    b.data = near;
    ck_assert(equal(&b, &a));
    b.data = far;
    ck_assert(!equal(&b, &a));
    b.data = other_inf;
    ck_assert(!equal(&b, &a));
    b.data = no_nan;
    ck_assert(!equal(&b, &a));
    b.data = nan;
    ck_assert(!equal(&b, &a));
    b = a;
    b.rank = 2;
    b.dims[1] = 1;
    ck_assert(!equal(&b, &a));
    ck_assert(equal(&i, &i));
    ck_assert(!equal(&k, &i));
    ck_assert(!equal(&u, &i));
}
END_TEST

START_TEST(seeds)
{
    float first[100], again[100], other[100];
    agate_tensor tensor = {AGATE_F32, 1, {100}, first, sizeof first};
    double sum = 0;

    agate_tensor_fill(&tensor, 1);
    tensor.data = again;
    agate_tensor_fill(&tensor, 1);
    tensor.data = other;
    agate_tensor_fill(&tensor, 2);
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert_mem_ne(first, other, sizeof first);
    for (int i = 0; i < 100; i++) {
        ck_assert(first[i] >= -1 && first[i] <= 1);
        sum += first[i];
    }
    ck_assert(fabs(sum) < 30);
}
END_TEST

/* ---- diffs -------------------------------------------------------------------------------------------- */

START_TEST(diffs)
{
    static const struct {
        const char *before, *after, *want;
    } rows[] = {
        {"a\nb\n", "a\nb\n", ""},
        {"a\nb\nc\nd\ne\nf\ng\n", "a\nb\nc\nD\ne\nf\ng\n", "...\n  b\n  c\n- d\n+ D\n  e\n  f\n...\n"},
        {"", "a\n", "+ a\n"},
        {"a\nb\n", "b\n", "- a\n  b\n"},
        {"a\nb\nc\n", "a\nx\nb\ny\nc\n", "  a\n+ x\n  b\n+ y\n  c\n"},
    };

    for (size_t i = 0; i < AGATE_COUNT(rows); i++) {
        size_t size;
        char *got = NULL;
        FILE *stream = open_memstream(&got, &size);

        agate_diff_print(rows[i].before, rows[i].after, 0, stream);
        fclose(stream);
        ck_assert_str_eq(got, rows[i].want);
        free(got);
    }
}
END_TEST

/* ---- workers ------------------------------------------------------------------------------------------ */

static void obey(void *user, const char *job, agate_text *answer)
{
    int *done = user;

    if (strcmp(job, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(job, "exit") == 0)
        exit(3);
    while (strcmp(job, "hang") == 0)
        pause();
    if (strcmp(job, "much") == 0)
        for (int i = 0; i < 100000; i++)
            agate_text_add(answer, "%d,", i);
    agate_text_add(answer, "%s %d", job, ++*done);
}

START_TEST(workers)
{
    static const struct {
        const char *job, *answer; /* the end of it */
        bool answered;
    } jobs[] = {
        {"a", "a 1", true},
        {"b", "b 2", true}, /* by the same child */
        {"crash", "crashed: Killed", false},
        {"c", "c 1", true}, /* by a new one */
        {"exit", "ended with exit code 3", false},
        {"", " 1", true},
        {"hang", "no answer within 1 s", false},
        {"much", ",99999,much 1", true},
    };
    int done = 0;
    agate_worker worker = {.run = obey, .user = &done, .timeout_seconds = 1};
    agate_text why = {0};

    ck_assert(agate_worker_end(&worker, &why)); /* none was there */
    for (size_t i = 0; i < AGATE_COUNT(jobs); i++) {
        agate_text answer = {0};
        const char *text;

        ck_assert_int_eq(agate_worker_do(&worker, jobs[i].job, &answer), jobs[i].answered);
        text = agate_text_c(&answer);
        ck_assert_uint_ge(answer.size_bytes, strlen(jobs[i].answer));
        ck_assert_str_eq(text + answer.size_bytes - strlen(jobs[i].answer), jobs[i].answer);
        agate_text_deinit(&answer);
    }
    ck_assert_int_eq(done, 0); /* here, nothing was */
    ck_assert(agate_worker_end(&worker, &why));
    ck_assert_uint_eq(why.size_bytes, 0);
}
END_TEST

/* A child that can do its jobs but not end well, as one that leaks under a sanitizer. */
START_TEST(worker_that_ends_badly)
{
    int done = 0;
    agate_worker worker = {.run = obey, .user = &done};
    agate_text why = {0}, answer = {0};

    ck_assert(agate_worker_do(&worker, "a", &answer));
    kill(worker.child, SIGKILL);
    ck_assert(!agate_worker_end(&worker, &why));
    ck_assert_str_eq(agate_text_c(&why), "crashed: Killed");
    agate_text_deinit(&answer);
    agate_text_deinit(&why);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tests = tcase_create("cli");

    tcase_add_test(tests, npy_headers);
    tcase_add_test(tests, npy_damage);
    tcase_add_test(tests, npy_round_trip);
    tcase_add_test(tests, comparing);
    tcase_add_test(tests, seeds);
    tcase_add_test(tests, diffs);
    tcase_add_test(tests, workers);
    tcase_add_test(tests, worker_that_ends_badly);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
