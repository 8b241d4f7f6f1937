// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
)

// addresses are those to try, best first: the one that was given, or else that of the environment, or else the usual ones.
func addresses(given string) []string {
	if given != "" {
		return []string{given}
	}
	if address := os.Getenv("OBJPOOL_ADDRESS"); address != "" {
		return []string{address}
	}
	var found []string
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" && exists(runtime+"/objpool.sock") {
		found = append(found, "unix:"+runtime+"/objpool.sock")
	}
	return append(found, "unix:/run/objpool/objpool.sock")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

var hostAndPort = regexp.MustCompile(`^(?:\[[^\]]+\]|[^:/\[\]@ \t,]+):[0-9]{1,5}$`)

// addressForm makes unix:PATH, tcp:HOST:PORT or tls:HOST:PORT of the forms in which people write addresses: unix:///PATH,
// tcp://HOST:PORT, tls://HOST:PORT, a path that begins with /, ./ or ../, and HOST:PORT. Anything else stays as it is.
func addressForm(text string) string {
	begins := strings.HasPrefix
	switch {
	case begins(text, "unix://"):
		return "unix:/" + strings.TrimLeft(text[len("unix:"):], "/")
	case begins(text, "tcp://") || begins(text, "tls://"):
		return text[:len("tcp:")] + strings.TrimSuffix(text[len("tcp://"):], "/")
	case begins(text, "/") || begins(text, "./") || begins(text, "../"):
		return "unix:" + text
	case begins(text, "unix:") || begins(text, "tcp:") || begins(text, "tls:"):
		return text
	case hostAndPort.MatchString(text):
		return "tcp:" + text
	}
	return text
}

// dial makes a transport to unix:PATH, tcp:HOST:PORT or tls:HOST:PORT.
func (g *Config) dial(ctx context.Context, address string) (transport, *Error) {
	kind, rest, _ := strings.Cut(address, ":")
	network := "tcp"
	switch {
	case rest == "" || kind != "unix" && kind != "tcp" && kind != "tls":
		return nil, newError(BadArgument, RanNo, "the address %q is none: addresses are unix:PATH, tcp:HOST:PORT and tls:HOST:PORT", address)
	case kind == "unix":
		network = "unix"
	}
	var settings *tls.Config
	if kind == "tls" {
		var err *Error
		if settings, err = g.tlsConfig(rest); err != nil {
			return nil, err
		}
	}
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, network, rest)
	if err != nil {
		return nil, noDaemon(address, err)
	}
	if kind != "tls" {
		return newTransport(socket), nil
	}
	secure := tls.Client(socket, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = socket.Close()
		return nil, tlsError(address, settings, err)
	}
	return plainTransport{&tlsConn{secure, settings}}, nil
}

// greetingFailed says why a connection was lost before hello was answered. With TLS 1.3 a server refuses a certificate only then.
func greetingFailed(t transport, address string, err *Error) *Error {
	if err.Code != ConnectionLost || err.cause == nil {
		return err
	}
	var alert *net.OpError
	plain, _ := t.(plainTransport)
	if secure, ok := plain.Conn.(*tlsConn); ok && errors.As(err.cause, &alert) && alert.Op == remoteAlert {
		return tlsError(address, secure.settings, err.cause)
	}
	return noDaemon(address, err.cause)
}

// A tlsConn knows how it was made.
type tlsConn struct {
	*tls.Conn
	settings *tls.Config
}

func noDaemon(address string, err error) *Error {
	return newError(NoDaemon, RanNo, "can't connect to %s: %s", address, netWords(err)).because(err)
}

// netWords is what went wrong, without the addresses that Go puts before it.
func netWords(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	if err.Error() == "EOF" {
		err = errClosedByPeer
	}
	return err.Error()
}
