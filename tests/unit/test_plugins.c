/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugins that come with objpool, as a worker would use them, but without one: each is loaded from the directory in
 * OBJPOOL_PLUGINS (default: build/plugins) and called through a small host made here. Run from the top of the source.
 *
 * Methods that kill their process are called in a child.
 */
#include "tests/unit/values.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { NEVER = -1, SAMPLES = 100000 };

/* One instance, and all that a worker would have around it. */
struct rig {
	struct objpool_call call; /* first: the host's functions find the rig by it */
	struct objpool_place place;
	const struct objpool_class *class;
	void *self;
	int cancel_after;         /* how often `cancelled` says no; NEVER: always */
	bool failed;
	char code[32], type[64], message[1200], traceback[64];
	char data[64];
	size_t data_size;
	char told[256];           /* of progress: "done/total text", one after the other */
	msgpack_sbuffer out;
	msgpack_unpacked unpacked;
};

/* ---- the host ---- */

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static void host_fail(struct objpool_call *call, const struct objpool_failure *error)
{
	struct rig *rig = (struct rig *)call;

	rig->failed = true;
	copy(rig->code, sizeof rig->code, error->code ? error->code : "FAILED");
	copy(rig->type, sizeof rig->type, error->type);
	copy(rig->message, sizeof rig->message, error->message);
	copy(rig->traceback, sizeof rig->traceback, error->traceback);
	assert_true(error->data_size <= sizeof rig->data);
	rig->data_size = error->data ? error->data_size : 0;
	if (rig->data_size)
		memcpy(rig->data, error->data, rig->data_size);
}

static bool host_cancelled(const struct objpool_call *call)
{
	struct rig *rig = (struct rig *)call;
	if (rig->cancel_after > 0)
		rig->cancel_after--;
	return rig->cancel_after == 0;
}

static int host_progress(struct objpool_call *call, uint64_t done, uint64_t total, const char *text)
{
	struct rig *rig = (struct rig *)call;
	const size_t n = strlen(rig->told);

	snprintf(rig->told + n, sizeof rig->told - n, "%d/%d %s;", (int)done, (int)total, text ? text : "-");
	return 0;
}

static const struct objpool_host host = {.size = sizeof(struct objpool_host), .fail = host_fail,
					 .cancelled = host_cancelled, .progress = host_progress};

static const struct objpool_plugin *load(const char *name)
{
	const char *directory = getenv("OBJPOOL_PLUGINS");
	char path[512];

	snprintf(path, sizeof path, "%s/%s.so", directory ? directory : "build/plugins", name);
	if (access(path, F_OK) < 0)
		skip(); /* the build has no library for it */
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail_msg("%s", dlerror());
	const struct objpool_plugin *plugin = dlsym(library, "objpool_plugin");
	assert_non_null(plugin);
	return plugin;
}

static struct rig *rig_new(const char *plugin, const char *class_name)
{
	struct rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	rig->place = (struct objpool_place){.pool = "tests", .slot = 3, .slots = 4, .generation = 5};
	rig->call = (struct objpool_call){.host = &host, .place = &rig->place, .session = 77};
	rig->cancel_after = NEVER;
	msgpack_sbuffer_init(&rig->out);
	msgpack_unpacked_init(&rig->unpacked);
	for (const struct objpool_class *const *c = load(plugin)->classes; *c; c++)
		if (strcmp((*c)->name, class_name) == 0)
			rig->class = *c;
	assert_non_null(rig->class);
	return rig;
}

static void rig_free(struct rig *rig)
{
	if (rig->self)
		rig->class->destroy(rig->self);
	msgpack_sbuffer_destroy(&rig->out);
	msgpack_unpacked_destroy(&rig->unpacked);
	free(rig);
}

/* ---- calls ---- */

static int create(struct rig *rig, struct objpool_args args)
{
	rig->failed = false;
	const int r = rig->class->create(&rig->call, &args, &rig->self);
	assert_true((r != 0) == rig->failed); /* who fails says why */
	return r;
}

static struct rig *created(const char *plugin, const char *class_name, struct objpool_args args)
{
	struct rig *rig = rig_new(plugin, class_name);
	if (create(rig, args) != 0)
		fail_msg("%s: %s", class_name, rig->message);
	return rig;
}

static const struct objpool_method *find(const struct rig *rig, const char *name)
{
	for (const struct objpool_method *m = rig->class->methods; m && m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

/* What a worker does: the table's promises are checked, then the method is called. */
static int run(struct rig *rig, const char *name, struct objpool_args args)
{
	const struct objpool_method *method = find(rig, name);
	msgpack_packer packer;

	rig->failed = false;
	rig->call.method = name;
	msgpack_sbuffer_clear(&rig->out);
	msgpack_packer_init(&packer, &rig->out, msgpack_sbuffer_write);
	if (!method && !rig->class->dispatch)
		fail_msg("%s has no method %s", rig->class->name, name);
	if (method && args.kwcount > 0 && !(method->flags & OBJPOOL_METHOD_KWARGS))
		return objpool_bad_argument(&rig->call, "no keywords");
	if (method && method->max_args >= 0 && args.count > (uint32_t)method->max_args)
		return objpool_bad_argument(&rig->call, "too many");
	const int r = (method ? method->call : rig->class->dispatch)(rig->self, &rig->call, &args, &packer);
	assert_true((r != 0) == rig->failed);
	return r;
}

/* The result, which must be one value. */
static const msgpack_object *result(struct rig *rig, const char *name, struct objpool_args args)
{
	size_t used = 0;

	if (run(rig, name, args) != 0)
		fail_msg("%s: %s %s", name, rig->code, rig->message);
	if (rig->out.size == 0) {
		rig->unpacked.data = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
		return &rig->unpacked.data;
	}
	const msgpack_unpack_return r = msgpack_unpack_next(&rig->unpacked, rig->out.data, rig->out.size, &used);
	assert_int_equal(r, MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(used, rig->out.size);
	return &rig->unpacked.data;
}

static void expect(struct rig *rig, const char *name, struct objpool_args args, const char *printed)
{
	char here[2048];
	msgpack_object_print_buffer(here, sizeof here, *result(rig, name, args));
	assert_string_equal(here, printed);
}

static void expect_error(struct rig *rig, const char *code, const char *message)
{
	assert_string_equal(rig->code, code);
	if (!strstr(rig->message, message))
		fail_msg("\"%s\" is not in \"%s\"", message, rig->message);
}

static void expect_failure(struct rig *rig, const char *name, struct objpool_args args, const char *code,
			   const char *message)
{
	assert_int_not_equal(run(rig, name, args), 0);
	expect_error(rig, code, message);
}

static void expect_no_instance(const char *plugin, const char *class_name, struct objpool_args args, const char *code,
			       const char *message)
{
	struct rig *rig = rig_new(plugin, class_name);
	assert_int_not_equal(create(rig, args), 0);
	expect_error(rig, code, message);
	rig->self = NULL;
	rig_free(rig);
}

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- children ---- */

static void become_child(void)
{
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(SIGSEGV, SIG_DFL); /* the handlers of cmocka and of sanitizers */
	(void)signal(SIGABRT, SIG_DFL);
}

static int status_of(pid_t child)
{
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* How a child ends that calls the method; exit status 99: it has survived. */
static int ends(struct rig *rig, const char *name, struct objpool_args args)
{
	(void)fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		become_child();
		(void)run(rig, name, args);
		_exit(99);
	}
	return status_of(child);
}

static int ends_in_create(struct objpool_args args)
{
	(void)fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		become_child();
		(void)create(rig_new("probe", "Probe"), args);
		_exit(99);
	}
	return status_of(child);
}

static void assert_killed(int status, int by)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), by);
}

