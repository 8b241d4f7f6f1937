// SPDX-License-Identifier: Apache-2.0

package objpool

const memfdCreate = 279
