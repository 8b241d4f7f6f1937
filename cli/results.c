/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/results.h"

#include "cli/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"json", "pretty", "csv", "npy"};
enum { FORMATS = sizeof names / sizeof *names };

enum exit_status results_begin(struct results *results, const struct arguments *arguments, const char *command)
{
	const char *name = arguments_get(arguments, "format");
	const bool terminal = isatty(STDOUT_FILENO);
	int format = 0;

	*results = (struct results){.csv = {.terminal = terminal}};
	while (name && format < FORMATS && strcmp(names[format], name) != 0)
		format++;
	if (format == FORMATS)
		return cli_fail(EXIT_USAGE, "%s: --format has another value than json, pretty, csv and npy", command);
	results->format = (enum results_format)format;
	if (format == RESULTS_NPY && terminal)
		return cli_fail(EXIT_USAGE, "%s: --format npy is not for a terminal: send it to a file or a pipe", command);
	return EXIT_DONE;
}

bool results_are_one(const struct results *results)
{
	return results->format == RESULTS_CSV || results->format == RESULTS_NPY;
}

static int refuse(struct results *results, const char *reason)
{
	snprintf(results->reason, sizeof results->reason, "%s", reason);
	return -1;
}

static int print_csv(struct results *results, int (*write)(struct csv *, FILE *, struct objpool_bytes),
		     struct objpool_bytes value)
{
	return write(&results->csv, stdout, value) < 0 ? refuse(results, results->csv.reason) : 0;
}

static int print_npy(struct results *results, struct objpool_bytes value)
{
	if (npy_learn(&results->npy, value) < 0 || npy_write_header(&results->npy, stdout, NULL) < 0)
		return refuse(results, results->npy.reason);
	npy_write(&results->npy, stdout, value);
	return 0;
}

int results_print(struct results *results, struct objpool_bytes value)
{
	if (results->format == RESULTS_CSV)
		return print_csv(results, csv_write_all, value);
	if (results->format == RESULTS_NPY)
		return print_npy(results, value);
	(results->format == RESULTS_PRETTY ? json_show_pretty : json_show)(stdout, value);
	(void)putchar('\n');
	return 0;
}

/* Has the value wait. */
static int add_npy(struct results *results, struct objpool_bytes value)
{
	if (npy_learn(&results->npy, value) < 0)
		return refuse(results, results->npy.reason);
	if (!results->waiting)
		results->waiting = tmpfile();
	if (!results->waiting || fwrite(&value.size, sizeof value.size, 1, results->waiting) != 1 ||
	    fwrite(value.data, 1, value.size, results->waiting) != value.size)
		return refuse(results, strerror(errno));
	return 0;
}

int results_add(struct results *results, struct objpool_bytes value)
{
	results->count++;
	if (results->format == RESULTS_CSV)
		return print_csv(results, csv_write, value);
	if (results->format == RESULTS_NPY)
		return add_npy(results, value);
	(results->format == RESULTS_PRETTY ? json_show_pretty : json_write)(stdout, value);
	return 0;
}

/* Prints one value that waits. `*room` grows to the largest. */
static int print_waiting(struct results *results, char **room, size_t *most)
{
	size_t size;

	if (fread(&size, sizeof size, 1, results->waiting) != 1)
		return -1;
	if (size > *most) {
		char *larger = realloc(*room, size);
		if (!larger)
			return -1;
		*room = larger;
		*most = size;
	}
	if (fread(*room, 1, size, results->waiting) != size)
		return -1;
	npy_write(&results->npy, stdout, (struct objpool_bytes){*room, size});
	return 0;
}

int results_end(struct results *results)
{
	char *room = NULL;
	size_t most = 0;
	int rc = 0;

	if (results->format != RESULTS_NPY)
		return 0;
	if (results->waiting && (fflush(results->waiting) != 0 || fseek(results->waiting, 0, SEEK_SET) != 0))
		return refuse(results, strerror(errno));
	if (npy_write_header(&results->npy, stdout, &results->count) < 0)
		return refuse(results, results->npy.reason);
	for (uint64_t i = 0; rc == 0 && i < results->count; i++)
		rc = print_waiting(results, &room, &most);
	free(room);
	return rc < 0 ? refuse(results, strerror(errno)) : 0;
}

void results_free(struct results *results)
{
	csv_free(&results->csv);
	npy_free(&results->npy);
	if (results->waiting)
		(void)fclose(results->waiting);
}