static void assert_exited(int status, int with)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), with);
}

/* ---- all plugins ---- */

static void check_class(const struct objpool_class *class)
{
	assert_int_equal(class->size, sizeof *class);
	assert_non_null(class->name);
	assert_non_null(class->doc);
	assert_non_null(class->signature);
	assert_non_null(class->create);
	assert_true(class->methods || class->dispatch);
	for (const struct objpool_method *m = class->methods; m && m->name; m++) {
		assert_non_null(m->signature);
		assert_non_null(m->doc);
		assert_non_null(m->call);
		assert_true(m->max_args < 0 || m->min_args <= m->max_args);
	}
}

static void exports_are_complete(void **state)
{
	static const char *const names[] = {"spell", "sampler", "probe", "queue"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct objpool_plugin *plugin = load(names[i]);
		assert_int_equal(plugin->abi, OBJPOOL_ABI);
		assert_int_equal(plugin->size, sizeof *plugin);
		assert_int_equal(plugin->method_size, sizeof(struct objpool_method));
		assert_string_equal(plugin->name, names[i]);
		assert_non_null(plugin->version);
		assert_non_null(plugin->classes[0]);
		for (const struct objpool_class *const *c = plugin->classes; *c; c++)
			check_class(*c);
	}
}

/* ---- spell ---- */

static void spell_checks_words(void **state)
{
	struct rig *rig = created("spell", "Dictionary", NONE);

	(void)state;
	expect(rig, "check", ARGS(POS(text("weather"))), "true");
	expect(rig, "check", ARGS(KEY({text("word"), text("weathr")})), "false");
	expect(rig, "check", ARGS(POS(text("don't"))), "true");
	expect(rig, "check", ARGS(POS(text("don\xe2\x80\x99t"))), "true");
	expect(rig, "check", ARGS(POS(text(""))), "false");
	expect(rig, "check", ARGS(POS(text_of("hello\0there", 11))), "false");
	expect_failure(rig, "check", ARGS(POS(integer(3))), "BAD_ARGUMENT", "word must be a string");
	expect_failure(rig, "check", NONE, "BAD_ARGUMENT", "word must be a string");
	expect_failure(rig, "check", ARGS(POS(text("\xff\xfe"))), "BAD_ARGUMENT", "not UTF-8");
	expect_failure(rig, "check", ARGS(POS(text("a")), KEY({text("wrod"), text("b")})), "BAD_ARGUMENT", "\"wrod\"");
	expect_failure(rig, "check", ARGS(POS(text("a")), KEY({text("word"), text("b")})), "BAD_ARGUMENT", "twice");
	rig_free(rig);
}

static void spell_suggests(void **state)
{
	struct rig *rig = created("spell", "Dictionary", NONE);

	(void)state;
	expect(rig, "suggest", ARGS(POS(text("recieve")), KEY({text("limit"), integer(1)})), "[\"receive\"]");
	expect(rig, "suggest", ARGS(POS(text("recieve")), KEY({text("limit"), integer(0)})), "[]");
	assert_in_range(result(rig, "suggest", ARGS(POS(text("wrold"))))->via.array.size, 2, 8);
	expect_failure(rig, "suggest", ARGS(POS(text("a")), KEY({text("limit"), integer(-1)})), "BAD_ARGUMENT", "limit");
	expect_failure(rig, "suggest", ARGS(POS(text("a")), KEY({text("limit"), text("1")})), "BAD_ARGUMENT", "limit");
	rig_free(rig);
}

static void spell_checks_texts(void **state)
{
	msgpack_object cafe = text("caf\xc3\xa9");
	struct rig *rig = created("spell", "Dictionary", ARGS(KEY({text("words"), array(&cafe, 1)})));

	(void)state;
	expect(rig, "check_text", ARGS(POS(text(""))), "[]");
	expect(rig, "check_text", ARGS(POS(text("The 2nd kqz86xw caf\xc3\xa9 \xe2\x80\x94 it\xe2\x80\x99s 'open', isn't it?"))),
	       "[]");
	/* The dash and the quotation mark have three bytes each. */
	expect(rig, "check_text", ARGS(POS(text("Helllo \xe2\x80\x94 \xe2\x80\x9cwrold\xe2\x80\x9d"))),
	       "[{\"word\"=>\"Helllo\", \"offset\"=>0}, {\"word\"=>\"wrold\", \"offset\"=>14}]");
	expect(rig, "check_text", ARGS(POS(text("I recieve")), KEY({text("suggestions"), integer(1)})),
	       "[{\"word\"=>\"recieve\", \"offset\"=>2, \"suggestions\"=>[\"receive\"]}]");
	expect_failure(rig, "check_text", ARGS(POS(text("caf\xc3"))), "BAD_ARGUMENT", "UTF-8");
	rig->cancel_after = 3;
	expect_failure(rig, "check_text", ARGS(POS(text("one two three four five"))), "FAILED", "cancelled");
	assert_string_equal(rig->type, "Cancelled");
	rig_free(rig);
}

