// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package objpool

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	hasFiles = true

	addSeals    = 1033 // fcntl
	getSeals    = 1034
	sealShrink  = 2
	memfdFlags  = 1 | 2 // close on exec, allow sealing
	oobOfFiles  = 4*maxFiles + 16
	maxFileSize = 1 << 40
)

// ---- what is sent ----

// A sentFile is sealed memory with a value in it.
type sentFile struct{ fd int }

// A fileStore makes files for the values of a connection.
type fileStore struct{}

// filled returns a file with these bytes, so many in all. Nil: there can be none.
func (s *fileStore) filled(size int, parts [][]byte) *sentFile {
	file, at := newFile(size), int64(0)
	for _, part := range parts {
		for file != nil && len(part) > 0 {
			n, err := syscall.Pwrite(file.fd, part, at)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				file.close()
				return nil
			}
			part, at = part[n:], at+int64(n)
		}
	}
	return file
}

// newFile makes a file of that size, which can't shrink.
func newFile(size int) *sentFile {
	name := [...]byte{'o', 'b', 'j', 'p', 'o', 'o', 'l', 0}
	fd, _, errno := syscall.Syscall(memfdCreate, uintptr(unsafe.Pointer(&name[0])), memfdFlags, 0)
	if errno != 0 {
		return nil
	}
	file := &sentFile{int(fd)}
	if syscall.Ftruncate(file.fd, int64(size)) != nil {
		file.close()
		return nil
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, addSeals, sealShrink); errno != 0 {
		file.close()
		return nil
	}
	return file
}

func (f *sentFile) close() { _ = syscall.Close(f.fd) }

// A fileMark says with which byte of what is queued files go.
type fileMark struct {
	at    int
	files []*sentFile
}

func closeMarks(marks []fileMark) {
	for _, mark := range marks {
		for _, file := range mark.files {
			file.close()
		}
	}
}

// ---- the socket ----

// A unixTransport is a Unix socket, over which descriptors go.
type unixTransport struct {
	*rawTransport
	oob  [oobOfFiles]byte
	into []byte
	oobn int
	got  int
	fail error
	read func(fd uintptr) bool
}

func withFiles(t *rawTransport) transport {
	if t.RemoteAddr() == nil || t.RemoteAddr().Network() != "unix" {
		return t
	}
	u := &unixTransport{rawTransport: t}
	u.read = func(fd uintptr) bool {
		u.got, u.oobn, _, _, u.fail = syscall.Recvmsg(int(fd), u.into, u.oob[:], syscall.MSG_CMSG_CLOEXEC)
		return u.fail != syscall.EAGAIN && u.fail != syscall.EINTR
	}
	return u
}

func (u *unixTransport) receive(b []byte, arrived *arrivals) (int, error) {
	if !arrived.on {
		return u.Read(b)
	}
	u.into = b
	err := u.raw.Read(u.read)
	u.into = nil
	if err == nil {
		err = u.fail
	}
	if err != nil {
		return 0, err
	}
	if u.oobn > 0 {
		if err := arrived.add(u.oob[:u.oobn]); err != nil {
			return 0, err
		}
	}
	if u.got == 0 {
		return 0, errClosedByPeer
	}
	return u.got, nil
}

