// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

const (
	protocolName = "objpool/1" // of ALPN
	maxToken     = 4095
	blanks       = " \t\r\n"
	remoteAlert  = "remote error" // what crypto/tls has as the operation of an alert that the server sent
)

// orEnv is what was given, or else what the environment says.
func orEnv(given, name string) string {
	if given != "" {
		return given
	}
	return os.Getenv(name)
}

// token is what hello says of who the client is. "": nothing.
func (g *Config) token(address string) (string, *Error) {
	token, path := g.Token, ""
	if token == "" {
		if path = orEnv(g.TokenFile, "OBJPOOL_TOKEN_FILE"); path == "" {
			return "", nil
		}
	}
	if !strings.HasPrefix(address, "unix:") && !strings.HasPrefix(address, "tls:") {
		return "", newError(BadArgument, RanNo, "a token goes over TLS or a Unix socket only, and not to %s", address)
	}
	if token != "" {
		return token, nil
	}
	token, err := readToken(path)
	if err != nil {
		return "", newError(BadArgument, RanNo, "the token file %s %v", path, err).because(err)
	}
	return token, nil
}

// readToken reads a file that only its owner may read; a group may, too, if root owns it.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("can't be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("is no ordinary file")
	}
	if openToOthers(info) {
		return "", fmt.Errorf("is open to others: its mode is %04o; chmod 600 it", info.Mode().Perm())
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("can't be read: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("can't be read: %w", err)
	}
	token := strings.Trim(string(text), blanks)
	switch {
	case len(text) > maxToken:
		return "", errors.New("is too long for a token")
	case token == "":
		return "", errors.New("is empty")
	case strings.ContainsAny(token, blanks+"\x00"):
		return "", errors.New("must hold a token, and nothing else")
	}
	return token, nil
}

// tlsConfig is how TLS is spoken with a daemon at HOST:PORT.
func (g *Config) tlsConfig(hostPort string) (*tls.Config, *Error) {
	settings := g.TLS.Clone()
	if settings == nil {
		settings = &tls.Config{}
	}
	if settings.MinVersion == 0 {
		settings.MinVersion = tls.VersionTLS12
	}
	settings.NextProtos = []string{protocolName}
	if name := orEnv(g.TLSName, "OBJPOOL_TLS_NAME"); name != "" {
		settings.ServerName = name
	}
	if settings.ServerName == "" {
		host, _, err := net.SplitHostPort(hostPort)
		if err != nil {
			return nil, newError(BadArgument, RanNo, "the address tls:%s is none: %v", hostPort, err).because(err)
		}
		settings.ServerName = host
	}
	if err := g.trust(settings); err != nil {
		return nil, err
	}
	return settings, g.show(settings)
}

// trust reads the CAs that are trusted. Without a file they are the system's.
func (g *Config) trust(settings *tls.Config) *Error {
	path := orEnv(g.TLSCA, "OBJPOOL_TLS_CA")
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return newError(BadArgument, RanNo, "the file of CAs %s: %v", path, err).because(err)
	}
	settings.RootCAs = x509.NewCertPool()
	if !settings.RootCAs.AppendCertsFromPEM(text) {
		return newError(BadArgument, RanNo, "the file of CAs %s has no certificate", path)
	}
	return nil
}

// show reads the client's certificate and its key, which may be in one file.
func (g *Config) show(settings *tls.Config) *Error {
	cert, key := orEnv(g.TLSCert, "OBJPOOL_TLS_CERT"), orEnv(g.TLSKey, "OBJPOOL_TLS_KEY")
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" {
		return newError(BadArgument, RanNo, "the key %s has no certificate: both are needed", key)
	}
	if key == "" {
		key = cert
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return newError(BadArgument, RanNo, "the certificate %s and the key %s can't be used: %v", cert, key, err).because(err)
	}
	settings.Certificates = []tls.Certificate{pair}
	return nil
}

// tlsError says what a failed handshake means.
func tlsError(address string, settings *tls.Config, err error) *Error {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   *net.OpError
		words   = netWords(err)
		code    = NoDaemon
	)
	switch {
	case errors.As(err, &name):
		words = "the server's certificate is not for " + settings.ServerName
	case errors.As(err, &unknown):
		words = "no CA that is known here has signed the server's certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		words = "the server's certificate has expired, or is not valid yet"
	case errors.As(err, &record):
		words = "the server does not speak TLS"
	case errors.As(err, &alert) && alert.Op == remoteAlert:
		code, words = Denied, "the server refuses the connection: "+strings.TrimPrefix(words, "tls: ")
		if len(settings.Certificates) == 0 && settings.GetClientCertificate == nil {
			words += " (no certificate of the client was given)"
		}
	}
	return newError(code, RanNo, "can't connect to %s: %s", address, words).because(err)
}