static void spell_finds_what_is_wrong_in_the_sample(void **state)
{
	static const char *const wrong[] = {"comming",	  "responsability", "beatiful",	  "wisper",	"untill",
					    "recieved",	  "occurence",	    "goverment",  "definately", "seperate",
					    "reccommended", "nieghborhood"};
	struct rig *rig = created("spell", "Dictionary", NONE);
	char sample[4096];

	(void)state;
	FILE *file = fopen("plugins/spell/sample.txt", "r");
	assert_non_null(file);
	const size_t size = fread(sample, 1, sizeof sample, file);
	(void)fclose(file);
	const msgpack_object *found = result(rig, "check_text", ARGS(POS(text_of(sample, size))));
	assert_int_equal(found->via.array.size, sizeof wrong / sizeof *wrong);
	for (uint32_t i = 0; i < found->via.array.size; i++) {
		const msgpack_object_kv *kv = found->via.array.ptr[i].via.map.ptr;
		const msgpack_object_str *word = &kv[0].val.via.str;
		assert_int_equal(word->size, strlen(wrong[i]));
		assert_memory_equal(word->ptr, wrong[i], word->size);
		assert_memory_equal(sample + kv[1].val.via.u64, word->ptr, word->size);
	}
	rig_free(rig);
}

static void spell_learns_words(void **state)
{
	struct rig *one = created("spell", "Dictionary", ARGS(POS(text("en_US"))));
	struct rig *other = created("spell", "Dictionary",
				    ARGS(KEY({text("words"), array((msgpack_object[]){text("objpoold")}, 1)})));

	(void)state;
	expect(other, "check", ARGS(POS(text("objpoold"))), "true");
	expect(one, "check", ARGS(POS(text("objpoold"))), "false");
	expect(one, "add", ARGS(POS(text("objpoold"))), "nil");
	expect(one, "check", ARGS(POS(text("objpoold"))), "true");
	expect(one, "info", NONE,
	       "{\"language\"=>\"en_US\", \"path\"=>\"/usr/share/hunspell\", \"encoding\"=>\"UTF-8\", \"added\"=>1, "
	       "\"preloaded\"=>false}");
	expect_failure(one, "add", ARGS(POS(text(""))), "BAD_ARGUMENT", "1 to 400 bytes");
	expect_failure(one, "add", NONE, "BAD_ARGUMENT", "must be a string");
	rig_free(one);
	rig_free(other);
}

static void spell_refuses_bad_constructors(void **state)
{
	msgpack_object number = integer(1);

	(void)state;
	expect_no_instance("spell", "Dictionary", ARGS(POS(text("xx_XX"))), "FAILED", "xx_XX.aff: No such file");
	expect_no_instance("spell", "Dictionary", ARGS(KEY({text("path"), text("/nowhere")})), "FAILED", "/nowhere/en_US.aff");
	expect_no_instance("spell", "Dictionary", ARGS(POS(text("../en_US"))), "BAD_ARGUMENT", "go into path");
	expect_no_instance("spell", "Dictionary", ARGS(POS(integer(1))), "BAD_ARGUMENT", "language must be a string");
	expect_no_instance("spell", "Dictionary", ARGS(POS(text("en_US"), text("/x"))), "BAD_ARGUMENT", "at most 1");
	expect_no_instance("spell", "Dictionary", ARGS(KEY({text("words"), text("a")})), "BAD_ARGUMENT", "words must be");
	expect_no_instance("spell", "Dictionary", ARGS(KEY({text("words"), array(&number, 1)})), "BAD_ARGUMENT",
			   "must be a string");
	expect_no_instance("spell", "Dictionary", ARGS(KEY({text("pth"), text("a")})), "BAD_ARGUMENT", "\"pth\"");
}

static void write_file(const char *directory, const char *name, const char *content)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(content, file);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *directory, const char *name)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	(void)unlink(path);
}

static void spell_converts_encodings(void **state)
{
	char directory[] = "/tmp/objpool-test-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(directory));
	write_file(directory, "old.aff", "SET ISO8859-1\nTRY \xe9" "eacfo\n");
	write_file(directory, "old.dic", "2\ncaf\xe9\nl'eau\n");
	write_file(directory, "odd.aff", "SET NO-SUCH-ENCODING\n");
	write_file(directory, "odd.dic", "1\na\n");
	struct rig *rig = created("spell", "Dictionary", ARGS(POS(text("old")), KEY({text("path"), text(directory)})));
	expect(rig, "check", ARGS(POS(text("caf\xc3\xa9"))), "true");
	expect(rig, "check", ARGS(POS(text("cafe"))), "false");
	expect(rig, "check", ARGS(POS(text("l\xe2\x80\x99" "eau"))), "true");
	expect(rig, "check", ARGS(POS(text("\xe6\xbc\xa2"))), "false");
	const msgpack_object *list = result(rig, "suggest", ARGS(POS(text("cafe"))));
	assert_int_equal(list->via.array.size, 1);
	assert_int_equal(list->via.array.ptr[0].via.str.size, 5);
	assert_memory_equal(list->via.array.ptr[0].via.str.ptr, "caf\xc3\xa9", 5);
	expect(rig, "add", ARGS(POS(text("na\xc3\xafve"))), "nil");
	expect(rig, "check_text", ARGS(POS(text("na\xc3\xafve caf\xc3\xa9 \xe6\xbc\xa2"))),
	       "[{\"word\"=>\"\xe6\xbc\xa2\", \"offset\"=>13}]");
	expect_failure(rig, "add", ARGS(POS(text("\xe6\xbc\xa2"))), "BAD_ARGUMENT", "ISO8859-1");
	rig_free(rig);
	expect_no_instance("spell", "Dictionary", ARGS(POS(text("odd")), KEY({text("path"), text(directory)})), "FAILED",
			   "unknown encoding");
	static const char *const files[] = {"old.aff", "old.dic", "odd.aff", "odd.dic"};
	for (size_t i = 0; i < 4; i++)
		remove_file(directory, files[i]);
	assert_int_equal(rmdir(directory), 0);
}

static bool was_preloaded(struct rig *rig)
{
	const msgpack_object *info = result(rig, "info", NONE);
	return info->via.map.ptr[4].val.via.boolean;
}

