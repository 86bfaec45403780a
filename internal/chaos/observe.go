package chaos

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// endpointOf returns how to ask an embedded server, by its command line and the
// file of its password.
func endpointOf(pid int, passwordFile string) (chserver.Endpoint, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return chserver.Endpoint{}, fmt.Errorf("find ClickHouse: %w", err)
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	i := slices.Index(args, "-http-port")
	if i < 0 || i+1 == len(args) {
		return chserver.Endpoint{}, errors.New("find ClickHouse: its command line has no -http-port")
	}
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return chserver.Endpoint{}, fmt.Errorf("find ClickHouse: %w", err)
	}
	return chserver.Endpoint{
		HTTPAddr: net.JoinHostPort("127.0.0.1", args[i+1]), Username: chserver.User, Password: strings.TrimSpace(string(password)),
	}, nil
}

// queueSize returns how much the queue of the exporter holds, with what is being
// sent, as the collector's own metrics say.
func (s *site) queueSize(ctx context.Context) (size float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.telemetry+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	found := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok || !strings.HasPrefix(name, "otelcol_exporter_queue_size{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("read metrics: %w", err)
		}
		found, size = true, size+n
	}
	if !found {
		return 0, errors.New("read metrics: there is no otelcol_exporter_queue_size")
	}
	return size, lines.Err()
}

// drain waits until the queue is empty.
func (s *site) drain(ctx context.Context) error {
	for {
		size, err := s.queueSize(ctx)
		if err == nil && size == 0 {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it holds %.0f", size)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the queue is empty: %w", err)
		case <-s.gateway.Done():
			return fmt.Errorf("wait until the queue is empty: the collector ended")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
