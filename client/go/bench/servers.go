// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// servers are the processes that were started; they end with this one.
type servers struct {
	folder string
	all    []*exec.Cmd
}

func newServers() *servers {
	folder, err := os.MkdirTemp("", "objpool-bench")
	if err != nil {
		log.Fatal(err)
	}
	return &servers{folder: folder}
}

func (s *servers) start(program string, args ...string) {
	command := exec.Command(program, args...)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		log.Fatal(err)
	}
	s.all = append(s.all, command)
}

func (s *servers) stop() {
	for _, each := range s.all {
		_ = each.Process.Kill()
		_ = each.Wait()
	}
	_ = os.RemoveAll(s.folder)
}

// await waits until somebody listens.
func await(network, address string) {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial(network, address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(until) {
			log.Fatal(err)
		}
	}
}

// objpoold starts a daemon with pools `echo` and `probe`, of one worker each, and returns its address.
func (s *servers) objpoold() string {
	build := os.Getenv("OBJPOOL_BUILD")
	socket, config := filepath.Join(s.folder, "s"), filepath.Join(s.folder, "objpoold.conf")
	text := fmt.Sprintf("[daemon]\nlisten = unix:%s\nplugin_dir = %s\nlog_level = warning\n", socket, filepath.Join(build, "plugins"))
	text += "[pool echo]\nplugin = probe\nclass = Probe\nworkers = 1\n[pool probe]\nplugin = probe\nclass = Probe\nworkers = 1\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	s.start(filepath.Join(build, "objpoold"), "--config", config)
	await("unix", socket)
	return "unix:" + socket
}

// redis starts a redis-server, and returns its socket.
func (s *servers) redis() string {
	socket := filepath.Join(s.folder, "redis")
	s.start("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--loglevel", "warning", "--logfile", "/dev/null")
	await("unix", socket)
	return socket
}

// nats starts a nats-server, and returns its address.
func (s *servers) nats() string {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	_, port, _ := net.SplitHostPort(address)
	s.start("nats-server", "-a", "127.0.0.1", "-p", port, "-l", filepath.Join(s.folder, "nats.log"))
	await("tcp", address)
	return "nats://" + address
}