static void spell_takes_over_what_is_preloaded(void **state)
{
	struct rig *first = rig_new("spell", "Dictionary");
	const struct objpool_args none = NONE, missing = ARGS(POS(text("xx_XX"))), wrong = ARGS(POS(integer(1)));

	(void)state;
	assert_int_equal(first->class->preload(&first->call, &missing), 0); /* create will say it, slot by slot */
	assert_false(first->failed);
	assert_int_equal(first->class->preload(&first->call, &none), 0);
	assert_int_equal(create(first, NONE), 0);
	struct rig *second = created("spell", "Dictionary", NONE);
	assert_true(was_preloaded(first));
	assert_false(was_preloaded(second));
	expect(first, "add", ARGS(POS(text("objpoold"))), "nil");
	expect(second, "check", ARGS(POS(text("objpoold"))), "false");
	assert_int_not_equal(first->class->preload(&first->call, &wrong), 0);
	rig_free(first);
	rig_free(second);
}

/* ---- sampler ---- */

static double sample(struct rig *rig)
{
	const msgpack_object *value = result(rig, "get_normal_sample", NONE);
	assert_int_equal(value->type, MSGPACK_OBJECT_FLOAT64);
	return value->via.f64;
}

static void sampler_repeats_a_seed(void **state)
{
	/* Computed apart from this code, from the published algorithms. */
	static const double first[] = {0.9813983900724986, -0.565720104673956, 1.3403256427520227, 0.4023128702992608};
	struct rig *one = created("sampler", "Sampler", ARGS(KEY({text("seed"), integer(42)})));
	struct rig *same = created("sampler", "Sampler", ARGS(POS(real(10), integer(2)), KEY({text("seed"), integer(42)})));
	struct rig *other = created("sampler", "Sampler", ARGS(KEY({text("seed"), integer(-42)})));

	(void)state;
	for (int i = 0; i < 4; i++) {
		const double x = sample(one);
		assert_true(fabs(x - first[i]) < 1e-12);
		assert_true(fabs(sample(same) - (10 + 2 * x)) < 1e-12);
		assert_true(sample(other) != x);
	}
	rig_free(one);
	rig_free(same);
	rig_free(other);
}

static void sampler_differs_without_a_seed(void **state)
{
	struct rig *one = created("sampler", "Sampler", NONE);
	struct rig *other = created("sampler", "Sampler", ARGS(KEY({text("seed"), {.type = MSGPACK_OBJECT_NIL}})));

	(void)state;
	assert_true(sample(one) != sample(other));
	rig_free(one);
	rig_free(other);
}

/* The bounds are at five standard errors or more: with this seed they hold or the generator is wrong. */
static void sampler_is_normal(void **state)
{
	struct rig *rig = created("sampler", "Sampler", ARGS(POS(real(3), real(2)), KEY({text("seed"), integer(1)})));
	const msgpack_object *value = result(rig, "get_normal_sample", ARGS(POS(integer(SAMPLES))));
	double sum = 0, squares = 0, within = 0, cubes = 0;

	(void)state;
	assert_int_equal(value->via.array.size, SAMPLES);
	for (uint32_t i = 0; i < SAMPLES; i++) {
		const double z = (value->via.array.ptr[i].via.f64 - 3) / 2;
		sum += z;
		squares += z * z;
		cubes += z * z * z;
		within += fabs(z) < 1;
	}
	assert_true(fabs(sum / SAMPLES) < 0.016);
	assert_true(fabs(squares / SAMPLES - 1) < 0.023);
	assert_true(fabs(cubes / SAMPLES) < 0.062);
	assert_true(fabs(within / SAMPLES - 0.682689) < 0.0075);
	rig_free(rig);
}

static void sampler_checks_arguments(void **state)
{
	struct rig *rig = created("sampler", "Sampler", NONE);

	(void)state;
	expect(rig, "get_normal_sample", ARGS(POS(integer(0))), "[]");
	assert_int_equal(result(rig, "get_normal_sample", ARGS(KEY({text("size"), integer(3)})))->via.array.size, 3);
	expect_failure(rig, "get_normal_sample", ARGS(POS(integer(-1))), "BAD_ARGUMENT", "size");
	expect_failure(rig, "get_normal_sample", ARGS(POS(real(3))), "BAD_ARGUMENT", "size");
	expect_failure(rig, "get_normal_sample", ARGS(POS(natural(UINT64_MAX))), "BAD_ARGUMENT", "size");
	rig->cancel_after = 2;
	expect_failure(rig, "get_normal_sample", ARGS(POS(integer(SAMPLES))), "FAILED", "cancelled after 4096 of");
	rig_free(rig);
	expect_no_instance("sampler", "Sampler", ARGS(POS(real(0), real(-1))), "BAD_ARGUMENT", "std must not be negative");
	expect_no_instance("sampler", "Sampler", ARGS(POS(text("0"))), "BAD_ARGUMENT", "mean must be a number");
	expect_no_instance("sampler", "Sampler", ARGS(POS(real(NAN))), "BAD_ARGUMENT", "mean must be finite");
	expect_no_instance("sampler", "Sampler", ARGS(KEY({text("seed"), real(1)})), "BAD_ARGUMENT", "seed must be an integer");
	expect_no_instance("sampler", "Sampler", ARGS(POS(real(0), real(1), integer(1))), "BAD_ARGUMENT", "at most 2");
}

static void sampler_keeps_a_property(void **state)
{
	struct rig *rig = created("sampler", "Sampler", NONE);

	(void)state;
	expect(rig, "get_property", NONE, "0");
	expect(rig, "set_property", ARGS(POS(integer(-5))), "nil");
	expect(rig, "add_and_get_property", ARGS(POS(integer(3))), "-2");
	expect(rig, "get_property", NONE, "-2");
	expect(rig, "add_and_get_property", ARGS(KEY({text("x"), real(0.5)})), "-1.500000");
	expect(rig, "set_property", ARGS(POS(natural(UINT64_MAX))), "nil");
	expect(rig, "get_property", NONE, "18446744073709551615");
	assert_int_equal(result(rig, "add_and_get_property", ARGS(POS(integer(1))))->type, MSGPACK_OBJECT_FLOAT64);
	expect_failure(rig, "set_property", ARGS(POS(text("1"))), "BAD_ARGUMENT", "value must be a number");
	expect_failure(rig, "add_and_get_property", NONE, "BAD_ARGUMENT", "x must be a number");
	rig_free(rig);
}

/* ---- probe: what it answers ---- */

static void probe_echoes(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	expect(rig, "echo", NONE, "[]");
	expect(rig, "echo", ARGS(POS(text("x"))), "\"x\"");
	expect(rig, "echo", ARGS(POS(integer(1), real(0.5))), "[1, 0.500000]");
	expect(rig, "echo", ARGS(POS(integer(1)), KEY({text("a"), integer(2)})),
	       "{\"args\"=>[1], \"kwargs\"=>{\"a\"=>2}}");
	expect(rig, "kwargs", ARGS(KEY({text("a"), integer(2)}, {text("b"), yes()})), "{\"a\"=>2, \"b\"=>true}");
	expect(rig, "kwargs", NONE, "{}");
	rig_free(rig);
}

