/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cage_syscalls: by seccomp, which system calls a class may make. What is forbidden fails with EPERM. The lists are systemd's
 * @system-service, without what reaches other processes (process_vm_readv, prlimit of another), the kernel's keys, namespaces,
 * and io_uring, whose work no filter sees.
 */
#include "daemon/worker/cage/cage_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- the lists ---- */

/* What a computation needs: memory, files, threads, time, and sockets that it has already. */
static const char *const of_strict[] = {
	"_llseek",
	"_newselect",
	"access",
	"alarm",
	"arch_prctl",
	"arm_fadvise64_64",
	"brk",
	"capget",
	"chdir",
	"clock_getres",
	"clock_getres_time64",
	"clock_gettime",
	"clock_gettime64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"close",
	"close_range",
	"copy_file_range",
	"creat",
	"dup",
	"dup2",
	"dup3",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_ctl_old",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"epoll_wait_old",
	"eventfd",
	"eventfd2",
	"exit",
	"exit_group",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fadvise64_64",
	"fallocate",
	"fchdir",
	"fcntl",
	"fcntl64",
	"fdatasync",
	"flock",
	"fork",
	"fstat",
	"fstat64",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"fsync",
	"ftruncate",
	"ftruncate64",
	"futex",
	"futex_time64",
	"futex_waitv",
	"get_mempolicy",
	"get_robust_list",
	"get_thread_area",
	"getcpu",
	"getcwd",
	"getdents",
	"getdents64",
	"getegid",
	"getegid32",
	"geteuid",
	"geteuid32",
	"getgid",
	"getgid32",
	"getgroups",
	"getgroups32",
	"getitimer",
	"getpeername",
	"getpgid",
	"getpgrp",
	"getpid",
	"getppid",
	"getpriority",
	"getrandom",
	"getresgid",
	"getresgid32",
	"getresuid",
	"getresuid32",
	"getrlimit",
	"getrusage",
	"getsid",
	"getsockname",
	"getsockopt",
	"gettid",
	"gettimeofday",
	"getuid",
	"getuid32",
	"ioctl",
	"ioprio_get",
	"kill",
	"landlock_add_rule",
	"landlock_create_ruleset",
	"landlock_restrict_self",
	"lseek",
	"lstat",
	"lstat64",
	"madvise",
	"membarrier",
	"memfd_create",
	"mincore",
	"mkdir",
	"mkdirat",
	"mmap",
	"mmap2",
	"mprotect",
	"mremap",
	"msync",
	"munmap",
	"nanosleep",
	"newfstatat",
	"oldfstat",
	"oldlstat",
	"oldolduname",
	"oldstat",
	"olduname",
	"open",
	"openat",
	"openat2",
	"pause",
	"pidfd_open",
	"pidfd_send_signal",
	"pipe",
	"pipe2",
	"poll",
	"ppoll",
	"ppoll_time64",
	"prctl",
	"pread64",
	"preadv",
	"preadv2",
	"pselect6",
	"pselect6_time64",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"read",
	"readahead",
	"readdir",
	"readlink",
	"readlinkat",
	"readv",
	"recv",
	"recvfrom",
	"recvmmsg",
	"recvmmsg_time64",
	"recvmsg",
	"remap_file_pages",
	"rename",
	"renameat",
	"renameat2",
	"restart_syscall",
	"rmdir",
	"rseq",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigqueueinfo",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_getaffinity",
	"sched_getattr",
	"sched_getparam",
	"sched_getscheduler",
	"sched_rr_get_interval",
	"sched_rr_get_interval_time64",
	"sched_yield",
	"select",
	"send",
	"sendfile",
	"sendfile64",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"set_robust_list",
	"set_thread_area",
	"set_tid_address",
	"setitimer",
	"setpgid",
	"setsockopt",
	"shutdown",
	"sigaction",
	"sigaltstack",
	"signal",
	"signalfd",
	"signalfd4",
	"sigpending",
	"sigprocmask",
	"sigreturn",
	"sigsuspend",
	"socketpair",
	"splice",
	"stat",
	"stat64",
	"statfs",
	"statfs64",
	"statx",
	"swapcontext",
	"sync",
	"sync_file_range",
	"sync_file_range2",
	"syncfs",
	"sysinfo",
	"tee",
	"tgkill",
	"time",
	"timer_create",
	"timer_delete",
	"timer_getoverrun",
	"timer_gettime",
	"timer_gettime64",
	"timer_settime",
	"timer_settime64",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_gettime64",
	"timerfd_settime",
	"timerfd_settime64",
	"times",
	"tkill",
	"truncate",
	"truncate64",
	"ugetrlimit",
	"umask",
	"uname",
	"unlink",
	"unlinkat",
	"userfaultfd",
	"vfork",
	"vmsplice",
	"wait4",
	"waitid",
	"waitpid",
	"write",
	"writev",
};

