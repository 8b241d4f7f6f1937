// SPDX-License-Identifier: Apache-2.0

// Pack writes the module as a proxy serves it (https://go.dev/ref/mod#goproxy-protocol).
//
//	go run ./internal/pack FOLDER VERSION      in the module's folder; FOLDER then does as GOPROXY=file://FOLDER
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const module = "objpool.dev/go"

func main() {
	if len(os.Args) != 3 || !strings.HasPrefix(os.Args[2], "v") {
		log.Fatal("usage: go run ./internal/pack FOLDER VERSION")
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func pack(folder, version string) error {
	place := filepath.Join(folder, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(place, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	info := fmt.Sprintf("{\"Version\":%q,\"Time\":%q}\n", version, time.Now().UTC().Format(time.RFC3339))
	for name, text := range map[string]string{"list": version + "\n", version + ".info": info, version + ".mod": string(mod)} {
		if err := os.WriteFile(filepath.Join(place, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return writeZip(filepath.Join(place, version+".zip"), module+"@"+version+"/")
}

// writeZip writes the module's files, and the license, which lies in the folder of the whole project.
func writeZip(path, prefix string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
	}()
	archive := zip.NewWriter(file)
	if err := add(archive, filepath.Join("..", "..", "LICENSE"), prefix+"LICENSE"); err != nil {
		return err
	}
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && isModule(path):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		return add(archive, path, prefix+filepath.ToSlash(path))
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// isModule reports whether a folder is a module of its own.
func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func add(archive *zip.Writer, path, name string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	entry, err := archive.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, file)
	return err
}
