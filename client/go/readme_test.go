// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the README's snippets have from somewhere else.
const readmePrelude = `package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	objpool "objpool.dev/go"
)

var (
	ctx    = context.Background()
	err    error
	sample = 1
	inputs = []float64{1, 2, 3}
	pixels = make([]float64, 480*640)
	_      = []any{errors.Is, time.Second}
)

func connect() (*objpool.Client, objpool.Target) {
	client, err := objpool.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	return client, client.Pool("sim")
}

func check(number int, err error) {
	if err != nil {
		log.Fatalf("snippet %d: %v", number, err)
	}
}
`

// The README's snippets are compiled, with what their variables are in the README, and run. The program is run by TestPacked.
func TestReadme(t *testing.T) {
	source, calls := strings.Builder{}, strings.Builder{}
	source.WriteString(readmePrelude)
	snippets := strings.Split(string(must[[]byte](t)(os.ReadFile("README.md"))), "```go\n")[2:]
	for i, snippet := range snippets {
		body, _, _ := strings.Cut(snippet, "```\n")
		fmt.Fprintf(&source, "\nfunc snippet%d() error {\n\tclient, pool := connect()\n\t_, _ = client, pool\n", i)
		fmt.Fprintf(&source, "\t{\n%s\t}\n\treturn nil\n}\n", checked(t, body))
		fmt.Fprintf(&calls, "\tcheck(%d, snippet%d())\n", i, i)
	}
	fmt.Fprintf(&source, "\nfunc main() {\n%s\tfmt.Println(\"done\")\n}\n", calls.String())
	place := t.TempDir()
	checkout := must[string](t)(filepath.Abs("."))
	mod := string(must[[]byte](t)(os.ReadFile("go.mod")))
	mod = strings.Replace(mod, "module objpool.dev/go", "module example.org/readme\n\nreplace objpool.dev/go => "+checkout, 1)
	mod += "\nrequire objpool.dev/go v0.0.0\n"
	for name, text := range map[string]string{"main.go": source.String(), "go.mod": mod,
		"go.sum": string(must[[]byte](t)(os.ReadFile("go.sum")))} {
		if err := os.WriteFile(filepath.Join(place, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goProgram := filepath.Join(goEnv(t, "GOROOT"), "bin", "go")
	run(t, place, nil, goProgram, "vet", ".")
	if _, err := os.Stat(filepath.Join(buildFolder(), "plugins", "python.so")); err != nil {
		t.Skip("the snippets were compiled; without the plugin for Python they are not run")
	}
	s := start(t, "", "[pool sim]\nplugin = python\nclass = sim:Sim\nworkers = 3\npython_path = [\""+checkout+"/testdata\"]\n")
	out := run(t, place, []string{"OBJPOOL_ADDRESS=" + s.address}, goProgram, "run", ".")
	if !strings.HasSuffix(out, "done\n") {
		t.Fatal(out)
	}
}

// checked is a snippet that uses each variable that it declares, and returns each error that it gets.
func checked(t *testing.T, body string) string {
	t.Helper()
	const before = "package p\nfunc f() error {\n"
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "snippet", before+body+"}\n", 0)
	if err != nil {
		t.Fatalf("%v:\n%s", err, body)
	}
	var out strings.Builder
	at := 0
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		assigned, ok := statement.(*ast.AssignStmt)
		if !ok {
			continue
		}
		end := set.Position(statement.End()).Offset - len(before)
		out.WriteString(body[at:end])
		at = end
		for _, left := range assigned.Lhs {
			name, ok := left.(*ast.Ident)
			switch {
			case ok && name.Name == "err":
				out.WriteString("; if err != nil { return err }")
			case ok:
				out.WriteString("; _ = " + name.Name)
			}
		}
	}
	return out.String() + body[at:]
}
