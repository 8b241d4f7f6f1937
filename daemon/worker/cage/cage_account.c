/* SPDX-License-Identifier: Apache-2.0 */
/* cage_account: the user and group of a template, and the privileges that it gives up. */
#include "daemon/worker/cage/cage_steps.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME = 256, GROUPS = 1024 };

/* ---- user and group ---- */

/* The names are looked up here and not in the supervisor: whoever knows them, LDAP for one, may take its time. */
static int find_user(const struct cage *cage, const struct passwd **user)
{
	char name[NAME];

	if (!cage_copy(cage->user, name, sizeof name))
		return cage_fail(cage, "user is too long");
	errno = 0;
	*user = getpwnam(name);
	return *user ? 0
		     : cage_fail(cage, "user = %s: there is no such user of this machine%s%s", name, errno ? ": " : "",
				 errno ? strerror(errno) : "");
}

static int find_group(const struct cage *cage, gid_t *gid)
{
	char name[NAME];

	if (!cage_copy(cage->group, name, sizeof name))
		return cage_fail(cage, "group is too long");
	const struct group *group = getgrnam(name);
	if (!group)
		return cage_fail(cage, "group = %s: there is no such group of this machine", name);
	*gid = group->gr_gid;
	return 0;
}

static int set_names(const struct passwd *user)
{
	return setenv("HOME", user->pw_dir, 1) | setenv("USER", user->pw_name, 1) | setenv("LOGNAME", user->pw_name, 1) |
	       unsetenv("XDG_RUNTIME_DIR");
}

static bool is_among(gid_t gid, const gid_t *groups, int count)
{
	while (count > 0 && groups[count - 1] != gid)
		count--;
	return count > 0;
}

/* Has the process a group that the user has not or, without a user, that is not `gid`? */
static bool has_other_groups(const char *user, gid_t gid)
{
	gid_t own[GROUPS], allowed[GROUPS] = {gid};
	const int have = getgroups(GROUPS, own);
	int count = user ? GROUPS : 1;

	if (have < 0 || (user && getgrouplist(user, gid, allowed, &count) < 0))
		return true;
	for (int i = 0; i < have; i++)
		if (!is_among(own[i], allowed, count))
			return true;
	return false;
}

/* A daemon without privileges may be the user already. */
static int set_groups(const char *user, gid_t gid)
{
	if ((user ? initgroups(user, gid) : setgroups(1, &gid)) == 0)
		return 0;
	const int error = errno;
	if (error == EPERM && !has_other_groups(user, gid))
		return 0;
	errno = error;
	return -1;
}

static int become(const struct cage *cage, const struct passwd *user, gid_t gid)
{
	const uid_t uid = user ? user->pw_uid : geteuid();

	if (set_groups(user ? user->pw_name : NULL, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return cage_fail(cage,
				 "%s = %.*s: %s: the daemon needs to be root, or the capabilities CAP_SETUID, CAP_SETGID, "
				 "CAP_KILL and CAP_SYS_PTRACE",
				 user ? "user" : "group", SPAN_TEXT(user ? cage->user : cage->group, 100), strerror(errno));
	/* A change of user takes away both: that the process ends with its parent, and that it may be looked at. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return cage_fail(cage, "prctl: %s", strerror(errno));
	return user && set_names(user) != 0 ? cage_fail(cage, "out of memory") : 0;
}

int cage_set_account(const struct cage *cage)
{
	const struct passwd *user = NULL;
	gid_t gid = getegid();

	if (cage->user.size > 0) {
		if (find_user(cage, &user) < 0)
			return -1;
		gid = user->pw_gid;
	}
	if (cage->group.size > 0 && find_group(cage, &gid) < 0)
		return -1;
	if (user && user->pw_uid == 0 && cage->limit_processes != CAGE_UNSET)
		return cage_fail(cage, "limit_processes = %" PRId64 ": the kernel does not bound the processes of root",
				 cage->limit_processes);
	return user || cage->group.size > 0 ? become(cage, user, gid) : 0;
}

/* ---- privileges ---- */

/* Where there is nothing to give up, a service's filter of system calls may not let it be given up. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, now) == 0 && memcmp(now, none, sizeof now) == 0)
		return 0; /* then there are no ambient ones, either */

	for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* needs a privilege; without it, no_new_privs does the same */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_capset, &header, none);
}

/*
 * A daemon that changes users has capabilities, and hands them to its templates. They are for this change alone: no class gets
 * them, but in a pool without a cage of a daemon that is root.
 */
int cage_drop_privileges(const struct cage *cage)
{
	const bool caged = cage->user.size > 0 || cage_confines(cage);

	if (!caged && geteuid() == 0)
		return 0;
	if (caged && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return cage_fail(cage, "no_new_privs: %s", strerror(errno));
	if (geteuid() == 0 && !cage_confines(cage))
		return 0; /* user = root */
	return drop_capabilities() < 0 ? cage_fail(cage, "capabilities can't be given up: %s", strerror(errno)) : 0;
}