static void probe_adds(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	expect(rig, "add", ARGS(POS(integer(2), integer(-3))), "-1");
	expect(rig, "add", ARGS(POS(integer(2)), KEY({text("b"), integer(3)})), "5");
	expect(rig, "add", ARGS(KEY({text("b"), real(0.5)}, {text("a"), integer(1)})), "1.500000");
	expect(rig, "add", ARGS(POS(integer(INT64_MAX), integer(1))), "9223372036854775808");
	assert_true(result(rig, "add", ARGS(POS(natural(UINT64_MAX), integer(1))))->via.f64 == 0x1p64);
	assert_true(result(rig, "add", ARGS(POS(integer(INT64_MIN), integer(-1))))->via.f64 == -0x1p63);
	expect_failure(rig, "add", ARGS(POS(integer(1))), "BAD_ARGUMENT", "b must be a number");
	expect_failure(rig, "add", ARGS(POS(text("1"), integer(1))), "BAD_ARGUMENT", "a must be a number");
	rig_free(rig);
}

static void probe_tells_about_the_call(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	expect(rig, "calls", NONE, "1");
	expect(rig, "slot", NONE, "3");
	expect(rig, "generation", NONE, "5");
	expect(rig, "pool", NONE, "\"tests\"");
	expect(rig, "session", NONE, "77");
	rig->call.index = 9;
	expect(rig, "index", NONE, "9");
	assert_int_equal(result(rig, "pid", NONE)->via.u64, getpid());
	expect(rig, "deadline", NONE, "nil");
	rig->call.deadline = (uint64_t)((seconds_now() + 100) * 1e9);
	const double left = result(rig, "deadline", NONE)->via.f64;
	assert_true(left > 90 && left <= 100);
	rig->call.deadline = 1;
	expect(rig, "deadline", NONE, "0.000000");
	expect(rig, "calls", NONE, "11");
	rig_free(rig);
}

static void probe_makes_blobs(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	const msgpack_object *blob = result(rig, "blob", ARGS(POS(integer(10000))));

	(void)state;
	assert_int_equal(blob->type, MSGPACK_OBJECT_BIN);
	assert_int_equal(blob->via.bin.size, 10000);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal((uint8_t)blob->via.bin.ptr[i], i & 0xff);
	assert_int_equal(result(rig, "blob", ARGS(POS(integer(0))))->via.bin.size, 0);
	expect_failure(rig, "blob", ARGS(POS(natural(UINT64_MAX))), "BAD_ARGUMENT", "n must be");
	rig_free(rig);
}

/* Puts a file in the place of a descriptor, and back again. */
static void probe_prints(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	char here[64] = "";

	(void)state;
	for (int fd = 1; fd <= 2; fd++) {
		FILE *file = tmpfile();
		(void)fflush(NULL);
		const int before = dup(fd);
		assert_true(dup2(fileno(file), fd) == fd);
		const int r = run(rig, "print", ARGS(POS(text("a line"), text(fd == 1 ? "stdout" : "stderr"))));
		(void)dup2(before, fd);
		(void)close(before);
		assert_int_equal(r, 0);
		assert_int_equal(pread(fileno(file), here, sizeof here - 1, 0), 7);
		assert_string_equal(here, "a line\n");
		(void)fclose(file);
	}
	expect_failure(rig, "print", ARGS(POS(text("x"), text("log"))), "BAD_ARGUMENT", "stream must be");
	expect_failure(rig, "print", ARGS(POS(integer(1))), "BAD_ARGUMENT", "text must be");
	rig_free(rig);
}

/* ---- probe: time, memory ---- */

static void probe_sleeps(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	const double begin = seconds_now();

	(void)state;
	expect(rig, "sleep", ARGS(POS(real(0.03))), "0.030000");
	assert_true(seconds_now() - begin >= 0.03);
	rig->cancel_after = 3;
	expect_failure(rig, "sleep", ARGS(POS(integer(30))), "FAILED", "cancelled after ");
	assert_string_equal(rig->type, "Cancelled");
	assert_true(seconds_now() - begin < 10);
	rig->cancel_after = 0;
	const double deaf = seconds_now();
	expect(rig, "sleep_hard", ARGS(KEY({text("seconds"), real(0.03)})), "0.030000");
	expect(rig, "spin", ARGS(POS(real(0.03))), "0.030000");
	assert_true(seconds_now() - deaf >= 0.06);
	expect_failure(rig, "sleep", ARGS(POS(integer(-1))), "BAD_ARGUMENT", "seconds");
	expect_failure(rig, "sleep", ARGS(POS(text("1"))), "BAD_ARGUMENT", "seconds");
	expect_failure(rig, "sleep", ARGS(POS(real(NAN))), "BAD_ARGUMENT", "seconds");
	rig_free(rig);
}

static void probe_tells_its_progress(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	const double begin = seconds_now();

	(void)state;
	expect(rig, "progress", ARGS(POS(integer(3))), "3");
	assert_string_equal(rig->told, "1/3 -;2/3 -;3/3 -;");
	rig->told[0] = '\0';
	expect(rig, "progress", ARGS(POS(integer(2), real(0.03)), KEY({text("text"), text("half")})), "2");
	assert_string_equal(rig->told, "1/2 half;2/2 half;");
	assert_true(seconds_now() - begin >= 0.03);
	expect(rig, "progress", ARGS(POS(integer(0))), "0");
	rig->told[0] = '\0';
	rig->cancel_after = 3;
	expect_failure(rig, "progress", ARGS(POS(integer(5))), "FAILED", "cancelled after 2 of 5 steps");
	assert_string_equal(rig->type, "Cancelled");
	assert_string_equal(rig->told, "1/5 -;2/5 -;");
	rig->cancel_after = 3;
	expect_failure(rig, "progress", ARGS(POS(integer(2), integer(60))), "FAILED", "cancelled after 0 of 2 steps");
	expect_failure(rig, "progress", NONE, "BAD_ARGUMENT", "n must be");
	expect_failure(rig, "progress", ARGS(POS(integer(-1))), "BAD_ARGUMENT", "n must be");
	expect_failure(rig, "progress", ARGS(POS(integer(1), integer(0), integer(1))), "BAD_ARGUMENT", "text must be");
	assert_true(seconds_now() - begin < 20);
	rig_free(rig);
}

