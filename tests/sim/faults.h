/* SPDX-License-Identifier: Apache-2.0 */
/* faults: makes allocations fail while the core runs. The linker puts these functions in the place of malloc and its kin
 * (tests.mk). */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* From now on, while faults are armed (faults_arm), one of `odds` allocations fails; 0: none does. */
void faults_begin(uint64_t seed, uint32_t odds, bool verbose);

/* No allocation fails any more. */
void faults_end(void);

/* Arms the faults when the core is entered, and disarms them when it is left. Returns whether they were armed. */
bool faults_arm(bool on);

/* How many allocations have failed since faults_begin. */
uint32_t faults_count(void);

#endif
