/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "cli/shown.h"
#include "proto/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_WIDTH = 24, PROGRESS_EVERY_NS = 100000000 };

void progress_begin(struct progress *progress, bool quiet, uint64_t size)
{
	*progress = (struct progress){.shown = !quiet && isatty(STDERR_FILENO), .began = clock_now(), .size = size};
}

/* [=========>              ] 41% */
static void draw_bar(uint64_t offset, uint64_t size)
{
	const double part = offset < size ? (double)offset / (double)size : 1.0;
	char bar[PROGRESS_WIDTH + 1];
	const int full = (int)(part * PROGRESS_WIDTH);

	memset(bar, ' ', PROGRESS_WIDTH);
	memset(bar, '=', (size_t)full);
	if (full < PROGRESS_WIDTH)
		bar[full] = '>';
	bar[PROGRESS_WIDTH] = '\0';
	fprintf(stderr, "[%s] %3d%%  ", bar, (int)(part * 100));
}

void progress_update(struct progress *progress, uint64_t done, uint64_t failed, uint64_t offset)
{
	if (!progress->shown)
		return;
	const int64_t now = clock_now();
	if (now - progress->last < PROGRESS_EVERY_NS)
		return;
	const double seconds = (double)(now - progress->began) / 1e9;
	fputs("\r\033[K", stderr);
	if (progress->size)
		draw_bar(offset, progress->size);
	fprintf(stderr, "%" PRIu64 " items, %.0f/s", done, seconds > 0 ? (double)done / seconds : 0.0);
	if (failed)
		fprintf(stderr, ", %" PRIu64 " failed", failed);
	(void)fflush(stderr);
	progress->drawn = true;
	progress->last = now;
}

void progress_begin_call(struct progress *progress)
{
	const bool terminal = isatty(STDERR_FILENO);

	*progress = (struct progress){.shown = terminal, .plain = !terminal, .began = clock_now()};
}

/* Prints `3 of 8: text`. Each part may be missing. */
static void write_progress(int64_t done, int64_t total, const char *text)
{
	if (done >= 0)
		fprintf(stderr, "%" PRId64, done);
	if (total >= 0)
		fprintf(stderr, "%s%" PRId64, done >= 0 ? " of " : "of ", total);
	if (text && (done >= 0 || total >= 0))
		fputs(": ", stderr);
	if (text)
		shown_text(stderr, text, strlen(text));
}

void progress_tell(struct progress *progress, int64_t done, int64_t total, const char *text)
{
	if (progress->plain) {
		write_progress(done, total, text);
		putc('\n', stderr);
	} else if (progress->shown) {
		fputs("\r\033[K", stderr);
		if (done >= 0 && total > 0)
			draw_bar((uint64_t)done, (uint64_t)total);
		write_progress(done, total, text);
		progress->drawn = true;
	}
	(void)fflush(stderr);
}

void progress_clear(struct progress *progress)
{
	if (!progress->drawn)
		return;
	fputs("\r\033[K", stderr);
	(void)fflush(stderr);
	progress->drawn = false;
}
