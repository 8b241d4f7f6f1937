// SPDX-License-Identifier: Apache-2.0

package objpool_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	objpool "objpool.dev/go"
)

func TestAddresses(t *testing.T) {
	s := start(t, "", usualPools)
	ctx := soon(t)
	for _, address := range []string{s.address, s.listening("tcp")} {
		client := s.client(objpool.Config{Address: address, Name: "a test"})
		equal(t, must[int](t)(objpool.Call[int](ctx, client.Pool("p"), "add", 1, 2)), 3)
		if client.Session() == 0 {
			t.Fatal("there is no session")
		}
	}
	t.Setenv("OBJPOOL_ADDRESS", s.address)
	client := must[*objpool.Client](t)(objpool.Connect(ctx, ""))
	equal(t, client.Ping(ctx), nil)
	equal(t, client.Close(), nil)
	equal(t, asError(t, client.Ping(ctx)).Code, objpool.ConnectionLost)

	for _, address := range []string{"nonsense", "tcp:", "udp:x:1"} {
		_, err := objpool.Connect(ctx, address)
		equal(t, asError(t, err).Code, objpool.BadArgument)
	}
	_, err := objpool.Connect(ctx, "unix:"+s.folder+"/nobody")
	equal(t, asError(t, err).Code, objpool.NoDaemon)
	if !errors.Is(err, objpool.ConnectionLost) || !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// What was under way fails with ConnectionLost; a later call connects anew, also while the daemon is not there yet.
func TestReconnect(t *testing.T) {
	s := start(t, "", usualPools)
	client := s.client(objpool.Config{})
	p, ctx := client.Pool("p"), soon(t)
	lease := must[*objpool.Lease](t)(p.Slot(0).Lease(ctx))
	sleeping := objpool.Begin[any](ctx, p, "sleep", 60)
	endless := objpool.Stream[int](ctx, p.Map(), "echo", make(chan int))
	waitUntil(t, func() bool { return running(t, p) == 1 })
	s.kill()
	_, err := sleeping.Wait()
	equal(t, []any{asError(t, err).Code, asError(t, err).Ran}, []any{objpool.ConnectionLost, objpool.RanMaybe})
	equal(t, endless.Next(), false)
	equal(t, asError(t, endless.Err()).Code, objpool.ConnectionLost)

	quick := s.client2(objpool.Config{ReconnectTimeout: -1})
	if quick != nil {
		t.Fatal("there is no daemon")
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = p.Call(short, "echo", 1)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}

	called := make(chan error, 2)
	for i := 0; i < 2; i++ {
		go func() {
			got, err := objpool.Call[int](ctx, p, "add", 1, 2)
			if err == nil && got != 3 {
				err = fmt.Errorf("got %d", got)
			}
			called <- err
		}()
	}
	_ = os.Remove(strings.TrimPrefix(s.address, "unix:"))
	s.run()
	equal(t, <-called, nil)
	equal(t, <-called, nil)
	_, err = lease.Call(ctx, "echo", 1)
	equal(t, []any{asError(t, err).Code, asError(t, err).Ran}, []any{objpool.ConnectionLost, objpool.RanNo})
}

// client2 connects once, or returns nil.
func (s *server) client2(config objpool.Config) *objpool.Client {
	config.Address = s.address
	client, err := config.Connect(soon(s.t))
	if err != nil {
		return nil
	}
	return client
}

func TestRetry(t *testing.T) {
	s := start(t, "", usualPools+"max_queue = 1\n")
	p, ctx := s.client(objpool.Config{Retry: &objpool.Retry{Attempts: 1000, Delay: time.Millisecond, MaxDelay: 5 * time.Millisecond}}).Pool("p"), soon(t)
	var sleeping []*objpool.Future[any]
	for i := 0; i < 3; i++ {
		sleeping = append(sleeping, objpool.Begin[any](ctx, p, "sleep", 0.1))
	}
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "add", 1, 2)), 3)
	none := p.With(objpool.Options{Retry: &objpool.Retry{Attempts: 1}})
	_, err := none.Call(ctx, "crash")
	equal(t, asError(t, err).Code, objpool.WorkerLost)
	for _, each := range sleeping {
		_, _ = each.Wait() // some may have been refused
	}
}