/* What services need besides: programs, new sockets, other owners and modes of files, System V's memory. */
static const char *const of_default[] = {
	"accept",
	"accept4",
	"bind",
	"capset",
	"chmod",
	"chown",
	"chown32",
	"connect",
	"execve",
	"execveat",
	"fchmod",
	"fchmodat",
	"fchmodat2",
	"fchown",
	"fchown32",
	"fchownat",
	"fgetxattr",
	"flistxattr",
	"fremovexattr",
	"fsetxattr",
	"futimesat",
	"getxattr",
	"inotify_add_watch",
	"inotify_init",
	"inotify_init1",
	"inotify_rm_watch",
	"io_cancel",
	"io_destroy",
	"io_getevents",
	"io_pgetevents",
	"io_pgetevents_time64",
	"io_setup",
	"io_submit",
	"ipc",
	"lchown",
	"lchown32",
	"lgetxattr",
	"link",
	"linkat",
	"listen",
	"listxattr",
	"llistxattr",
	"lremovexattr",
	"lsetxattr",
	"mbind",
	"mknod",
	"mknodat",
	"mlock",
	"mlock2",
	"mlockall",
	"mq_getsetattr",
	"mq_notify",
	"mq_open",
	"mq_timedreceive",
	"mq_timedreceive_time64",
	"mq_timedsend",
	"mq_timedsend_time64",
	"mq_unlink",
	"msgctl",
	"msgget",
	"msgrcv",
	"msgsnd",
	"munlock",
	"munlockall",
	"nice",
	"personality",
	"removexattr",
	"seccomp",
	"semctl",
	"semget",
	"semop",
	"semtimedop",
	"semtimedop_time64",
	"set_mempolicy",
	"set_mempolicy_home_node",
	"setfsgid",
	"setfsgid32",
	"setfsuid",
	"setfsuid32",
	"setgid",
	"setgid32",
	"setgroups",
	"setgroups32",
	"setregid",
	"setregid32",
	"setresgid",
	"setresgid32",
	"setresuid",
	"setresuid32",
	"setreuid",
	"setreuid32",
	"setrlimit",
	"setsid",
	"setuid",
	"setuid32",
	"setxattr",
	"shmat",
	"shmctl",
	"shmdt",
	"shmget",
	"socket",
	"symlink",
	"symlinkat",
	"utime",
	"utimensat",
	"utimensat_time64",
	"utimes",
};

static const char *const of_rings[] = {"io_uring_enter", "io_uring_register", "io_uring_setup"};
static const char *const of_network[] = {"socket", "bind", "connect", "listen", "accept", "accept4"};
static const char *const of_signals[] = {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"};
static const char *const of_owners[] = {"fcntl", "fcntl64"};
static const char *const of_truncation[] = {"truncate", "truncate64", "openat2"};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Which argument of clone() the flags are. */
#ifdef __s390__
enum { FLAGS_OF_CLONE = 1 };
#else
enum { FLAGS_OF_CLONE = 0 };
#endif

enum { CALL_SOCKETPAIR = 8 }; /* SYS_SOCKETPAIR of linux/net.h */

/* ---- rules ---- */

/* libseccomp's functions give 0 or a negative errno. A filter goes on after a failure, which it remembers. */
struct filter {
	scmp_filter_ctx context;
	int failed;
};

static void note(struct filter *filter, int r)
{
	if (r < 0 && !filter->failed)
		filter->failed = r;
}

/* Not every system call is there on every architecture. */
static void rule(struct filter *filter, uint32_t action, const char *name, unsigned count, const struct scmp_arg_cmp *arguments)
{
	const int number = seccomp_syscall_resolve_name(name);

	if (number != __NR_SCMP_ERROR)
		note(filter, seccomp_rule_add_array(filter->context, action, number, count, arguments));
}

static void rules(struct filter *filter, uint32_t action, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		rule(filter, action, names[i], 0, NULL);
}

static void deny_if(struct filter *filter, const char *name, struct scmp_arg_cmp argument)
{
	rule(filter, SCMP_ACT_ERRNO(EPERM), name, 1, &argument);
}

static void allow_if(struct filter *filter, const char *name, struct scmp_arg_cmp argument)
{
	rule(filter, SCMP_ACT_ALLOW, name, 1, &argument);
}

/* Loads the filter, and frees it. */
static int load(const struct cage *cage, struct filter *filter)
{
	if (filter->context) {
		note(filter, seccomp_attr_set(filter->context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
		note(filter, seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_OPTIMIZE, 2)); /* a search by halves */
		if (!filter->failed)
			note(filter, seccomp_load(filter->context));
		seccomp_release(filter->context);
	} else {
		filter->failed = -ENOMEM;
	}
	return filter->failed ? cage_fail(cage, "the filter of system calls could not be set: %s", strerror(-filter->failed)) : 0;
}

/* ---- what is denied ---- */

/*
 * Sockets that the class makes are pairs. Datagrams of a pair could be sent to others. Where libc makes sockets by socketcall
 * (i386, s390x), libseccomp puts rules for it beside those for socket, bind and so on. But a filter does not see the arguments
 * that socketcall passes on: there the class makes no pairs either.
 */
static void deny_network(struct filter *filter)
{
	static const int types[] = {SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_DCCP, SOCK_PACKET};

	rules(filter, SCMP_ACT_ERRNO(EPERM), of_network, COUNT(of_network));
	rules(filter, SCMP_ACT_ERRNO(EPERM), of_rings, COUNT(of_rings));
	deny_if(filter, "socketcall", SCMP_A0_32(SCMP_CMP_EQ, CALL_SOCKETPAIR, 0));
	deny_if(filter, "socketpair", SCMP_A0_32(SCMP_CMP_NE, AF_UNIX, 0));
	for (size_t i = 0; i < COUNT(types); i++)
		deny_if(filter, "socketpair", SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, (unsigned)types[i]));
}

/* Before Linux 6.12 a domain of Landlock does not hold signals back: then no signal is sent at all. A descriptor's owner gets
 * signals, too. */
static void deny_signals(struct filter *filter)
{
	rules(filter, SCMP_ACT_ERRNO(EPERM), of_signals, COUNT(of_signals));
	for (size_t i = 0; i < COUNT(of_owners); i++) {
		deny_if(filter, of_owners[i], SCMP_A1_32(SCMP_CMP_EQ, F_SETOWN, 0));
		deny_if(filter, of_owners[i], SCMP_A1_32(SCMP_CMP_EQ, F_SETOWN_EX, 0));
	}
	deny_if(filter, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, FIOSETOWN, 0));
	deny_if(filter, "ioctl", SCMP_A1_32(SCMP_CMP_EQ, SIOCSPGRP, 0));
}

