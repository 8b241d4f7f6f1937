/* SPDX-License-Identifier: Apache-2.0 */
/* faults: allocations that fail, in the midst of the core. The linker puts these in the place of malloc and its kin
 * (tests.mk). */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* From now on one of `odds` allocations fails while faults are armed (faults_arm); 0: none does. */
void faults_begin(uint64_t seed, uint32_t odds, bool verbose);

/* No allocation fails any more. */
void faults_end(void);

/* The core is entered, or left. Returns what was before. */
bool faults_arm(bool on);

/* How many have failed since faults_begin. */
uint32_t faults_count(void);

#endif
