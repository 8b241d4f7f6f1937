/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock words. One compare-and-swap takes a word and says who has it, so there is no moment at which a process that is killed
 * holds it unrecorded.
 *
 *   0  --take-->  holder  --another waits-->  holder|WAITED  --release: wakes one-->  0
 *   dead holder  --take-->  new holder|ABANDONED|WAITED
 */
#include "client/python/sync/sync.h"

enum { SPINS = 60 };

static inline bool swap(struct word *word, uint64_t *seen, uint64_t value)
{
	return atomic_compare_exchange_strong(&word->value, seen, value);
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* The half of the word that has the pid and the flags. */
static const uint32_t *futex_of(struct word *word)
{
	const uint32_t *halves = (const uint32_t *)(const void *)&word->value;

	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? halves : halves + 1;
}

/* `seen` is the word as it was last seen. */
static bool take_over(struct word *word, uint64_t seen, bool foreign)
{
	if (foreign || !seen || !identity_is_dead(IDENTITY(seen)))
		return false;
	return swap(word, &seen, identity_self() | ABANDONED | WAITED);
}

static bool spin(struct word *word)
{
	for (int i = 0; i < SPINS; i++) {
		uint64_t seen = atomic_load_explicit(&word->value, memory_order_relaxed);
		if (!seen && swap(word, &seen, identity_self()))
			return true;
		pause_briefly();
	}
	return false;
}

static enum taken await(struct word *word, int64_t deadline, bool foreign)
{
	struct patience patience = patience_begin();

	for (;;) {
		uint64_t seen = atomic_load(&word->value);
		if (!seen) {
			/* Others may be waiting, too: the release wakes one of them. */
			if (swap(word, &seen, identity_self() | WAITED))
				return TAKEN;
			continue;
		}
		if (!(seen & WAITED)) {
			if (!swap(word, &seen, seen | WAITED))
				continue;
			seen |= WAITED;
		}
		const int look = patience_sleep(&patience, futex_of(word), (uint32_t)seen, deadline);
		if (look < 0)
			return FAILED;
		if (look && take_over(word, atomic_load(&word->value), foreign))
			return TAKEN_OVER;
		if (deadline != NEVER && now_ns() >= deadline)
			return take_over(word, atomic_load(&word->value), foreign) ? TAKEN_OVER : spin(word) ? TAKEN : NOT_TAKEN;
	}
}

enum taken word_take_slowly(struct word *word, int64_t deadline, bool foreign)
{
	if (deadline == 0)
		return take_over(word, atomic_load(&word->value), foreign) ? TAKEN_OVER : NOT_TAKEN;
	return spin(word) ? TAKEN : await(word, deadline, foreign);
}

void word_wake(struct word *word)
{
	(void)futex_wake(futex_of(word), 1);
}
