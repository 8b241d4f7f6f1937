/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that harm the worker. */
#include "plugins/probe/arguments.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Dies as in a real crash: first the host's handler runs, then the signal's default action. Neither a handler that returns nor a
 * mask keeps the process alive.
 */
void die_of(int signal_number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal_number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(signal_number);
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

int probe_crash(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	int64_t number = SIGSEGV;

	(void)result;
	probe_called(self);
	if (take_one(call, args, "signal", &value) < 0 ||
	    (value && want_integer(call, "signal", value, 1, (uint64_t)SIGRTMAX, &number) < 0))
		return -1;
	die_of((int)number);
	return objpool_fail(call, "ProbeError", "signal %d does not kill", (int)number);
}

int probe_exit(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	int64_t status = 0;

	(void)result;
	probe_called(self);
	if (take_one(call, args, "status", &value) < 0 ||
	    (value && want_integer(call, "status", value, 0, 255, &status) < 0))
		return -1;
	exit((int)status);
}

int probe_abort(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	(void)result;
	probe_called(self);
	abort();
}

int probe_close_fds(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	(void)result;
	probe_called(self);
	closefrom(3);
	return 0;
}

int probe_close_std(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	(void)result;
	probe_called(self);
	for (int fd = 0; fd < 3; fd++)
		(void)close(fd);
	return 0;
}
