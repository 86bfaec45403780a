package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/aperture-collector/aperture-collector/internal/tenant"
)

// Defaults of where a collector listens.
const (
	defaultServer = "127.0.0.1:9090"
	defaultGRPC   = "127.0.0.1:50051"
	defaultOTLP   = "127.0.0.1:4317"
)

// maxTokenFile bounds what is read of a file that should hold a token.
const maxTokenFile = 64 << 10

// globalFlags are those of every command.
type globalFlags struct {
	server, grpc      string
	token, tokenFile  string
	tenant            string
	tls, insecure     bool
	ca, cert, key     string
	timeout           time.Duration
	output            string
	base              *url.URL
	tlsConfig         *tls.Config // nil without TLS
	authorizationText string      // never shown
}

// Formats of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputSVG   = "svg"
)

func (g *globalFlags) register(f *pflag.FlagSet) {
	f.StringVar(&g.server, "server", "", "HTTP `address` or URL of the collector (APERTURE_SERVER; default "+defaultServer+")")
	f.StringVar(&g.grpc, "grpc", "", "gRPC `address` of the collector (APERTURE_GRPC; default "+defaultGRPC+")")
	f.StringVar(&g.token, "token", "", "bearer `token`; others can see it in the list of processes (APERTURE_AUTH_TOKEN)")
	f.StringVar(&g.tokenFile, "token-file", "", "`file` with the bearer token")
	f.StringVar(&g.tenant, "tenant", "", "`tenant` whose profiles these are")
	f.BoolVar(&g.tls, "tls", false, "use TLS; the same as giving --ca, --cert or an https:// --server")
	f.StringVar(&g.ca, "ca", "", "PEM `file` of the authorities that sign the server's certificate (default: those of the system)")
	f.StringVar(&g.cert, "cert", "", "PEM `file` of the client's certificate")
	f.StringVar(&g.key, "key", "", "PEM `file` of the client's key")
	f.BoolVar(&g.insecure, "insecure-skip-verify", false, "use TLS without checking who the server is")
	f.DurationVar(&g.timeout, "timeout", time.Minute, "longest wait for the server to go on")
	f.StringVarP(&g.output, "output", "o", outputTable, "`format`, not a file: table, or json as the server answered")
}

// check reads the environment and checks what all commands share.
func (g *globalFlags) check(f *pflag.FlagSet, getenv func(string) string) error {
	g.server = firstOf(g.server, getenv("APERTURE_SERVER"), defaultServer)
	g.grpc = firstOf(g.grpc, getenv("APERTURE_GRPC"), defaultGRPC)
	if g.timeout <= 0 {
		return usagef("--timeout must be positive, got %s", g.timeout)
	}
	if g.tenant != "" {
		if err := tenant.Validate(g.tenant); err != nil {
			return usagef("--tenant: %s", err)
		}
	}
	if (g.cert == "") != (g.key == "") {
		return usagef("--cert and --key go together")
	}
	if err := g.checkToken(f, getenv); err != nil {
		return err
	}
	if err := g.checkServer(); err != nil {
		return err
	}
	return g.checkTLS()
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (g *globalFlags) checkToken(f *pflag.FlagSet, getenv func(string) string) error {
	token := getenv("APERTURE_AUTH_TOKEN")
	switch {
	case f.Changed("token") && g.tokenFile != "":
		return usagef("--token and --token-file exclude each other")
	case f.Changed("token"):
		token = g.token
	case g.tokenFile != "":
		text, err := readSmall(g.tokenFile, maxTokenFile)
		if err != nil {
			return usagef("--token-file: %s", err)
		}
		token = strings.TrimSpace(string(text))
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return usagef("the token must be one line without control characters")
	}
	if token != "" {
		g.authorizationText = "Bearer " + token
	}
	return nil
}

func readSmall(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return text, nil
}

func (g *globalFlags) checkServer() error {
	text := g.server
	wantsTLS := g.tls || g.insecure || g.ca != "" || g.cert != ""
	if !strings.Contains(text, "://") {
		scheme := "http://"
		if wantsTLS {
			scheme = "https://"
		}
		text = scheme + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return usagef("--server must be an address or URL like http://host:9090, got %q", withoutUser(g.server))
	}
	if u.User != nil {
		return usagef("--server must have no user name or password: give a token by --token-file")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	g.base = u
	g.tls = wantsTLS || u.Scheme == "https"
	if rest, ok := strings.CutPrefix(g.grpc, "https://"); ok {
		g.grpc, g.tls = rest, true
	}
	g.grpc = strings.TrimPrefix(g.grpc, "http://")
	return checkAddress("--grpc", g.grpc)
}

// withoutUser removes what may be a password from an address in an error.
func withoutUser(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "…" + text[i:]
	}
	return text
}

func checkAddress(flag, address string) error {
	if strings.HasPrefix(address, "unix:") {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return usagef("%s must be an address like %s, got %q", flag, defaultGRPC, withoutUser(address))
	}
	return nil
}

func (g *globalFlags) checkTLS() error {
	if !g.tls {
		return nil
	}
	g.tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: g.insecure} //nolint:gosec // asked for by name
	if g.ca != "" {
		text, err := readSmall(g.ca, 16<<20)
		if err != nil {
			return usagef("--ca: %s", err)
		}
		g.tlsConfig.RootCAs = x509.NewCertPool()
		if !g.tlsConfig.RootCAs.AppendCertsFromPEM(text) {
			return usagef("--ca: %s has no certificate in PEM", g.ca)
		}
	}
	if g.cert != "" {
		pair, err := tls.LoadX509KeyPair(g.cert, g.key)
		if err != nil {
			return usagef("--cert and --key: %s", err)
		}
		g.tlsConfig.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// transport returns the credentials of gRPC connections.
func (g *globalFlags) transport() credentials.TransportCredentials {
	if g.tlsConfig == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(g.tlsConfig.Clone())
}

// format checks --output of a command that takes these formats.
func (g *globalFlags) format(formats ...string) error {
	for _, f := range formats {
		if g.output == f {
			return nil
		}
	}
	return usagef("--output must be %s, got %q", strings.Join(formats, " or "), g.output)
}
