// SPDX-License-Identifier: Apache-2.0

//go:build unix

package objpool

import (
	"os"
	"syscall"
)

// openToOthers reports whether others may read a token. A group may read a file of root's: so a service gets what it may know.
func openToOthers(info os.FileInfo) bool {
	mask := os.FileMode(0o077)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid == 0 {
		mask = 0o007
	}
	return info.Mode().Perm()&mask != 0
}
