/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backtrace/frames.h"

#include "proto/escape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- finding them ---- */

static int load_unwind_table(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr start, void *data)
{
	Dwarf_Addr bias;
	(void)userdata, (void)name, (void)start, (void)data;
	(void)dwfl_module_eh_cfi(module, &bias);
	return DWARF_CB_OK;
}

void frames_prepare(Dwfl *dwfl)
{
	(void)dwfl_getmodules(dwfl, load_unwind_table, NULL, 0);
}

static int on_frame(Dwfl_Frame *state, void *data)
{
	struct frames *frames = data;
	struct frame *frame = &frames->at[frames->count];

	if (frames->count == FRAMES_MAX) {
		frames->cut = true;
		return DWARF_CB_ABORT;
	}
	if (!dwfl_frame_pc(state, &frame->pc, &frame->exact))
		return DWARF_CB_ABORT;
	frames->count++;
	return DWARF_CB_OK;
}

void frames_collect(Dwfl *dwfl, pid_t thread, struct frames *frames)
{
	frames->count = 0;
	frames->cut = false;
	/* Fails where the unwind tables end, also behind the outermost frame. The frames that were found until then count. */
	(void)dwfl_getthread_frames(dwfl, thread, on_frame, frames);
}

/* ---- saying what they are ---- */

void frames_print_name(const char *name, size_t size)
{
	char shown[1024];
	(void)escape_text(shown, sizeof shown, name, size);
	(void)fputs(shown, stdout);
}

static void print_place(Dwfl_Module *module, Dwarf_Addr pc)
{
	Dwfl_Line *line = dwfl_module_getsrc(module, pc);
	const char *file;
	int number = 0;

	if (line && (file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL))) {
		(void)fputs(" at ", stdout);
		frames_print_name(file, strlen(file));
		printf(":%d", number);
	}
}

static void print_object(Dwfl_Module *module)
{
	const char *path = NULL;
	const char *name = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &path, NULL);

	if (name && !strncmp(name, "[vdso", 5)) {
		(void)fputs(" ([vdso])", stdout);
		return;
	}
	const char *slash = path || name ? strrchr(path ? path : name, '/') : NULL;
	const char *shown = slash ? slash + 1 : path ? path : name ? name : "??";
	(void)fputs(" (", stdout);
	frames_print_name(shown, strlen(shown));
	(void)putchar(')');
}

static void print_frame(Dwfl *dwfl, uint32_t number, const struct frame *frame, bool with_place)
{
	const Dwarf_Addr within = frame->exact ? frame->pc : frame->pc - 1; /* a call may be its function's last instruction */
	Dwfl_Module *module = dwfl_addrmodule(dwfl, within);
	GElf_Off offset = 0;
	GElf_Sym symbol;

	const char *name = module ? dwfl_module_addrinfo(module, within, &offset, &symbol, NULL, NULL, NULL) : NULL;
	printf("#%-2" PRIu32 " 0x%016" PRIx64 " ", number, frame->pc);
	if (name) {
		frames_print_name(name, strcspn(name, "@"));
		printf("+0x%" PRIx64, offset + (frame->pc - within));
	} else {
		(void)fputs("??", stdout);
	}
	if (module && with_place)
		print_place(module, within);
	if (module)
		print_object(module);
	(void)putchar('\n');
}

void frames_print(Dwfl *dwfl, const struct frames *frames, bool (*in_time)(void))
{
	for (uint32_t i = 0; i < frames->count; i++)
		print_frame(dwfl, i, &frames->at[i], in_time());
	if (frames->count == 0)
		(void)puts("its stack can't be read");
	if (frames->cut)
		(void)puts("... and so on");
}
