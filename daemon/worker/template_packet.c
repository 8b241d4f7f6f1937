/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/template_packet.h"

#include "daemon/worker/quit.h"
#include "proto/escape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void template_end(struct template *template, int status)
{
	program_workers_end(&template->program);
	_exit(status);
}

bool template_receive(const struct template *template, struct template_packet *packet)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FORK_FILES * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = template->room, .iov_len = TEMPLATE_PACKET};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t n;

	do {
		n = recvmsg(template->channel, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	packet->bytes = (struct span){.bytes = template->room, .size = (size_t)n};
	packet->count = 0;
	memset(packet->fds, 0xff, sizeof packet->fds); /* -1 */
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			packet->count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(packet->fds, CMSG_DATA(c), (size_t)packet->count * sizeof(int));
		}
	return true;
}

msgpack_packer template_begin_packet(struct objpool_buffer *packet, size_t fields, enum from_template type)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, packet, objpool_buffer_write);
	msgpack_pack_array(&packer, fields);
	msgpack_pack_int(&packer, (int)type);
	return packer;
}

void template_send(struct template *template, const struct objpool_buffer *packet)
{
	if (packet->failed)
		quit_memory();
	if (send(template->channel, packet->data, packet->size, MSG_NOSIGNAL) < 0)
		template_end(template, 0);
}

void template_pack_text(msgpack_packer *packer, const char *text)
{
	const size_t n = text ? strlen(text) : 0;
	msgpack_pack_str(packer, n);
	msgpack_pack_str_body(packer, text, n);
}

void template_refuse(struct template *template, const char *format, ...)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer = template_begin_packet(&packet, 3, FROM_LOADED);
	char reason[TEMPLATE_REASON];
	va_list list;

	va_start(list, format);
	if (vsnprintf(reason, sizeof reason, format, list) >= TEMPLATE_REASON)
		reason[escape_whole(reason, sizeof reason - 1)] = '\0';
	va_end(list);
	msgpack_pack_nil(&packer);
	template_pack_text(&packer, reason);
	template_send(template, &packet);
	_exit(1);
}

void template_refuse_memory(struct template *template)
{
	template_refuse(template, "out of memory");
}
