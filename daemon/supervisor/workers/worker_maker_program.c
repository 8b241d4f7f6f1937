/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/worker_maker_program.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/workers/template_channel.h"
#include "daemon/supervisor/workers/template_process.h"
#include "daemon/supervisor/workers/worker.h"
#include "proto/pack.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_own(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* Connects to the abstract name where it waits. The socket, or a negative errno. */
static int meet(const struct template *template)
{
	const char *name = template->section.offered;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t size = strlen(name);

	_Static_assert(TEMPLATE_NAME_MAX < sizeof address.sun_path, "a name fits");
	memcpy(address.sun_path + 1, name, size);
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size)) == 0 &&
	    is_own(fd))
		return fd;
	(void)close(fd);
	return -ECONNREFUSED;
}

static void start(struct template *template)
{
	const int fd = template->met ? -ESRCH : meet(template);
	const int r = fd < 0 ? fd : template_attach(template, fd);

	template->met = true;
	if (r < 0)
		template_fail(template, r == -ESRCH ? "the process that the program had started for its workers has ended"
						    : "the process that the program has started for its workers can't be reached");
}

/* Only its parent may signal the worker's pid: it could have been reused. A parent that does not take this message will not
 * tell of the end, either. */
static void kill_worker(struct template *template, struct worker *worker)
{
	uint8_t packet[2 + PACK_UINT], *p = packet;

	*p++ = 0x92;
	*p++ = TO_KILL;
	p = pack_uint(p, (uint64_t)worker->slot->pid);
	(void)send(template->fd, packet, (size_t)(p - packet), MSG_NOSIGNAL);
	worker_expect_end(worker);
}

const struct worker_maker worker_maker_program = {
	.name = "program",
	.is_parent = true,
	.start = start,
	.kill = kill_worker,
	.on_channel_end = template_on_death,
	.on_silence = template_give_up,
};
