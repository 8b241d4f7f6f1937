/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cage_landlock: by Landlock, which files a class can reach, and which processes. A process in a domain can trace, and look at in
 * /proc, only processes of its own domain and of domains in it; from Linux 6.12 on, this holds for signals, too. The template makes a
 * domain, with the rules for files. Each worker makes one in it, so that the workers of a pool are strangers to each other.
 */
#include "daemon/worker/cage/cage_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the kernel's interface, newer than Debian 12's header ---- */

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

struct ruleset {
	uint64_t files, network, scoped;
};

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEV = 5, ABI_SCOPES = 6 };
enum { SCOPE_ABSTRACT_SOCKETS = 1 << 0, SCOPE_SIGNALS = 1 << 1 };

static const uint64_t reads = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t writes_of_files =
	LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
static const uint64_t writes = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV |
			       LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
			       LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
			       LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |
			       LANDLOCK_ACCESS_FS_REFER;

int cage_landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
}

struct cage_kernel cage_kernel_of(int abi)
{
	return (struct cage_kernel){.scopes_signals = abi >= ABI_SCOPES, .guards_truncation = abi >= ABI_TRUNCATE};
}

static uint64_t known_to(int abi)
{
	return ~((abi < ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0) | (abi < ABI_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0) |
		 (abi < ABI_IOCTL_DEV ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0));
}

/* A domain must be about something. Who has no privileges can't make block devices anyway. */
static int make_ruleset(const struct cage *cage, int abi, uint64_t files)
{
	const struct ruleset ruleset = {.files = files ? files : LANDLOCK_ACCESS_FS_MAKE_BLOCK,
					.scoped = SCOPE_SIGNALS | (cage->network == 0 ? SCOPE_ABSTRACT_SOCKETS : 0)};

	return (int)syscall(SYS_landlock_create_ruleset, &ruleset, abi < ABI_SCOPES ? sizeof ruleset.files : sizeof ruleset, 0U);
}

/* Closes the ruleset. */
static int enter_domain(const struct cage *cage, int ruleset)
{
	const int r = (int)syscall(SYS_landlock_restrict_self, ruleset, 0U), error = errno;

	(void)close(ruleset);
	return r < 0 ? cage_fail(cage, "Landlock's rules could not be set: %s", strerror(error)) : 0;
}

/* ---- rules ---- */

struct rules {
	const struct cage *cage;
	int ruleset;
	uint64_t handled;
};

/* The file, or all below the directory, may be accessed so. 0 or a negative errno. */
static int allow(const struct rules *rules, const char *path, uint64_t access)
{
	struct stat stat;
	const int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) == 0 && !S_ISDIR(stat.st_mode))
		access &= writes_of_files | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
	const struct landlock_path_beneath_attr rule = {.allowed_access = access & rules->handled, .parent_fd = fd};
	int r = rule.allowed_access == 0
			? 0
			: (int)syscall(SYS_landlock_add_rule, rules->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
	if (r < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/* `must`: it is an error if one of the paths isn't there. */
static int allow_paths(const struct rules *rules, const char *key, struct span paths, uint64_t access, bool must)
{
	struct reader reader = reader_of(paths);
	char path[4096];
	struct span text;
	uint32_t n = 0;

	if (paths.size > 0 && read_array(&reader, &n) < 0)
		return cage_fail(rules->cage, "%s is no list of paths", key);
	while (n-- > 0) {
		if (read_text(&reader, &text) < 0 || !cage_copy(text, path, sizeof path))
			return cage_fail(rules->cage, "%s: a path is too long", key);
		const int r = allow(rules, path, access);
		if (r < 0 && must)
			return cage_fail(rules->cage, "%s: %s: %s", key, path, strerror(-r));
	}
	return 0;
}

/* What programs need: libraries, the plugin's own code, and devices that hold nothing. */
static int allow_usual(const struct rules *rules)
{
	static const char *const libraries[] = {"/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache"};
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

	for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
		(void)allow(rules, libraries[i], reads); /* not every system has all of them */
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		(void)allow(rules, devices[i], LANDLOCK_ACCESS_FS_READ_FILE | writes_of_files);
	return allow_paths(rules, "python_path", rules->cage->own, reads, false);
}

static int add_rules(const struct rules *rules)
{
	if (allow_usual(rules) < 0 || allow_paths(rules, "read", rules->cage->read, reads, true) < 0)
		return -1;
	return allow_paths(rules, "write", rules->cage->write, reads | writes, true);
}

/* ---- the steps ---- */

static int begin(const struct cage *cage, int *abi)
{
	*abi = cage_landlock_abi();
	return *abi > 0
		       ? 0
		       : cage_fail(cage,
				   "this kernel has no Landlock, or it is not enabled: read, write, network and syscalls need it "
				   "(%s)",
				   strerror(errno));
}

int cage_confine(const struct cage *cage)
{
	int abi;

	if (!cage_confines(cage))
		return 0;
	if (begin(cage, &abi) < 0)
		return -1;
	const uint64_t asked = (cage->read.size > 0 ? reads | writes : 0) | (cage->write.size > 0 ? writes : 0);
	const struct rules rules = {
		.cage = cage, .handled = asked & known_to(abi), .ruleset = make_ruleset(cage, abi, asked & known_to(abi))};
	if (rules.ruleset < 0)
		return cage_fail(cage, "Landlock's rules could not be made: %s", strerror(errno));
	if (rules.handled != 0 && add_rules(&rules) < 0) {
		(void)close(rules.ruleset);
		return -1;
	}
	return enter_domain(cage, rules.ruleset);
}

int cage_confine_worker(const struct cage *cage)
{
	int abi;

	if (!cage_confines(cage))
		return 0;
	if (begin(cage, &abi) < 0)
		return -1;
	const int ruleset = make_ruleset(cage, abi, 0);
	return ruleset < 0 ? cage_fail(cage, "Landlock's rules could not be made: %s", strerror(errno))
			   : enter_domain(cage, ruleset);
}