static void probe_keeps_values(void **state)
{
	struct rig *rig = created("probe", "Probe", ARGS(KEY({text("tag"), integer(7)})));
	char name[] = "deep";
	msgpack_object inner[] = {text(name), integer(1)};

	(void)state;
	expect(rig, "get", NONE, "nil");
	expect(rig, "set", ARGS(POS(array(inner, 2))), "nil");
	memset(name, 'x', sizeof name - 1); /* what was set must be a copy */
	inner[1] = integer(2);
	expect(rig, "get", NONE, "[\"deep\", 1]");
	expect(rig, "get", NONE, "[\"deep\", 1]");
	expect(rig, "set", ARGS(KEY({text("value"), {.type = MSGPACK_OBJECT_NIL}})), "nil");
	expect(rig, "get", NONE, "nil");
	expect(rig, "tag", NONE, "7");
	rig_free(rig);
}

static void probe_counts_and_lists(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	msgpack_object pair[] = {text("x"), real(0.5)};

	(void)state;
	expect(rig, "list", NONE, "[]");
	expect(rig, "count", NONE, "1");
	expect(rig, "count", NONE, "2");
	expect(rig, "append", ARGS(POS(integer(7))), "1");
	expect(rig, "append", ARGS(KEY({text("value"), array(pair, 2)})), "2");
	expect(rig, "append", ARGS(POS({.type = MSGPACK_OBJECT_NIL})), "3");
	pair[0] = text("y"); /* what was appended must be a copy */
	expect(rig, "list", NONE, "[7, [\"x\", 0.500000], nil]");
	expect_failure(rig, "append", ARGS(POS(integer(1), integer(2))), "BAD_ARGUMENT", "too many");
	rig_free(rig);
}

/* The rig's snapshot in `unpacked`; non-zero when it refuses. */
static int take_snapshot(struct rig *rig)
{
	msgpack_packer packer;
	size_t used = 0;

	rig->failed = false;
	msgpack_sbuffer_clear(&rig->out);
	msgpack_packer_init(&packer, &rig->out, msgpack_sbuffer_write);
	const int r = rig->class->snapshot(rig->self, &rig->call, &packer);
	assert_true((r != 0) == rig->failed);
	if (r != 0)
		return r;
	assert_int_equal(msgpack_unpack_next(&rig->unpacked, rig->out.data, rig->out.size, &used), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(used, rig->out.size);
	return 0;
}

static void probe_hands_its_state_on(void **state)
{
	struct rig *old = created("probe", "Probe", NONE), *new = created("probe", "Probe", NONE);

	(void)state;
	assert_int_equal(take_snapshot(old), 0); /* of an instance that has nothing */
	assert_int_equal(new->class->restore(new->self, &new->call, &old->unpacked.data), 0);
	expect(new, "get", NONE, "nil");
	expect(new, "list", NONE, "[]");
	expect(old, "set", ARGS(POS(text("kept"))), "nil");
	expect(old, "count", NONE, "1");
	expect(old, "append", ARGS(POS(integer(1))), "1");
	expect(old, "append", ARGS(POS(text("two"))), "2");
	assert_int_equal(take_snapshot(old), 0);
	assert_int_equal(new->class->restore(new->self, &new->call, &old->unpacked.data), 0);
	rig_free(old);
	expect(new, "get", NONE, "\"kept\"");
	expect(new, "count", NONE, "2");
	expect(new, "append", ARGS(POS(integer(3))), "3");
	expect(new, "list", NONE, "[1, \"two\", 3]");
	const msgpack_object wrong = integer(1);
	assert_int_not_equal(new->class->restore(new->self, &new->call, &wrong), 0);
	expect_error(new, "FAILED", "the state is not");
	rig_free(new);
}

static void probe_refuses_to_hand_its_state_on(void **state)
{
	struct rig *rig = created("probe", "Probe", ARGS(KEY({text("snapshot_fail"), yes()})));

	(void)state;
	assert_int_not_equal(take_snapshot(rig), 0);
	expect_error(rig, "FAILED", "snapshot_fail");
	rig_free(rig);
	expect_no_instance("probe", "Probe", ARGS(KEY({text("snapshot_fail"), integer(1)})), "BAD_ARGUMENT", "true or false");
}

/* ---- probe: what it is told of clients ---- */

static void probe_is_leased(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	expect(rig, "leases", NONE, "{\"leased\"=>0, \"released\"=>0, \"session\"=>0}");
	assert_int_equal(rig->class->leased(rig->self, &rig->call), 0);
	expect(rig, "leases", NONE, "{\"leased\"=>1, \"released\"=>0, \"session\"=>77}");
	rig->class->released(rig->self, &rig->call);
	rig->call.session = 78;
	assert_int_equal(rig->class->leased(rig->self, &rig->call), 0);
	expect(rig, "leases", NONE, "{\"leased\"=>2, \"released\"=>1, \"session\"=>78}");
	rig->call.session = 79;
	rig->class->released(rig->self, &rig->call);
	expect(rig, "leases", NONE, "{\"leased\"=>2, \"released\"=>2, \"session\"=>79}");
	rig_free(rig);
}

static void probe_refuses_a_lease(void **state)
{
	struct rig *rig = created("probe", "Probe", ARGS(KEY({text("lease_fail"), text("not today, 100%s")})));

	(void)state;
	assert_int_not_equal(rig->class->leased(rig->self, &rig->call), 0);
	expect_error(rig, "FAILED", "not today, 100%s");
	expect(rig, "leases", NONE, "{\"leased\"=>0, \"released\"=>0, \"session\"=>0}");
	rig_free(rig);
	expect_no_instance("probe", "Probe", ARGS(KEY({text("lease_fail"), integer(1)})), "BAD_ARGUMENT", "lease_fail must");
}

static void probe_remembers_ended_sessions(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	expect(rig, "ended", NONE, "[]");
	rig->class->session_end(rig->self, &rig->call, 5);
	rig->class->session_end(rig->self, &rig->call, UINT64_MAX);
	rig->class->session_end(rig->self, &rig->call, 6);
	expect(rig, "ended", NONE, "[5, 18446744073709551615, 6]");
	rig_free(rig);
}

static void probe_signs_when_destroyed(void **state)
{
	char path[] = "/tmp/objpool-test-XXXXXX", lines[64] = "";
	const int fd = mkstemp(path);
	const struct objpool_args args = ARGS(KEY({text("destroy_file"), text(path)}));
	struct rig *one = created("probe", "Probe", args), *other = rig_new("probe", "Probe");

	(void)state;
	other->place.slot = 12;
	other->place.generation = 6000000000;
	assert_int_equal(create(other, args), 0);
	other->place.generation = 1; /* an instance keeps what it needs: places are borrowed */
	assert_int_equal(read(fd, lines, sizeof lines), 0);
	rig_free(other);
	rig_free(one);
	assert_int_equal(read(fd, lines, sizeof lines - 1), 18);
	assert_string_equal(lines, "12 6000000000\n3 5\n");
	(void)close(fd);
	(void)unlink(path);
}

static long resident_pages(void)
{
	long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	(void)fclose(file);
	return resident;
}

static void probe_allocates(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	const long before = resident_pages();

	(void)state;
	expect(rig, "allocate", ARGS(POS(integer(32 << 20))), "33554432");
	assert_true(resident_pages() - before > 7000);
	expect(rig, "allocate", ARGS(POS(integer(0))), "0");
	expect(rig, "free", NONE, "33554432");
	expect(rig, "free", NONE, "0");
	expect_failure(rig, "allocate", ARGS(POS(integer(1LL << 40))), "BAD_ARGUMENT", "bytes must be");
	expect(rig, "allocate", ARGS(POS(integer(100))), "100"); /* left for destroy */
	rig_free(rig);
}

/* ---- probe: failures ---- */

static void probe_fails(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	expect_failure(rig, "fail", NONE, "FAILED", "failed");
	assert_string_equal(rig->type, "ProbeError");
	assert_string_equal(rig->traceback, "");
	expect_failure(rig, "fail", ARGS(POS(text("why"), text("KeyError")), KEY({text("data"), bytes("raw")},
				      {text("traceback"), text("line 1")})), "FAILED", "why");
	assert_string_equal(rig->message, "why");
	assert_string_equal(rig->type, "KeyError");
	assert_string_equal(rig->traceback, "line 1");
	assert_int_equal(rig->data_size, 3);
	assert_memory_equal(rig->data, "raw", 3);
	expect_failure(rig, "fail", ARGS(POS(integer(1))), "BAD_ARGUMENT", "message must be");
	rig_free(rig);
}

static void expect_written(struct rig *rig, const char *kind, const char *written, size_t size)
{
	assert_int_equal(run(rig, "garbage", ARGS(POS(text(kind)))), 0);
	assert_int_equal(rig->out.size, size);
	assert_memory_equal(rig->out.data, written, size);
}

static void probe_writes_garbage(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);
	char deep[34];

	(void)state;
	memset(deep, '\x91', 33);
	deep[33] = '\xc0';
	expect_written(rig, "two", "\x01\x02", 2);
	expect_written(rig, "half", "\x92\x01", 2);
	expect_written(rig, "text", "\xaashort", 6);
	expect_written(rig, "invalid", "\xc1", 1);
	expect_written(rig, "deep", deep, sizeof deep);
	expect_failure(rig, "garbage", ARGS(POS(text("nice"))), "BAD_ARGUMENT", "kind must be");
	rig_free(rig);
}

