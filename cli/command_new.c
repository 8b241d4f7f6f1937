/* SPDX-License-Identifier: Apache-2.0 */
/* command_new: new: writes a folder with a plugin that builds, is tested, and runs. The files are those of cli/new: of the
 * language, and of all. No daemon is asked. */
#include "cli/cli.h"

#include "new-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct option new_options[] = {
	{'l', "lang", "LANGUAGE", "the plugin's language: c (the default) or python"},
	{0},
};

enum { NAME_MAX_BYTES = 40, FILES = sizeof new_files / sizeof *new_files };

/* What stands in the files for a name: as it was given; as a word of C and Python; as the name of a class. */
struct names {
	const char *name;
	char ident[NAME_MAX_BYTES + 1], class[NAME_MAX_BYTES + 1];
};

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

/* The name of a pool, and of a file. Of these words Python can make no class. */
static bool is_name(const char *name)
{
	static const char *const others[] = {"objpool", "none", "true", "false"};
	const size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_BYTES || !is_letter(name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_letter(name[i]) && !(name[i] >= '0' && name[i] <= '9') && !strchr("-_", name[i]))
			return false;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return true;
}

static void make_names(struct names *names, const char *name)
{
	size_t n = 0;

	*names = (struct names){.name = name};
	for (size_t i = 0; name[i]; i++) {
		const bool first = i == 0 || strchr("-_", name[i - 1]);
		names->ident[i] = name[i] == '-' ? '_' : name[i];
		if (!strchr("-_", name[i]))
			names->class[n++] = first && is_letter(name[i]) ? (char)(name[i] - 'a' + 'A') : name[i];
	}
}

/* Writes the text with the names in it. */
static void fill(FILE *out, const char *text, const struct names *names)
{
	const struct {
		const char *mark, *value;
	} marks[] = {{"@name@", names->name}, {"@ident@", names->ident}, {"@Class@", names->class}};

	while (*text) {
		size_t i = 0;
		while (i < 3 && strncmp(text, marks[i].mark, strlen(marks[i].mark)) != 0)
			i++;
		if (i < 3)
			fputs(marks[i].value, out);
		else
			fputc(*text, out);
		text += i < 3 ? strlen(marks[i].mark) : 1;
	}
}

/* "NAME/file"; NULL: no memory. In a file's name, "plugin" stands for the plugin's. A module of Python gets a name that no module
 * of the standard library has. */
static char *path_of(const char *file, const struct names *names)
{
	const char *plugin = strstr(file, "plugin."), *end = plugin ? plugin + strlen("plugin") : file;
	char *path;
	const int n = plugin ? asprintf(&path, "%s/%.*s%s%s%s", names->name, (int)(plugin - file), file, names->ident,
					strcmp(end, ".py") == 0 ? "_pool" : "", end)
			     : asprintf(&path, "%s/%s", names->name, file);

	return n < 0 ? NULL : path;
}

/* 0 or a negative errno. */
static int write_file(const char *path, const char *text, const struct names *names)
{
	const bool program = strncmp(text, "#!", 2) == 0;
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, program ? 0777 : 0666);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (fd < 0)
		return -errno;
	if (!out) {
		(void)close(fd);
		return -ENOMEM;
	}
	fill(out, text, names);
	const bool failed = ferror(out);
	return fclose(out) == 0 && !failed ? 0 : errno ? -errno : -EIO;
}

/* The file's name in its folder, if that is the folder. NULL: it is another. */
static const char *file_in(const char *path, const char *folder)
{
	const size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static enum exit_status write_files(const char *language, const struct names *names)
{
	enum exit_status status = EXIT_DONE;

	for (size_t i = 0; status == EXIT_DONE && i < FILES; i++) {
		const char *file = file_in(new_files[i].path, language);
		if (!file && !(file = file_in(new_files[i].path, "all")))
			continue;
		char *path = path_of(file, names);
		const int r = path ? write_file(path, new_files[i].text, names) : -ENOMEM;
		if (r < 0)
			status = cli_fail(EXIT_CALL_FAILED, "%s: %s", path ? path : names->name, strerror(-r));
		free(path);
	}
	return status;
}

enum exit_status command_new(struct cli *cli)
{
	const char *given = arguments_get(&cli->arguments, "lang"), *language = given ? given : "c";
	char *const *words = cli->arguments.words;
	char shown[CLI_SHOWN];
	struct names names;

	if (strcmp(words[0], "plugin") != 0)
		return cli_fail(EXIT_USAGE, "new makes a plugin, and no %s: objpool new plugin NAME", cli_shown(shown, words[0]));
	if (strcmp(language, "c") != 0 && strcmp(language, "python") != 0)
		return cli_fail(EXIT_USAGE, "new: --lang takes c or python, not %s", cli_shown(shown, language));
	if (!is_name(words[1]))
		return cli_fail(
			EXIT_USAGE,
			"new: a plugin's name has small letters, digits, - and _, begins with a letter, has %d characters "
			"at most, and is not objpool, none, true or false; not %s",
			NAME_MAX_BYTES, cli_shown(shown, words[1]));
	make_names(&names, words[1]);
	if (mkdir(names.name, 0777) < 0)
		return cli_fail(EXIT_CALL_FAILED, "%s: %s", names.name, strerror(errno));
	const enum exit_status status = write_files(language, &names);
	if (status == EXIT_DONE)
		printf("%s/ has a plugin in %s: cd %s && make check; README.md says more\n", names.name,
		       *language == 'c' ? "C" : "Python", names.name);
	return cli_end_output(status);
}
