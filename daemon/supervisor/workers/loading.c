/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/loading.h"

#include "daemon/supervisor/config/config_cage.h"
#include "proto/channel.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { ARGS_MAX = 64 << 10, FIELDS = 10, CHECK_FIELDS = 4 };

char *loading_path(const struct config *config, const struct config_pool *section)
{
	const bool is_path = strchr(section->plugin, '/');
	char *path;
	const int n = is_path ? asprintf(&path, "%s", section->plugin)
			      : asprintf(&path, "%s/%s.so", config->plugin_dir, section->plugin);

	return n < 0 ? NULL : path;
}

static void put_text(struct sendq *out, const char *text)
{
	uint8_t head[PACK_HEAD];
	const uint8_t *end = pack_str_head(head, (uint32_t)strlen(text));

	sendq_copy(out, head, (size_t)(end - head));
	sendq_copy(out, text, strlen(text));
}

static void put_flag(struct sendq *out, bool flag)
{
	sendq_copy(out, flag ? "\xc3" : "\xc2", 1);
}

/* False: it is more than a packet should hold, and nil stands for it. */
static bool put_args(struct sendq *out, struct span value)
{
	const bool fits = value.size <= ARGS_MAX;

	if (fits && value.size > 0)
		sendq_copy(out, value.bytes, value.size);
	else
		sendq_copy(out, "\xc0", 1);
	return fits;
}

static void put_settings(struct sendq *out, const struct loading *loading)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, out, sendq_write);
	config_pool_pack_settings(loading->section, loading->max_message, &packer);
	if (config_cage_key(loading->section))
		config_cage_pack(loading->section, loading->plugin_path, loading->cgroup, &packer);
	else
		msgpack_pack_nil(&packer);
}

static void put(struct sendq *out, const struct loading *loading)
{
	const struct config_pool *section = loading->section;
	uint8_t head[1 + PACK_UINT], *p = head;
	bool whole;

	*p++ = (uint8_t)(0x90 | (FIELDS + (loading->check ? CHECK_FIELDS : 0)));
	p = pack_uint(p, loading->check ? TO_CHECK : TO_LOAD);
	sendq_copy(out, head, (size_t)(p - head));
	put_text(out, CHANNEL_BUILD);
	put_text(out, section->name);
	put_text(out, loading->plugin_path);
	put_text(out, section->class);
	whole = put_args(out, section->args.value);
	whole &= put_args(out, section->kwargs.value);
	put_flag(out, section->isolation == ISOLATION_THREAD);
	put_settings(out, loading);
	if (!loading->check)
		return;
	whole &= put_args(out, section->slot_kwargs.value);
	put_flag(out, loading->preload);
	put_flag(out, whole && !loading->only);
	put_flag(out, loading->all);
}

int loading_send(int fd, const struct loading *loading)
{
	struct sendq out = {0};
	struct iovec iov[32];
	int r = -ENOMEM;

	put(&out, loading);
	const struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)sendq_iov(&out, iov, 32)};
	if (!out.failed) {
		const ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
		r = n < 0 ? -errno : (size_t)n == out.bytes ? 0 : -EMSGSIZE;
	}
	sendq_clear(&out);
	return r;
}
