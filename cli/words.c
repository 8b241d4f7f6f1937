/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/words.h"

#include "cli/json.h"

#include <errno.h>
#include <string.h>

enum exit_status words_pack(struct objpool_packer *packer, const char *word)
{
	char reason[160], shown[CLI_SHOWN];
	const int rc = json_read(packer, word, strlen(word), reason, sizeof reason);

	if (rc == -ERANGE)
		return cli_fail(EXIT_USAGE, "%s: %s", cli_shown(shown, word), reason);
	if (rc == -EINVAL)
		objpool_pack_cstr(packer, word);
	return EXIT_DONE;
}

enum exit_status words_pack_array(struct objpool_packer *packer, char *const *words, int count)
{
	enum exit_status status = EXIT_DONE;

	objpool_pack_array(packer, (uint32_t)count);
	for (int i = 0; i < count && status == EXIT_DONE; i++)
		status = words_pack(packer, words[i]);
	return status;
}

enum exit_status words_pack_option(struct objpool_packer *packer, const struct arguments *arguments, const char *name,
				   enum objpool_type type)
{
	const char *text = arguments_get(arguments, name);
	const char *kind = type == OBJPOOL_MAP ? "object" : "array";
	char reason[160] = "";

	if (!text)
		return EXIT_DONE;
	if (json_read(packer, text, strlen(text), reason, sizeof reason) < 0)
		return cli_fail(EXIT_USAGE, "--%s wants a JSON %s: %s", name, kind, reason);
	const struct objpool_reader reader = objpool_reader(objpool_packed(packer));
	return objpool_read_type(&reader) == type ? EXIT_DONE : cli_fail(EXIT_USAGE, "--%s wants a JSON %s", name, kind);
}
