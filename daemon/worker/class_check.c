/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/class_check.h"

#include "daemon/worker/class_load.h"
#include "daemon/worker/plugin_check.h"
#include "daemon/worker/quit.h"
#include "daemon/worker/run.h"

/* `slot_kwargs` is empty if the pool's slots have no arguments of their own. */
static void check_arguments(struct template *template, struct task *task, const struct class_order *order,
			    struct span slot_kwargs)
{
	const bool own = slot_kwargs.size > 0;

	task_clear(task);
	if (task_add_array(task, order->args) == 0 && task_add_map(task, order->kwargs) == 0 &&
	    (!own || task_add_map(task, slot_kwargs) == 0) && run_check(task) == 0)
		return;
	const char *reason = method_error_message(&task->handle.error);
	if (own)
		template_refuse(template, "slot %u: %s", task->place.slot, reason);
	template_refuse(template, "%s", reason);
}

/* Checks the pool's arguments; or, where slots have arguments of their own, those of each slot. */
static void check_all_arguments(struct template *template, struct task *task, const struct class_order *order, struct span slots)
{
	struct reader reader = reader_of(slots);
	struct span slot_kwargs;
	uint32_t n;

	if (read_array(&reader, &n) < 0) {
		check_arguments(template, task, order, (struct span){0});
		return;
	}
	for (task->place.slot = 0; task->place.slot < n; task->place.slot++) {
		if (read_value(&reader, &slot_kwargs) < 0)
			quit_protocol();
		check_arguments(template, task, order, slot_kwargs);
	}
}

void class_on_check(struct template *template, struct reader *reader)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	bool with_preload, whole, all;
	struct class_order order;
	struct span slots;
	struct task task;

	class_read_order(template, reader, &order);
	if (read_value(reader, &slots) < 0 || read_bool(reader, &with_preload) < 0 || read_bool(reader, &whole) < 0 ||
	    read_bool(reader, &all) < 0)
		quit_protocol();
	if (all)
		plugin_check(template, order.path);
	class_load(template, &order);
	class_begin_task(template, &task, order.pool);
	if (with_preload)
		class_preload(template, &task, &order);
	if (whole)
		check_all_arguments(template, &task, &order, slots);
	(void)template_begin_packet(&packet, 1, FROM_LOADED);
	template_send(template, &packet);
	_exit(0);
}