static void probe_dies(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	assert_killed(ends(rig, "crash", NONE), SIGSEGV);
	assert_killed(ends(rig, "crash", ARGS(POS(integer(SIGTERM)))), SIGTERM);
	assert_killed(ends(rig, "crash", ARGS(KEY({text("signal"), integer(SIGKILL)}))), SIGKILL);
	assert_killed(ends(rig, "abort", NONE), SIGABRT);
	assert_exited(ends(rig, "exit", NONE), 0);
	assert_exited(ends(rig, "exit", ARGS(POS(integer(7)))), 7);
	expect_failure(rig, "crash", ARGS(POS(integer(SIGCHLD))), "FAILED", "does not kill");
	expect_failure(rig, "crash", ARGS(POS(integer(0))), "BAD_ARGUMENT", "signal must be");
	expect_failure(rig, "exit", ARGS(POS(integer(256))), "BAD_ARGUMENT", "status must be");
	rig_free(rig);
}

/* Exit status 1 + the lowest descriptor, of 0 to 20, that is open after the call; 0: none is. */
static int lowest_open_after(struct rig *rig, const char *name)
{
	(void)fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		for (int fd = 0; fd <= 20; fd++)
			if (fcntl(fd, F_GETFD) < 0)
				(void)open("/dev/null", O_RDONLY);
		if (run(rig, name, NONE) != 0)
			_exit(99);
		int fd = 0;
		while (fd <= 20 && fcntl(fd, F_GETFD) < 0)
			fd++;
		if (fd == 0) /* all three must have been left, and all others be gone */
			while (fd <= 20 && (fcntl(fd, F_GETFD) >= 0) == (fd < 3))
				fd++;
		_exit(fd);
	}
	return status_of(child);
}

static void probe_closes_descriptors(void **state)
{
	struct rig *rig = created("probe", "Probe", NONE);

	(void)state;
	assert_exited(lowest_open_after(rig, "close_fds"), 21); /* 0 to 2 open, 3 to 20 not */
	assert_exited(lowest_open_after(rig, "close_std"), 3);
	rig_free(rig);
}

/* ---- probe: the constructor and preload ---- */

static void probe_fails_to_construct(void **state)
{
	msgpack_object other[] = {integer(0), integer(1)}, ours[] = {integer(1), integer(3)};

	(void)state;
	expect_no_instance("probe", "Probe", ARGS(KEY({text("fail"), text("no licence")})), "FAILED", "no licence");
	expect_no_instance("probe", "Probe", ARGS(KEY({text("fail"), text("x")}, {text("fail_slots"), array(ours, 2)})),
			   "FAILED", "x");
	rig_free(created("probe", "Probe", ARGS(KEY({text("fail"), text("x")}, {text("fail_slots"), array(other, 2)}))));
	expect_no_instance("probe", "Probe", ARGS(KEY({text("fail_slots"), integer(1)})), "BAD_ARGUMENT", "fail_slots");
	expect_no_instance("probe", "Probe", ARGS(KEY({text("fial"), text("x")})), "BAD_ARGUMENT", "\"fial\"");
	expect_no_instance("probe", "Probe", ARGS(POS(integer(1))), "BAD_ARGUMENT", "at most 0");
	assert_killed(ends_in_create(ARGS(KEY({text("crash"), yes()}))), SIGSEGV);
	assert_killed(ends_in_create(ARGS(KEY({text("crash"), integer(SIGTERM)}))), SIGTERM);
	assert_exited(ends_in_create(ARGS(KEY({text("exit"), integer(3)}))), 3);
	assert_exited(ends_in_create(ARGS(KEY({text("exit"), integer(3)}, {text("fail_slots"), array(other, 2)}))), 99);
	const double begin = seconds_now();
	rig_free(created("probe", "Probe", ARGS(KEY({text("sleep"), real(0.03)}))));
	assert_true(seconds_now() - begin >= 0.03);
}

