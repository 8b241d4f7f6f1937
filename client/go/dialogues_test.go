// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

// The dialogues of tests/wire, against a daemon, and against a server that answers from the file, in pieces.
func TestDialogues(t *testing.T) {
	objpool.SetGrace(deadline)
	t.Cleanup(func() { objpool.SetGrace(20 * time.Millisecond) })
	certificates := t.TempDir()
	files, err := filepath.Glob("../../tests/wire/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no dialogues", err)
	}
	t.Run("", func(t *testing.T) { // returns when all have been played
		for _, file := range files {
			if !asks(steps(t, file)) {
				continue
			}
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			playing(t, name+" against a daemon", file, "real_server.py", file)
			if overNetwork[name] {
				ca := filepath.Join(certificates, name+".pem")
				playing(t, name+" over TCP", file, "real_server.py", file, "--tcp")
				playing(t, name+" over TLS", file, "real_server.py", file, "--tls", ca)
			}
			playing(t, name+" in pieces of 1", file, "fake_server.py", file, "--piece", "1")
			playing(t, name+" in pieces of 3 over TCP", file, "fake_server.py", file, "--piece", "3", "--tcp")
			playing(t, name+" in pieces of 4096", file, "fake_server.py", file, "--piece", "4096")
		}
	})
}

// overNetwork is what is played over TCP and TLS, too.
var overNetwork = map[string]bool{"call_any": true, "errors_map": true, "feed": true, "stream": true}

// asks reports whether a program asks anything in a dialogue.
func asks(all []step) bool {
	for _, s := range all {
		if s["do"] != nil {
			return true
		}
	}
	return false
}

func playing(t *testing.T, name, file string, script ...string) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		served := serve(t, script...)
		all := steps(t, file)
		config := objpool.Config{Address: served.address, StreamConnections: -1}
		if script[len(script)-2] == "--tls" {
			config.TLSCA = script[len(script)-1]
		}
		for _, s := range all {
			if token, ok := s["token"].(string); ok && s["do"] == "connect" {
				config.Token = token
			}
		}
		client, err := config.Connect(soon(t))
		if err != nil {
			t.Fatal(err, served.complaint.String())
		}
		words := newPlayer(t, client).play(all)
		_ = client.Close()
		if err := served.end(); words != "" || err != nil {
			t.Fatalf("%s\nthe server: %v\n%s", words, err, served.complaint.String())
		}
	})
}

// A scriptServer is a server of tests/wire, in Python.
type scriptServer struct {
	address   string
	process   *exec.Cmd
	input     io.Closer
	complaint bytes.Buffer
}

func serve(t testing.TB, script ...string) *scriptServer {
	t.Helper()
	python := "/usr/bin/python3" // Debian's has msgpack
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	s := &scriptServer{process: exec.Command(python, append([]string{filepath.Join("../../tests/wire", script[0])}, script[1:]...)...)}
	s.process.Env = append(os.Environ(), "OBJPOOL_BUILD="+buildFolder())
	s.process.Stderr = &s.complaint
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	input, err := s.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.input = input
	output, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.end() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err, s.end(), s.complaint.String())
	}
	s.address = strings.TrimSpace(line)
	return s
}

// end has the server end, and says how it did.
func (s *scriptServer) end() error {
	if s.process == nil {
		return nil
	}
	_ = s.input.Close()
	err := s.process.Wait()
	s.process = nil
	return err
}
