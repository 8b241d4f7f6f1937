// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A line is what the ways of doing one thing cost, objpool's first.
type line struct {
	name  string
	costs []cost
}

var peers = []string{"objpool", "go-redis, GET", "NATS, a process answers"}

// report writes the section Go of a file that bench/sections.py keeps: docs/BENCHMARKS.md.
func report(file string, lines []line, rounds int, busy float64) {
	var text strings.Builder
	fmt.Fprintf(&text, "## Go\n\n%s\n\n", about(rounds, busy))
	fmt.Fprintf(&text, "| µs | %s |\n|---|%s\n", strings.Join(peers, " | "), strings.Repeat("---:|", len(peers)))
	for _, each := range lines {
		row(&text, each.name, each.costs, func(c cost) float64 { return c.time })
		row(&text, "of that, CPU time of this process", each.costs, func(c cost) float64 { return c.cpu })
	}
	command := exec.Command("python3", filepath.Join(filepath.Dir(file), "../bench/sections.py"), file)
	command.Stdin, command.Stderr = strings.NewReader(text.String()), os.Stderr
	if err := command.Run(); err != nil {
		log.Fatal(err)
	}
}

func row(text *strings.Builder, name string, costs []cost, of func(cost) float64) {
	fmt.Fprintf(text, "| %s | %s |", name, significant(of(costs[0])))
	for _, peer := range costs[1:] {
		fmt.Fprintf(text, " %s (%.2f ×) |", significant(of(peer)), of(costs[0])/of(peer))
	}
	text.WriteString("\n")
}

// significant writes three digits.
func significant(f float64) string {
	digits := 0
	for ; f > 0 && f < 100 && digits < 2; f *= 10 {
		digits++
	}
	for i := 0; i < digits; i++ {
		f /= 10
	}
	return fmt.Sprintf("%.*f", digits, f)
}

// about says what was measured, where, and how, in lines of a document.
func about(rounds int, busy float64) string {
	run := fmt.Sprintf("%d CPUs, %s; %s; %s", runtime.NumCPU(), kernel(), strings.Replace(runtime.Version(), "go", "Go ", 1), versions())
	words := strings.Fields(fmt.Sprintf("Written by `make bench-go` on %s: %s. µs, the best of %d rounds that take turns with the "+
		"peers' in one run; in brackets the ratio objpool : peer. Other programs had %.0f%% of this machine's time before it began. "+
		"A call of objpool runs a method in a worker; redis-server answers a GET itself; over NATS another process of Go answers. "+
		"With 1,000 under way redis has a Pipeline of 1,000 GETs, and NATS has messages to a process and back; so have the streams. "+
		"1,000 goroutines share one connection of objpool and NATS, and ten of redis.",
		time.Now().Format("2006-01-02"), run, rounds, 100*busy))
	var text strings.Builder
	width := 0
	for _, word := range words {
		if n := len([]rune(word)); width > 0 && width+1+n > 120 {
			text.WriteString("\n" + word)
			width = n
		} else {
			if width > 0 {
				text.WriteString(" ")
				width++
			}
			text.WriteString(word)
			width += n
		}
	}
	return text.String()
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		log.Fatal(err)
	}
	return "Linux " + strings.TrimSpace(string(release))
}

// versions are those of the peers' clients.
func versions() string {
	build, _ := debug.ReadBuildInfo()
	var all []string
	for _, each := range build.Deps {
		switch each.Path {
		case "github.com/redis/go-redis/v9":
			all = append(all, "go-redis "+strings.TrimPrefix(each.Version, "v"))
		case "github.com/nats-io/nats.go":
			all = append(all, "nats.go "+strings.TrimPrefix(each.Version, "v"))
		}
	}
	return strings.Join(all, ", ")
}

// others is the share of the machine's time that other programs take, in a second in which this one does nothing.
func others() float64 {
	idle, all := spent()
	time.Sleep(time.Second)
	idleThen, allThen := spent()
	if allThen == all {
		return 0
	}
	return 1 - float64(idleThen-idle)/float64(allThen-all)
}

// spent is the time that all CPUs have spent, in ticks.
func spent() (idle, all int64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		log.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for i, each := range strings.Fields(first)[1:] {
		var n int64
		if _, err := fmt.Sscan(each, &n); err != nil {
			log.Fatal(err)
		}
		if all += n; i == 3 || i == 4 {
			idle += n
		}
	}
	return idle, all
}