func TestToken(t *testing.T) {
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte("secret")))
	s := start(t, "", usualPools+"[user ci]\ntoken_sha256 = "+hash+"\ncall = p.add\n")
	ctx := soon(t)
	file := filepath.Join(s.folder, "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, config := range []objpool.Config{{Token: "secret"}, {TokenFile: file}} {
		client := s.client(config)
		who := must[objpool.Identity](t)(client.WhoAmI(ctx))
		equal(t, []string{who.User, who.By}, []string{"ci", "token"})
		equal(t, must[int](t)(objpool.Call[int](ctx, client.Pool("p"), "add", 1, 2)), 3)
		_, err := client.Pool("p").Call(ctx, "echo", 1)
		e := asError(t, err)
		equal(t, []any{e.Code, e.User, e.Right}, []any{objpool.Denied, "ci", "call"})
	}
	t.Setenv("OBJPOOL_TOKEN_FILE", file)
	equal(t, must[objpool.Identity](t)(s.client(objpool.Config{}).WhoAmI(ctx)).User, "ci")
	_, err := (&objpool.Config{Address: s.address, Token: "wrong"}).Connect(ctx)
	equal(t, asError(t, err).Code, objpool.Denied)
	_, err = (&objpool.Config{Address: s.listening("tcp"), Token: "secret"}).Connect(ctx)
	equal(t, asError(t, err).Code, objpool.BadArgument)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = objpool.Connect(ctx, s.address)
	if err == nil || !strings.Contains(err.Error(), "open to others") {
		t.Fatal(err)
	}
}

// The connection may be closed before the first message is written.
func TestWhatTheDaemonSaidBeforeItClosed(t *testing.T) {
	address := t.TempDir() + "/s"
	listener := must[net.Listener](t)(net.Listen("unix", address))
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			peer, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = peer.Write([]byte("\x94\x01\x00\xaeOVERLOADED: no\xc0")) // [1, 0, "OVERLOADED: no", nil]
			_ = peer.Close()
		}
	}()
	for i := 0; i < 500; i++ {
		_, err := objpool.Connect(soon(t), "unix:"+address)
		equal(t, asError(t, err).Code, objpool.Overloaded)
	}
}

func TestTLS(t *testing.T) {
	folder := t.TempDir()
	certificate(t, folder, "server", "/CN=server", "subjectAltName=IP:127.0.0.1,DNS:sim.example.org")
	certificate(t, folder, "client", "/CN=ann", "extendedKeyUsage=clientAuth")
	in := func(name string) string { return filepath.Join(folder, name) }
	s := start(t, fmt.Sprintf("listen = tls:127.0.0.1:0\ntls_cert = %s\ntls_key = %s\ntls_client_ca = %s",
		in("server.pem"), in("server.key"), in("client.pem")), usualPools)
	ctx := soon(t)
	config := objpool.Config{Address: s.listening("tls"), TLSCA: in("server.pem"), TLSCert: in("client.pem"), TLSKey: in("client.key")}
	p := s.client(config).Pool("p")
	equal(t, must[int](t)(objpool.Call[int](ctx, p, "add", 1, 2)), 3)
	blob := make([]byte, 3<<20)
	equal(t, len(must[[]byte](t)(objpool.Call[[]byte](ctx, p, "echo", blob))), len(blob))
	equal(t, len(all(t, objpool.Stream[int](ctx, p.Map(), "echo", make([]int, 5000)))), 5000)

	config.TLSName = "sim.example.org"
	_ = s.client(config)
	config.TLSName = "other.example.org"
	refused(t, config, objpool.NoDaemon, "is not for other.example.org")
	config.TLSName, config.TLSCA = "", in("client.pem")
	refused(t, config, objpool.NoDaemon, "no CA that is known here")
	config.TLSCA, config.TLSCert, config.TLSKey = in("server.pem"), "", ""
	refused(t, config, objpool.Denied, "the server refuses")
	config.Address = strings.Replace(s.listening("tcp"), "tcp:", "tls:", 1)
	refused(t, config, objpool.NoDaemon, "does not speak TLS")
}

func refused(t *testing.T, config objpool.Config, code objpool.Code, words string) {
	t.Helper()
	_, err := config.Connect(soon(t))
	if err == nil || !errors.Is(err, code) || !strings.Contains(err.Error(), words) {
		t.Fatalf("%v: it should be %s, and say %q", err, code, words)
	}
}

// certificate makes a certificate that has signed itself, NAME.pem, and its key, NAME.key.
func certificate(t *testing.T, folder, name, subject, extension string) {
	t.Helper()
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-keyout", filepath.Join(folder, name+".key"), "-out", filepath.Join(folder, name+".pem"), "-subj", subject,
		"-addext", extension).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
