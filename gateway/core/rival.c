/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/rival.h"

#define AS_OLD     (500 * MILLISECOND) /* ages that differ by less are the same: messages take time */
#define COUNT_ANEW (2 * SECOND)      /* after such a pause its beats are counted anew */

/* Notes the beat. False: there is nothing to decide. */
static bool note(struct rival *rival, uint64_t now, const struct beat *beat)
{
	if (beat->bye) {
		rival->refuses = now;
		rival->incarnation = rival->incarnation == beat->incarnation ? 0 : rival->incarnation;
		return false;
	}
	if (rival->incarnation != beat->incarnation || now - rival->heard > COUNT_ANEW)
		*rival = (struct rival){.incarnation = beat->incarnation, .heard = rival->heard, .refuses = rival->refuses};
	if (beat->number <= rival->beat)
		return false;
	rival->beat = beat->number;
	rival->heard = now;
	return ++rival->beats >= 2;
}

static bool is_older(const struct gateway *gateway, const struct beat *beat)
{
	const uint64_t own_age = gateway->now - gateway->started,
		       age = beat->age > UINT64_MAX / SECOND ? UINT64_MAX : beat->age * MILLISECOND;
	const bool as_old = age + AS_OLD > own_age && own_age + AS_OLD > age;

	return as_old ? beat->incarnation < gateway->incarnation : age > own_age;
}

bool rival_on_beat(struct rival *rival, const struct gateway *gateway, const struct beat *beat)
{
	if (!note(rival, gateway->now, beat))
		return false;
	return gateway->state == GATEWAY_LISTENING || (gateway->state == GATEWAY_SERVING && is_older(gateway, beat));
}
