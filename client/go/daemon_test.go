// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

const deadline = 20 * time.Second

// buildFolder is where the daemon was built: $OBJPOOL_BUILD, relative to the checkout.
func buildFolder() string {
	build := os.Getenv("OBJPOOL_BUILD")
	if build == "" {
		build = "build"
	}
	if !filepath.IsAbs(build) {
		build = filepath.Join("..", "..", build)
	}
	absolute, err := filepath.Abs(build)
	if err != nil {
		panic(err)
	}
	return absolute
}

// A server is a daemon of a test's own.
type server struct {
	t       testing.TB
	folder  string
	address string
	process *exec.Cmd
	log     *logBuffer
	extra   string
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// An exampleServer is the daemon that the examples find at $OBJPOOL_ADDRESS.
type exampleServer struct {
	server
	holder *holder
}

// A holder stands for a test where there is none.
type holder struct {
	testing.TB
	cleanups []func()
}

func (h *holder) Helper() {}

func (h *holder) Cleanup(f func()) { h.cleanups = append(h.cleanups, f) }

func (h *holder) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (h *holder) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (s *exampleServer) start() {
	s.holder = &holder{}
	s.server = *start(s.holder, "", "[pool dice]\nplugin = sampler\nclass = Sampler\nworkers = 2\n")
	if err := os.Setenv("OBJPOOL_ADDRESS", s.address); err != nil {
		panic(err)
	}
}

func (s *exampleServer) stop() {
	for i := len(s.holder.cleanups) - 1; i >= 0; i-- {
		s.holder.cleanups[i]()
	}
}

const usualPools = "[pool p]\nplugin = probe\nclass = Probe\nworkers = 2\n"

// start starts a daemon with these lines in [daemon], and these other sections.
func start(t testing.TB, daemonLines, sections string) *server {
	t.Helper()
	folder, err := os.MkdirTemp("", "objpool-go") // t.TempDir is too long a name for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, folder: folder, address: "unix:" + filepath.Join(folder, "s"), extra: daemonLines}
	t.Cleanup(func() {
		s.kill()
		_ = os.RemoveAll(folder)
	})
	config := fmt.Sprintf("[daemon]\nlisten = %s\nlisten = tcp:127.0.0.1:0\nplugin_dir = %s\nlog_level = info\n%s\n%s",
		s.address, filepath.Join(buildFolder(), "plugins"), daemonLines, sections)
	if err := os.WriteFile(s.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	return s
}

func (s *server) config() string { return filepath.Join(s.folder, "objpoold.conf") }

// run runs the daemon, and waits until it is ready.
func (s *server) run() {
	s.t.Helper()
	notify := filepath.Join(s.folder, "notify")
	_ = os.Remove(notify)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = socket.Close() })
	s.log = &logBuffer{}
	s.process = exec.Command(filepath.Join(buildFolder(), "objpoold"), "--config", s.config())
	s.process.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
	s.process.Stderr, s.process.Stdout = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("%v: build the daemon first (make), or say where it is with OBJPOOL_BUILD", err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		s.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		n, err := socket.Read(buffer)
		if err != nil {
			s.t.Fatalf("the daemon is not ready: %v\n%s", err, s.log)
		}
		if strings.Contains(string(buffer[:n]), "READY=1") {
			return
		}
	}
}

func (s *server) kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
	s.process = nil
}

// listening is the address of the given kind that the daemon has bound.
func (s *server) listening(kind string) string {
	s.t.Helper()
	found := regexp.MustCompile("listening on (" + kind + `:[^\s]+)`).FindStringSubmatch(s.log.String())
	if found == nil {
		s.t.Fatalf("the log names no %s address:\n%s", kind, s.log)
	}
	return found[1]
}

// client connects to the daemon.
func (s *server) client(config objpool.Config) *objpool.Client {
	s.t.Helper()
	if config.Address == "" {
		config.Address = s.address
	}
	client, err := config.Connect(soon(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// soon is a context that ends when the test has hung.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// pool is a pool `p` of two Probes, of a daemon of the test's own.
func pool(t testing.TB) objpool.Target {
	t.Helper()
	return start(t, "", usualPools).client(objpool.Config{}).Pool("p")
}

// must is the value of a call that has not failed.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// asError is the *objpool.Error that an error is.
func asError(t testing.TB, err error) *objpool.Error {
	t.Helper()
	e, ok := err.(*objpool.Error)
	if !ok {
		t.Fatalf("%v (%T) is no *objpool.Error", err, err)
	}
	return e
}

func equal(t testing.TB, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
		t.Fatalf("got %s, want %s", g, w)
	}
}
