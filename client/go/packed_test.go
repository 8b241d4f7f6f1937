// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The README's program, in a folder of its own, with the module as a proxy serves it.
func TestPacked(t *testing.T) {
	goProgram := filepath.Join(goEnv(t, "GOROOT"), "bin", "go")
	packed, place := t.TempDir(), t.TempDir()
	run(t, ".", nil, goProgram, "run", "./internal/pack", packed, "v0.0.1")
	readme := must[[]byte](t)(os.ReadFile("README.md"))
	_, program, _ := strings.Cut(string(readme), "```go\n")
	program, _, _ = strings.Cut(program, "```\n")
	if err := os.WriteFile(filepath.Join(place, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "", "[pool dice]\nplugin = sampler\nclass = Sampler\nworkers = 2\n")
	cache := filepath.ToSlash(filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"))
	env := []string{"OBJPOOL_ADDRESS=" + s.address, "GOMODCACHE=" + filepath.Join(place, "modules"), "GONOSUMDB=objpool.dev",
		"GOFLAGS=-mod=mod -modcacherw", "GOPROXY=file://" + packed + ",file://" + cache + "," + goEnv(t, "GOPROXY")}
	run(t, place, env, goProgram, "mod", "init", "example.org/first")
	run(t, place, env, goProgram, "get", "objpool.dev/go@v0.0.1")
	equal(t, run(t, place, env, goProgram, "run", "."), "2 <nil>\n")
}

func goEnv(t testing.TB, name string) string {
	t.Helper()
	return strings.TrimSpace(run(t, ".", nil, "go", "env", name))
}

// run runs a program, and returns what it prints.
func run(t testing.TB, folder string, env []string, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), env...)
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, complaint.String())
	}
	return string(out)
}
