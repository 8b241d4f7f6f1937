// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package objpool

// Here large values go through the socket.

type (
	fileStore struct{}
	sentFile  struct{}
	fileMark  struct {
		at    int
		files []*sentFile
	}
	arrivals struct{ on bool }
)

const hasFiles = false

func (s *fileStore) filled(int, [][]byte) *sentFile { return nil }

func (f *sentFile) close() {}

func closeMarks([]fileMark) {}

func (a *arrivals) replace(msg []byte, _ []int, _ int) ([]byte, []uint64, error) {
	return msg, nil, nil
}

func (a *arrivals) close() {}

func (a *arrivals) await(int) {}

func (c *conn) expectFiles() {}

func (c *conn) useFiles() {}

func (c *conn) takeSocket(bool) int { return -1 }

func closeSocket(int) {}

func socketOf(int) (transport, error) { return nil, errNoMessage }

func (c *conn) closeWrite() {}