func (u *unixTransport) writeFiles(b []byte, files []*sentFile) (n int, err error) {
	fds := make([]int, len(files))
	for i, file := range files {
		fds[i] = file.fd
	}
	rights := syscall.UnixRights(fds...)
	werr := u.raw.Write(func(fd uintptr) bool {
		n, err = syscall.SendmsgN(int(fd), b, rights, nil, syscall.MSG_NOSIGNAL)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if werr != nil {
		err = werr
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// ---- what comes ----

type arrivedFile struct {
	fd     int
	number uint64
}

// arrivals are the descriptors that have come, until the values come that stand for them. The reader has them.
type arrivals struct {
	on       bool
	mark     atomic.Int64
	count    uint64
	files    []arrivedFile
	sockets  []int
	awaiting atomic.Int32 // requests whose answer comes with a socket
}

// add takes the descriptors of one message.
func (a *arrivals) add(oob []byte) error {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for _, message := range messages {
		fds, err := syscall.ParseUnixRights(&message)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			a.take(fd)
		}
	}
	return nil
}

func (a *arrivals) take(fd int) {
	if isSocket(fd) && len(a.sockets) < int(a.awaiting.Load()) {
		a.sockets = append(a.sockets, fd)
		return
	}
	if isSealed(fd) {
		a.files = append(a.files, arrivedFile{fd, a.count})
	} else {
		_ = syscall.Close(fd)
	}
	a.count++
}

func isSocket(fd int) bool {
	var st syscall.Stat_t
	return syscall.Fstat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFSOCK
}

func isSealed(fd int) bool {
	seals, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), getSeals, 0)
	return errno == 0 && seals&sealShrink != 0
}

// replace puts the bytes of files in the places that stand for them: a new message, and the numbers of the files, to be given
// back. `refs` are where exts lie that may stand for some, counted from `begin` on.
func (a *arrivals) replace(msg []byte, refs []int, begin int) (whole []byte, numbers []uint64, err error) {
	if !a.on {
		return msg, nil, nil
	}
	at := 0
	for _, ref := range refs {
		ref -= begin
		r := readReference(msg[ref:])
		if r.mark != a.mark.Load() {
			continue
		}
		if len(a.files) == 0 {
			return nil, numbers, errors.New("a descriptor is missing")
		}
		file := a.files[0]
		a.files = a.files[1:]
		numbers = append(numbers, file.number)
		whole = r.appendHead(append(whole, msg[at:ref]...))
		if whole, err = appendFile(whole, file.fd, r); err != nil {
			return nil, numbers, err
		}
		at = ref + referenceSize
	}
	if at == 0 {
		return msg, nil, nil
	}
	return append(whole, msg[at:]...), numbers, nil
}

// appendFile reads the bytes of a file, and closes it. No more memory is taken than the file has.
func appendFile(b []byte, fd int, r reference) ([]byte, error) {
	defer func() { _ = syscall.Close(fd) }()
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if r.size < 0 || r.size > maxFileSize || r.offset+int64(r.size) > st.Size {
		return nil, errors.New("a descriptor has fewer bytes than the value")
	}
	at, end := len(b), len(b)+r.size
	if cap(b) < end {
		b = append(make([]byte, 0, end+128), b...)
	}
	b = b[:end]
	for at < end {
		n, err := syscall.Pread(fd, b[at:], r.offset+int64(at-(end-r.size)))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("a descriptor has fewer bytes than the value")
		}
		at += n
	}
	return b, nil
}

// await counts requests whose answer comes with a socket.
func (a *arrivals) await(n int) { a.awaiting.Add(int32(n)) }

// takeSocket takes the socket that came with an answer. -1: none has.
func (c *conn) takeSocket(succeeded bool) int {
	c.arrived.await(-1)
	if !succeeded || len(c.arrived.sockets) == 0 {
		return -1
	}
	fd := c.arrived.sockets[0]
	c.arrived.sockets = c.arrived.sockets[1:]
	return fd
}

func closeSocket(fd int) {
	if fd >= 0 {
		_ = syscall.Close(fd)
	}
}

// socketOf makes a transport of a socket that has come.
func socketOf(fd int) (transport, error) {
	if fd < 0 {
		return nil, errors.New("no socket has come")
	}
	file := os.NewFile(uintptr(fd), "direct channel")
	defer func() { _ = file.Close() }()
	socket, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return newTransport(socket), nil
}

func (c *conn) closeWrite() {
	if t, ok := c.transport.(*unixTransport); ok {
		if socket, ok := t.Conn.(*net.UnixConn); ok {
			_ = socket.CloseWrite() // it fails when the worker has gone
		}
	}
}

// expectFiles has descriptors taken in, where they can come. Called before the connection is started.
func (c *conn) expectFiles() {
	_, c.arrived.on = c.transport.(*unixTransport)
}

// useFiles has large values sent beside the socket, if the daemon has agreed.
func (c *conn) useFiles() {
	if c.arrived.on && c.hello.Fds {
		c.arrived.mark.Store(c.hello.Mark)
		c.files = &fileStore{}
	}
}

// close closes what nobody has taken.
func (a *arrivals) close() {
	for _, file := range a.files {
		_ = syscall.Close(file.fd)
	}
	for _, fd := range a.sockets {
		_ = syscall.Close(fd)
	}
	a.files, a.sockets = nil, nil
}
