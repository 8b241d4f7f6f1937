/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/template_main.h"

#include "daemon/worker/class_check.h"
#include "daemon/worker/class_description.h"
#include "daemon/worker/class_load.h"
#include "daemon/worker/forked_worker.h"
#include "daemon/worker/plugin_script.h"
#include "daemon/worker/quit.h"
#include "daemon/worker/template_packet.h"
#include "daemon/worker/thread_worker.h"
#include "daemon/worker/title.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- orders ---- */

static void on_load(struct template *template, struct reader *reader)
{
	struct class_order order;
	struct task task;

	class_read_order(template, reader, &order);
	if (!(template->pool = strdup(order.pool))) /* the task takes order.pool over */
		template_refuse_memory(template);
	title_of_template(template->pool, template->threads);
	class_load(template, &order);
	class_begin_task(template, &task, order.pool);
	class_preload(template, &task, &order);
	class_describe(template, &task);
	task_free(&task);
	if (order.tasks)
		(void)closedir(order.tasks);
	free(order.path);
}

/* The new worker's pid, which is this process's when the worker is a thread of it; or a negative errno. */
static pid_t start_worker(struct template *template, const struct title *title, const int *fds)
{
	if (template->threads) {
		const int r = thread_worker_start(&template->plugin, title, fds);
		return r < 0 ? r : getpid();
	}
	return template->offered
		       ? program_worker_start(&template->program, &template->plugin, title, template->channel, fds)
		       : forked_worker_start(template, title, fds);
}

static void on_fork(struct template *template, struct reader *reader, const int *fds)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	uint64_t slot, generation;

	if (read_uint(reader, &slot) < 0 || read_uint(reader, &generation) < 0)
		template_end(template, QUIT_PROTOCOL);
	const struct title title = {.pool = template->pool, .slot = (uint32_t)slot, .generation = generation};
	const pid_t worker = start_worker(template, &title, fds);
	for (int i = 0; i < FORK_FILES; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	msgpack_packer packer = template_begin_packet(&packet, 4, FROM_FORKED);
	msgpack_pack_uint64(&packer, slot);
	msgpack_pack_uint64(&packer, generation);
	msgpack_pack_int(&packer, worker);
	template_send(template, &packet);
	objpool_buffer_free(&packet);
}

static void on_kill(struct reader *reader)
{
	int64_t pid;

	if (read_int(reader, &pid) == 0)
		program_worker_kill((pid_t)pid);
}

static void on_packet(struct template *template, const struct template_packet *packet)
{
	struct reader reader = reader_of(packet->bytes);
	uint32_t fields;
	uint64_t type;

	if (read_array(&reader, &fields) < 0 || read_uint(&reader, &type) < 0)
		template_end(template, QUIT_PROTOCOL);
	if (type == TO_LOAD)
		on_load(template, &reader);
	else if (type == TO_FORK && packet->count >= (template->threads ? FORK_OUTPUT : FORK_CGROUP))
		on_fork(template, &reader, packet->fds);
	else if (type == TO_CHECK)
		class_on_check(template, &reader);
	else if (type == TO_KILL && template->offered)
		on_kill(&reader);
	else
		template_end(template, QUIT_PROTOCOL);
}

/* ---- the loop ---- */

static void tell_of_exit(struct template *template, pid_t pid, int status)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer = template_begin_packet(&packet, 3, FROM_EXITED);

	msgpack_pack_int(&packer, pid);
	msgpack_pack_int(&packer, status);
	template_send(template, &packet);
	objpool_buffer_free(&packet);
}

/* Tells the supervisor of its workers' ends until there is a packet of it. */
static void await_packet(struct template *template)
{
	pid_t pid;
	int status;

	do
		while ((pid = program_worker_reap(&template->program, &status)) > 0)
			tell_of_exit(template, pid, status);
	while (!program_worker_wait(&template->program, template->channel));
}

_Noreturn static void serve(struct template *template)
{
	struct template_packet packet;

	for (;;) {
		if (template->offered)
			await_packet(template);
		if (!template_receive(template, &packet))
			template_end(template, 0);
		on_packet(template, &packet);
	}
}

/* The process's only one. */
static struct template *begin(int channel, const struct objpool_plugin *linked)
{
	static struct template template;

	(void)setsid(); /* what is typed at the daemon's terminal, or the program's, is not for this process */
	template.channel = channel;
	template.linked = linked;
	if (!(template.room = malloc(TEMPLATE_PACKET)))
		quit_memory();
	return &template;
}

void template_main(int channel, const struct objpool_plugin *linked, const struct cage_ops *cage)
{
	struct template *template = begin(channel, linked);

	template->cage = cage;
	title_begin();
	if (!linked)
		plugin_script_run(template);
	serve(template);
}

void template_offered(int channel, const struct objpool_plugin *linked)
{
	struct template *template = begin(channel, linked);

	template->offered = true;
	program_workers_begin(&template->program);
	serve(template);
}
