/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler: class Sampler, a source of normally distributed numbers, with a property that clients set.
 *
 * Each instance has a generator of its own, so its next number depends on the calls before. Without a seed each instance gets one
 * from the kernel: slots differ, and so do the generations of one slot. With a seed the sequence is always the same: give each
 * slot another seed with slot_kwargs.
 *
 * The generator is xoshiro256++ 1.0 by David Blackman and Sebastiano Vigna, who placed it in the public domain
 * (https://prng.di.unimi.it/xoshiro256plusplus.c), its state filled by their splitmix64
 * (https://prng.di.unimi.it/splitmix64.c). Normal numbers come from Marsaglia's polar method (G. Marsaglia and
 * T. A. Bray, A convenient method for generating normal variables, SIAM Review 6, 1964).
 */
#include <objpool/plugin.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SAMPLE_MAX = 1 << 24, CANCEL_EVERY = 4096 };

/* A number as msgpack has them: an integer from -2^63 to 2^64 - 1, or a float. */
struct number {
	bool is_float, is_negative;
	uint64_t integer; /* a negative one as its two's complement */
	double real;
};

struct sampler {
	double mean, std;
	uint64_t state[4];
	double spare; /* the polar method makes two numbers at a time */
	bool has_spare;
	struct number property;
};

/* ---- the generator ---- */

static uint64_t splitmix64(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static uint64_t xoshiro256pp(uint64_t s[4])
{
	const uint64_t result = rotate(s[0] + s[3], 23) + s[0];
	const uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

/* Evenly distributed in [-1, 1), on 53 bits. */
static double next_even(struct sampler *sampler)
{
	return (double)(xoshiro256pp(sampler->state) >> 11) * 0x1p-52 - 1;
}

/* Normally distributed, mean 0 and standard deviation 1. */
static double next_normal(struct sampler *sampler)
{
	double u, v, s;

	if (sampler->has_spare) {
		sampler->has_spare = false;
		return sampler->spare;
	}
	do {
		u = next_even(sampler);
		v = next_even(sampler);
		s = u * u + v * v;
	} while (s >= 1 || s == 0);
	const double scale = sqrt(-2 * log(s) / s);
	sampler->spare = v * scale;
	sampler->has_spare = true;
	return u * scale;
}

static int seed_from_kernel(uint64_t *seed)
{
	ssize_t n;
	do {
		n = getrandom(seed, sizeof *seed, 0);
	} while (n < 0 && errno == EINTR);
	return n == sizeof *seed ? 0 : -EIO;
}

/* ---- numbers ---- */

static int want_number(struct objpool_call *call, const char *name, const msgpack_object *value, struct number *number)
{
	*number = (struct number){0};
	if (value && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
		number->integer = value->via.u64;
	} else if (value && value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
		number->is_negative = true;
		number->integer = (uint64_t)value->via.i64;
	} else if (value && (value->type == MSGPACK_OBJECT_FLOAT64 || value->type == MSGPACK_OBJECT_FLOAT32)) {
		number->is_float = true;
		number->real = value->via.f64;
	} else {
		return objpool_bad_argument(call, "%s must be a number", name);
	}
	return 0;
}

static double real_of(const struct number *number)
{
	if (number->is_float)
		return number->real;
	return number->is_negative ? (double)(int64_t)number->integer : (double)number->integer;
}

/* Of two integers. False: msgpack has no room for it. */
static bool add(const struct number *a, const struct number *b, struct number *sum)
{
	*sum = (struct number){.integer = a->integer + b->integer};
	if (a->is_negative != b->is_negative) { /* negative if the positive one is less than the other's absolute value */
		sum->is_negative = (a->is_negative ? b : a)->integer < -(a->is_negative ? a : b)->integer;
		return true;
	}
	sum->is_negative = a->is_negative;
	return a->is_negative ? (int64_t)sum->integer < 0 : sum->integer >= a->integer;
}

/* Integers stay integers while msgpack has room for them. */
static struct number sum_of(const struct number *a, const struct number *b)
{
	struct number sum;

	if (!a->is_float && !b->is_float && add(a, b, &sum))
		return sum;
	return (struct number){.is_float = true, .real = real_of(a) + real_of(b)};
}

static void put_number(msgpack_packer *packer, const struct number *number)
{
	if (number->is_float)
		msgpack_pack_double(packer, number->real);
	else if (number->is_negative)
		msgpack_pack_int64(packer, (int64_t)number->integer);
	else
		msgpack_pack_uint64(packer, number->integer);
}

/* ---- arguments ---- */

static int take_number(struct objpool_call *call, const struct objpool_args *args, const char *name,
		       struct number *number)
{
	const char *const names[] = {name, NULL};
	const msgpack_object *value = NULL;
	return objpool_take(call, args, names, 1, &value) < 0 ? -1 : want_number(call, name, value, number);
}

/* Reads a finite number. *real stays as it is if there is no value. */
static int want_real(struct objpool_call *call, const char *name, const msgpack_object *value, double *real)
{
	struct number number;

	if (!value)
		return 0;
	if (want_number(call, name, value, &number) < 0)
		return -1;
	*real = real_of(&number);
	return isfinite(*real) ? 0 : objpool_bad_argument(call, "%s must be finite", name);
}

static int want_seed(struct objpool_call *call, const msgpack_object *value, uint64_t *seed)
{
	struct number number;

	if (!value)
		return seed_from_kernel(seed) < 0 ? objpool_fail(call, "OSError", "the kernel gave no random seed") : 0;
	if (want_number(call, "seed", value, &number) < 0)
		return -1;
	*seed = (uint64_t)number.integer;
	return number.is_float ? objpool_bad_argument(call, "seed must be an integer") : 0;
}

/* ---- life ---- */

static int read_settings(struct objpool_call *call, const struct objpool_args *args, struct sampler *sampler)
{
	static const char *const names[] = {"mean", "std", "seed", NULL};
	const msgpack_object *values[3] = {NULL};
	uint64_t seed;

	if (objpool_take(call, args, names, 2, values) < 0 || want_real(call, "mean", values[0], &sampler->mean) < 0 ||
	    want_real(call, "std", values[1], &sampler->std) < 0 || want_seed(call, values[2], &seed) < 0)
		return -1;
	if (sampler->std < 0)
		return objpool_bad_argument(call, "std must not be negative");
	for (int i = 0; i < 4; i++)
		sampler->state[i] = splitmix64(&seed);
	return 0;
}

static int sampler_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	struct sampler *sampler = malloc(sizeof *sampler);

	if (!sampler)
		return objpool_fail(call, "MemoryError", "out of memory");
	*sampler = (struct sampler){.std = 1};
	if (read_settings(call, args, sampler) < 0) {
		free(sampler);
		return -1;
	}
	*self = sampler;
	return 0;
}

static int sampler_check(struct objpool_call *call, const struct objpool_args *args)
{
	struct sampler unused = {.std = 1};

	return read_settings(call, args, &unused);
}

static void sampler_destroy(void *self)
{
	free(self);
}

/* ---- methods ---- */

static double next_sample(struct sampler *sampler)
{
	return sampler->mean + sampler->std * next_normal(sampler);
}

static int put_samples(struct sampler *sampler, struct objpool_call *call, uint32_t size, msgpack_packer *result)
{
	msgpack_pack_array(result, size);
	for (uint32_t i = 0; i < size; i++) {
		if (i % CANCEL_EVERY == 0 && objpool_cancelled(call))
			return objpool_fail(call, "Cancelled", "cancelled after %u of %u samples", i, size);
		msgpack_pack_double(result, next_sample(sampler));
	}
	return 0;
}

static int get_normal_sample(void *self, struct objpool_call *call, const struct objpool_args *args,
			     msgpack_packer *result)
{
	static const char *const names[] = {"size", NULL};
	const msgpack_object *size = NULL;

	if (objpool_take(call, args, names, 1, &size) < 0)
		return -1;
	if (!size) {
		msgpack_pack_double(result, next_sample(self));
		return 0;
	}
	if (size->type != MSGPACK_OBJECT_POSITIVE_INTEGER || size->via.u64 > SAMPLE_MAX)
		return objpool_bad_argument(call, "size must be an integer from 0 to %d", SAMPLE_MAX);
	return put_samples(self, call, (uint32_t)size->via.u64, result);
}

static int set_property(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct sampler *sampler = self;
	struct number value;

	(void)result; /* a method that writes nothing answers nil */
	if (take_number(call, args, "value", &value) < 0)
		return -1;
	sampler->property = value;
	return 0;
}

static int get_property(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	const struct sampler *sampler = self;

	(void)call;
	(void)args;
	put_number(result, &sampler->property);
	return 0;
}

static int add_and_get_property(void *self, struct objpool_call *call, const struct objpool_args *args,
				msgpack_packer *result)
{
	struct sampler *sampler = self;
	struct number x;

	if (take_number(call, args, "x", &x) < 0)
		return -1;
	sampler->property = sum_of(&sampler->property, &x);
	put_number(result, &sampler->property);
	return 0;
}

/* ---- what the plugin exports ---- */

static const struct objpool_method methods[] = {
	{.name = "get_normal_sample", .signature = "(size: int[0, 16777216] | None = None) -> float | list[float]",
	 .doc = "One normally distributed number, or an array of `size`.",
	 .flags = OBJPOOL_METHOD_KWARGS, .call = get_normal_sample, .max_args = 1},
	{.name = "set_property", .signature = "(value: int | float) -> None", .doc = "Sets the property, which is 0 at first.",
	 .flags = OBJPOOL_METHOD_KWARGS, .call = set_property, .max_args = 1},
	{.name = "get_property", .signature = "() -> int | float", .doc = "The property.",
	 .flags = OBJPOOL_METHOD_READONLY, .call = get_property},
	{.name = "add_and_get_property", .signature = "(x: int | float) -> int | float",
	 .doc = "Adds x to the property and returns it. Integers stay integers unless the sum is too large for msgpack's.",
	 .flags = OBJPOOL_METHOD_KWARGS, .call = add_and_get_property, .max_args = 1},
	{.name = NULL},
};

static const struct objpool_class sampler_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Sampler",
	.doc = "Normally distributed random numbers.",
	.signature = "(mean: float = 0.0, std: float = 1.0, *, seed: int | None = None)",
	.create = sampler_create,
	.check = sampler_check,
	.destroy = sampler_destroy,
	.methods = methods,
};

static const struct objpool_class *const classes[] = {&sampler_class, NULL};

const struct objpool_plugin objpool_plugin = {
	OBJPOOL_PLUGIN_HEAD,
	.name = "sampler",
	.version = "1.0",
	.classes = classes,
};
