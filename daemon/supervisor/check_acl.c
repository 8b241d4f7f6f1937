/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/check_acl.h"

#include "daemon/supervisor/users/users.h"

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

static int answer(const struct users *users, const struct acl_question *question, char *text, size_t size)
{
	const struct identity *identity = users_named(users, span_of(question->user));
	struct ruling ruling;

	if (!identity) {
		snprintf(text, size, "there is no [user %.100s]", question->user);
		return -1;
	}
	if (rights_answer(identity->rights, span_of(question->right), span_of(question->name), &ruling) < 0) {
		snprintf(text, size, "there is no right \"%.100s\"; there are " RIGHTS_NAMES, question->right);
		return -1;
	}
	snprintf(text, size, "user %.100s %s \"%s\" %.200s (%.100s)", question->user, ruling.allowed ? "may" : "may not",
		 question->right, question->name, ruling.where);
	return ruling.allowed;
}

int check_acl(const struct config *config, const struct acl_question *question, char *text, size_t size)
{
	struct users *users = users_new(config);

	if (!users) {
		snprintf(text, size, "out of memory");
		return -1;
	}
	const int r = answer(users, question, text, size);
	users_free(users);
	return r;
}
