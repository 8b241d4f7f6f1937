/* SPDX-License-Identifier: Apache-2.0 */
/* gm worker PORT | gm rtt PORT SIZE N | gm clients PORT SIZE K SECONDS | gm tasks PORT SIZE BATCH K SECONDS | gm background PORT SIZE K SECONDS */
#include "bench/multi.h"
#include <libgearman-1.0/gearman.h>
static int port;
static size_t size;
static size_t batch;
static void *echo(gearman_job_st *job, void *ctx, size_t *n, gearman_return_t *ret)
{
	(void)ctx;
	*n = gearman_job_workload_size(job);
	void *r = malloc(*n);
	memcpy(r, gearman_job_workload(job), *n);
	*ret = GEARMAN_SUCCESS;
	return r;
}
static gearman_client_st *client(void)
{
	gearman_client_st *c = gearman_client_create(NULL);
	if (gearman_client_add_server(c, "127.0.0.1", (in_port_t)port) != GEARMAN_SUCCESS)
		die("add_server");
	return c;
}
static void one(gearman_client_st *c, const char *p)
{
	size_t n;
	gearman_return_t ret;
	void *r = gearman_client_do(c, "echo", NULL, p, size, &n, &ret);
	if (ret != GEARMAN_SUCCESS || n != size) {
		fprintf(stderr, "do: %s\n", gearman_client_error(c));
		exit(1);
	}
	free(r);
}
static void loop_do(struct multi *m, int i, struct multi_slot *me, void *arg)
{
	(void)arg;
	gearman_client_st *c = client();
	char *p = calloc(1, size);
	one(c, p);
	multi_begin(m, me);
	for (;;) {
		uint64_t t = now_ns();
		one(c, p);
		multi_rtt(m, i, me, now_ns() - t);
		me->count++;
	}
}
static void loop_bg(struct multi *m, int i, struct multi_slot *me, void *arg)
{
	(void)arg, (void)i;
	gearman_client_st *c = client();
	char *p = calloc(1, size);
	gearman_job_handle_t h;
	multi_begin(m, me);
	for (;;) {
		if (gearman_client_do_background(c, "echo", NULL, p, size, h) != GEARMAN_SUCCESS)
			exit(1);
		me->count++;
	}
}
static void loop_tasks(struct multi *m, int i, struct multi_slot *me, void *arg)
{
	(void)arg, (void)i;
	gearman_client_st *c = client();
	char *p = calloc(1, size);
	one(c, p);
	multi_begin(m, me);
	for (;;) {
		for (size_t j = 0; j < batch; j++) {
			gearman_return_t ret;
			gearman_client_add_task(c, NULL, NULL, "echo", NULL, p, size, &ret);
			if (ret != GEARMAN_SUCCESS)
				die("add_task");
		}
		if (gearman_client_run_tasks(c) != GEARMAN_SUCCESS) {
			fprintf(stderr, "run_tasks: %s\n", gearman_client_error(c));
			exit(1);
		}
		gearman_client_task_free_all(c);
		me->count += batch;
	}
}
int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	port = atoi(argv[2]);
	size = argc > 3 ? (size_t)atol(argv[3]) : 32;
	if (!strcmp(argv[1], "worker")) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		gearman_worker_st *w = gearman_worker_create(NULL);
		gearman_worker_add_server(w, "127.0.0.1", (in_port_t)port);
		if (gearman_worker_add_function(w, "echo", 0, echo, NULL) != GEARMAN_SUCCESS)
			return 1;
		for (;;) {
			gearman_return_t r = gearman_worker_work(w);
			if (r != GEARMAN_SUCCESS) {
				fprintf(stderr, "worker: %s\n", gearman_worker_error(w));
				return 1;
			}
		}
	} else if (!strcmp(argv[1], "rtt")) {
		size_t n = (size_t)atol(argv[4]);
		gearman_client_st *c = client();
		char *p = calloc(1, size);
		uint64_t *s = malloc(n * sizeof *s);
		for (size_t i = 0; i < n / 10; i++)
			one(c, p);
		for (size_t i = 0; i < n; i++) {
			uint64_t t = now_ns();
			one(c, p);
			s[i] = now_ns() - t;
		}
		result_rtt("rtt_", s, n);
		result_total(n + n / 10);
	} else if (!strcmp(argv[1], "clients")) {
		char m[64];
		snprintf(m, sizeof m, "do_%sclients", argv[4]);
		multi_run(m, atoi(argv[4]), atof(argv[5]), loop_do, NULL);
	} else if (!strcmp(argv[1], "background")) {
		char m[64];
		snprintf(m, sizeof m, "submit_background_%sclients", argv[4]);
		multi_run(m, atoi(argv[4]), atof(argv[5]), loop_bg, NULL);
	} else if (!strcmp(argv[1], "tasks")) {
		batch = (size_t)atol(argv[4]);
		char m[64];
		snprintf(m, sizeof m, "run_tasks_batch%s_%sclients", argv[4], argv[5]);
		multi_run(m, atoi(argv[5]), atof(argv[6]), loop_tasks, NULL);
	}
	return 0;
}
