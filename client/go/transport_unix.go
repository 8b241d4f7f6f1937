// SPDX-License-Identifier: Apache-2.0

//go:build unix

package objpool

import (
	"net"
	"syscall"
)

// A rawTransport is a socket of which system calls may be made without waiting. One goroutine writes at a time.
type rawTransport struct {
	plainTransport
	raw syscall.RawConn

	batch []byte // of the write under way
	n     int
	err   error
	write func(fd uintptr) bool
}

// newTransport makes the best transport of a socket.
func newTransport(conn net.Conn) transport {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return plainTransport{conn}
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return plainTransport{conn}
	}
	t := &rawTransport{plainTransport: plainTransport{conn}, raw: raw}
	t.write = func(fd uintptr) bool {
		t.n, t.err = syscall.Write(int(fd), t.batch)
		return true
	}
	return withFiles(t)
}

func (t *rawTransport) canInterrupt() bool { return true }

func (t *rawTransport) tryWrite(b []byte) (int, error) {
	t.batch = b
	err := t.raw.Write(t.write)
	t.batch = nil
	switch {
	case err != nil:
		return 0, err
	case t.err == syscall.EAGAIN || t.err == syscall.EINTR:
		return 0, nil
	case t.err != nil:
		return 0, t.err
	}
	return t.n, nil
}
