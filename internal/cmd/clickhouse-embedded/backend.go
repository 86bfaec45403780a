package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// backendHost is where the server itself listens, on ports that only the gate
	// is told.
	backendHost = "127.0.0.1"
	readyPoll   = 20 * time.Millisecond
	watchEvery  = time.Second
	// maxRefusals is how often in a row the server may refuse connections.
	maxRefusals = 2
)

// discardLog is for what clients do wrong: it is theirs to know.
var discardLog = log.New(io.Discard, "", 0)

// backend is the server behind the gate.
type backend struct {
	login             login
	tcpPort, httpPort int
	client            *http.Client
}

// newBackend picks free ports. Another process may take one before the server
// does; the server then ends, and the next one gets others.
func newBackend(l login) (*backend, error) {
	b := &backend{login: l, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	var err error
	if b.tcpPort, b.httpPort, err = freePorts(); err != nil {
		return nil, fmt.Errorf("pick ports: %w", err)
	}
	return b, nil
}

// freePorts returns two different ports that nobody listens on.
func freePorts() (first, second int, err error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(backendHost, "0"))
		if err != nil {
			return 0, 0, err
		}
		defer l.Close() //nolint:errcheck // was never used
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

func (b *backend) tcpAddr() string { return net.JoinHostPort(backendHost, strconv.Itoa(b.tcpPort)) }

func (b *backend) httpAddr() string { return net.JoinHostPort(backendHost, strconv.Itoa(b.httpPort)) }

// query runs one statement as the user of the product. Parameters are bound as
// {name:Type} in it.
func (b *backend) query(ctx context.Context, statement string, parameters map[string]string) (string, error) {
	values := url.Values{}
	for name, value := range parameters {
		values.Set("param_"+name, value)
	}
	target := "http://" + b.httpAddr() + "/?" + values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(statement))
	if err != nil {
		return "", fmt.Errorf("query server: %w", err)
	}
	req.SetBasicAuth(b.login.user, b.login.password)
	resp, err := b.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("query server: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("query server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("query server: status %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	return strings.TrimSpace(string(body)), nil
}

// waitReady returns when the server answers.
func (b *backend) waitReady() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), backendTimeout)
		_, err := b.query(ctx, "SELECT 1", nil)
		cancel()
		if err == nil {
			return
		}
		time.Sleep(readyPoll)
	}
}

// hasDatabase reports whether a session may begin in a database; "" is the
// default one.
func (b *backend) hasDatabase(ctx context.Context, name string) (bool, error) {
	if name == "" || name == "default" || name == "system" {
		return true, nil
	}
	// The text of a parameter is escaped as in TSV.
	escaped := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`).Replace(name)
	answer, err := b.query(ctx, "SELECT count() FROM system.databases WHERE name = {name:String}", map[string]string{"name": escaped})
	return answer != "0", err
}

// watch returns when the server has closed a listener, which it does not open
// again.
func (b *backend) watch() error {
	refused := 0
	for {
		time.Sleep(watchEvery)
		err := errors.Join(knock(b.tcpAddr()), knock(b.httpAddr()))
		if !errors.Is(err, syscall.ECONNREFUSED) {
			refused = 0
			continue
		}
		if refused++; refused >= maxRefusals {
			return fmt.Errorf("watch server: %w", err)
		}
	}
}

// knock opens a connection and closes it.
func knock(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, backendTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}