static void probe_fails_so_often(void **state)
{
	char path[] = "/tmp/objpool-test-XXXXXX";
	const int fd = mkstemp(path);
	const struct objpool_args args = ARGS(KEY({text("fail"), text("x")}, {text("fail_times_file"), text(path)}));

	(void)state;
	assert_int_equal(write(fd, "2\n", 2), 2);
	expect_no_instance("probe", "Probe", args, "FAILED", "x");
	expect_no_instance("probe", "Probe", args, "FAILED", "x");
	rig_free(created("probe", "Probe", args));
	(void)close(fd);
	(void)unlink(path);
}

static void probe_preloads(void **state)
{
	struct rig *rig = rig_new("probe", "Probe");
	const struct objpool_args refuse = ARGS(KEY({text("preload_fail"), text("no model")}));
	const struct objpool_args take = ARGS(KEY({text("preload_bytes"), integer(100000)}));

	(void)state;
	assert_int_not_equal(rig->class->preload(&rig->call, &refuse), 0);
	expect_error(rig, "FAILED", "no model");
	assert_int_equal(rig->class->preload(&rig->call, &take), 0);
	assert_int_equal(create(rig, take), 0);
	expect(rig, "preloaded", NONE, "100000");
	rig_free(rig);
}

/* ---- Echo ---- */

static void echo_dispatches(void **state)
{
	struct rig *rig = created("probe", "Echo", NONE);

	(void)state;
	assert_null(rig->self);
	expect(rig, "upper", ARGS(POS(text("aBc1"))), "\"ABC1\"");
	expect(rig, "lower", ARGS(POS(text("aBc1"))), "\"abc1\"");
	expect(rig, "reverse", ARGS(POS(text(""))), "\"\"");
	const msgpack_object *reversed = result(rig, "reverse", ARGS(POS(text("a\xc3\xa9\xe2\x82\xac"))));
	assert_memory_equal(reversed->via.str.ptr, "\xe2\x82\xac\xc3\xa9" "a", 6);
	expect_failure(rig, "nope", NONE, "NO_SUCH_METHOD", "nope");
	expect_failure(rig, "upper", ARGS(POS(integer(1))), "BAD_ARGUMENT", "upper takes one string");
	expect_failure(rig, "upper", NONE, "BAD_ARGUMENT", "upper takes one string");
	rig_free(rig);
	expect_no_instance("probe", "Echo", ARGS(POS(integer(1))), "BAD_ARGUMENT", "no arguments");
}

/* And it has what it lists. */
static void echo_lists_its_methods(void **state)
{
	struct rig *rig = created("probe", "Echo", NONE), *caller = created("probe", "Echo", NONE);
	msgpack_packer packer;
	size_t used = 0;
	char name[32];

	(void)state;
	msgpack_packer_init(&packer, &rig->out, msgpack_sbuffer_write);
	assert_int_equal(rig->class->list_methods(&rig->call, &packer), 0);
	assert_int_equal(msgpack_unpack_next(&rig->unpacked, rig->out.data, rig->out.size, &used), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(used, rig->out.size);
	assert_int_equal(rig->unpacked.data.via.array.size, 3);
	for (uint32_t i = 0; i < 3; i++) {
		const msgpack_object_map *entry = &rig->unpacked.data.via.array.ptr[i].via.map;
		assert_int_equal(entry->size, 3);
		snprintf(name, sizeof name, "%.*s", (int)entry->ptr[0].val.via.str.size, entry->ptr[0].val.via.str.ptr);
		assert_int_equal(run(caller, name, ARGS(POS(text("x")))), 0);
	}
	rig_free(rig);
	rig_free(caller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exports_are_complete),
		cmocka_unit_test(spell_checks_words),
		cmocka_unit_test(spell_suggests),
		cmocka_unit_test(spell_checks_texts),
		cmocka_unit_test(spell_finds_what_is_wrong_in_the_sample),
		cmocka_unit_test(spell_learns_words),
		cmocka_unit_test(spell_refuses_bad_constructors),
		cmocka_unit_test(spell_converts_encodings),
		cmocka_unit_test(spell_takes_over_what_is_preloaded),
		cmocka_unit_test(sampler_repeats_a_seed),
		cmocka_unit_test(sampler_differs_without_a_seed),
		cmocka_unit_test(sampler_is_normal),
		cmocka_unit_test(sampler_checks_arguments),
		cmocka_unit_test(sampler_keeps_a_property),
		cmocka_unit_test(probe_echoes),
		cmocka_unit_test(probe_adds),
		cmocka_unit_test(probe_tells_about_the_call),
		cmocka_unit_test(probe_makes_blobs),
		cmocka_unit_test(probe_prints),
		cmocka_unit_test(probe_sleeps),
		cmocka_unit_test(probe_tells_its_progress),
		cmocka_unit_test(probe_keeps_values),
		cmocka_unit_test(probe_counts_and_lists),
		cmocka_unit_test(probe_hands_its_state_on),
		cmocka_unit_test(probe_refuses_to_hand_its_state_on),
		cmocka_unit_test(probe_is_leased),
		cmocka_unit_test(probe_refuses_a_lease),
		cmocka_unit_test(probe_remembers_ended_sessions),
		cmocka_unit_test(probe_signs_when_destroyed),
		cmocka_unit_test(probe_allocates),
		cmocka_unit_test(probe_fails),
		cmocka_unit_test(probe_writes_garbage),
		cmocka_unit_test(probe_dies),
		cmocka_unit_test(probe_closes_descriptors),
		cmocka_unit_test(probe_fails_to_construct),
		cmocka_unit_test(probe_fails_so_often),
		cmocka_unit_test(probe_preloads),
		cmocka_unit_test(echo_dispatches),
		cmocka_unit_test(echo_lists_its_methods),
	};
	return cmocka_run_group_tests_name("plugins", tests, NULL, NULL);
}