/* Before Linux 6.2 Landlock lets who may read a file truncate it. */
static void deny_truncation(struct filter *filter)
{
	rules(filter, SCMP_ACT_ERRNO(EPERM), of_truncation, COUNT(of_truncation));
	deny_if(filter, "open", SCMP_A1_32(SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY));
	deny_if(filter, "openat", SCMP_A2_32(SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY));
}

static int load_denials(const struct cage *cage, const struct cage_kernel *kernel)
{
	struct filter filter = {.context = seccomp_init(SCMP_ACT_ALLOW)};

	if (filter.context && cage->network == 0)
		deny_network(&filter);
	if (filter.context && !kernel->scopes_signals)
		deny_signals(&filter);
	if (filter.context && !kernel->guards_truncation && (cage->read.size > 0 || cage->write.size > 0))
		deny_truncation(&filter);
	return load(cage, &filter);
}

/* ---- what is allowed ---- */

/* Of these, only what is about the caller itself. A process in a namespace of its own would have privileges there. */
static void allow_for_itself(struct filter *filter)
{
	static const uint64_t namespaces =
		CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

	allow_if(filter, "prlimit64", SCMP_A0_32(SCMP_CMP_EQ, 0, 0));
	rule(filter, SCMP_ACT_ALLOW, "setpriority", 2,
	     (struct scmp_arg_cmp[]){SCMP_A0_32(SCMP_CMP_EQ, PRIO_PROCESS, 0), SCMP_A1_32(SCMP_CMP_EQ, 0, 0)});
	allow_if(filter, "sched_setaffinity", SCMP_A0_32(SCMP_CMP_EQ, 0, 0));
	allow_if(filter, "clone", SCMP_CMP64(FLAGS_OF_CLONE, SCMP_CMP_MASKED_EQ, namespaces, 0));
	rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL); /* its flags can't be seen; libc then takes clone */
}

static int load_allowances(const struct cage *cage)
{
	struct filter filter = {.context = seccomp_init(SCMP_ACT_ERRNO(EPERM))};

	if (!filter.context)
		return load(cage, &filter);
	rules(&filter, SCMP_ACT_ALLOW, of_strict, COUNT(of_strict));
	allow_for_itself(&filter);
	if (cage->syscalls == CAGE_SYSCALLS_DEFAULT)
		rules(&filter, SCMP_ACT_ALLOW, of_default, COUNT(of_default));
	return load(cage, &filter);
}

int cage_filter_syscalls(const struct cage *cage, const struct cage_kernel *kernel)
{
	if (cage_confines(cage) && load_denials(cage, kernel) < 0)
		return -1;
	return cage->syscalls != CAGE_UNSET ? load_allowances(cage) : 0;
}
