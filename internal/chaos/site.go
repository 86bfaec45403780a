package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// siteKind says what a site is made of. Faults of one kind follow each other.
type siteKind int

const (
	// embedded is a collector with the ClickHouse that it brings along.
	embedded siteKind = iota
	// external is a collector and a ClickHouse server of its own behind a proxy.
	external
	// smallDisk is embedded, on a file system that can be filled.
	smallDisk
)

// site is a collector with its store and the data of both. It is used by one
// goroutine.
type site struct {
	opts   Options
	kind   siteKind
	dir    string
	ledger *ledger

	gateway *benchkit.Collector // nil while none runs
	starts  int
	// host:port pairs of the gateway's listeners; new at every start.
	api, push, otlp, telemetry string

	// Of external sites.
	server *chserver.Server // nil while none runs
	login  chserver.Endpoint
	port   int
	proxy  *proxy
}

// attach prepares the data in dir to be used as a site of that kind.
func attach(o Options, kind siteKind, dir string, l *ledger) (*site, error) {
	s := &site{opts: o, kind: kind, dir: dir, ledger: l}
	if kind != external {
		return s, nil
	}
	ports, err := benchkit.FreePorts(1)
	if err != nil {
		return nil, err
	}
	s.port = ports[0]
	s.proxy, err = newProxy(net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	return s, err
}

// clickhouseDir is the same for both kinds, so that one goes on with what the
// other has stored.
func (s *site) clickhouseDir() string { return filepath.Join(s.dir, "clickhouse") }

func (s *site) startServer(ctx context.Context) error {
	server, err := chserver.New(chserver.Options{
		DataDir: s.clickhouseDir(), Launcher: s.opts.Launcher, Library: s.opts.Library, TCPPort: s.port,
	})
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	s.server = server
	s.login, err = server.ClickHouse(ctx)
	return err
}

func (s *site) stopServer(ctx context.Context) error {
	if s.server == nil {
		return nil
	}
	err := s.server.Stop(ctx)
	s.server = nil
	return err
}

// startGateway runs a collector; it does not wait until it is ready.
func (s *site) startGateway() error {
	ports, err := benchkit.FreePorts(6)
	if err != nil {
		return err
	}
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	s.api, s.push, s.otlp, s.telemetry = addr(0), addr(1), addr(2), addr(4)
	env := []string{
		"APERTURE_DATA_DIR=" + s.dir, "APERTURE_ADMIN_LISTEN=" + s.api, "APERTURE_AGGREGATOR_LISTEN=" + s.push,
		"APERTURE_OTLP_HTTP_LISTEN=" + s.otlp, "APERTURE_OTLP_GRPC_LISTEN=" + addr(3),
		"APERTURE_PYROSCOPE_LISTEN=" + addr(5), fmt.Sprintf("APERTURE_TELEMETRY_PORT=%d", ports[4]),
	}
	config := "all-in-one.yaml"
	if s.kind == external {
		config = "gateway.yaml"
		env = append(env, "CLICKHOUSE_ENDPOINT="+s.proxy.addr(), "CLICKHOUSE_USERNAME="+s.login.Username, "CLICKHOUSE_PASSWORD="+s.login.Password)
	}
	s.starts++
	s.gateway, err = benchkit.StartCollector(s.opts.Collector, filepath.Join(s.dir, fmt.Sprintf("collector-%d-%d.log", s.kind, s.starts)), []string{
		"--config", filepath.Join(s.opts.Config, config),
		"--config", "yaml:service::pipelines::profiles::receivers: [aperture, otlp]",
		// Many windows, and attempts that end while the store works on them.
		"--config", "yaml:processors::profile_buffer::window: 100ms",
		"--config", "yaml:exporters::clickhouse_profiles::timeout: 3s",
		"--config", "yaml:exporters::clickhouse_profiles::retry_on_failure::initial_interval: 100ms",
		"--config", "yaml:exporters::clickhouse_profiles::retry_on_failure::max_interval: 1s",
	}, env)
	return err
}

// up starts what does not run and waits until all is ready.
func (s *site) up(ctx context.Context) error {
	if s.kind == external && s.server == nil {
		if err := s.startServer(ctx); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		if s.gateway == nil {
			if err := s.startGateway(); err != nil {
				return err
			}
		}
		err := s.gateway.WaitHTTP(ctx, "http://"+s.api+"/readyz")
		if err == nil || attempt == portAttempts || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		// Another process took a port that was free a moment ago.
		s.gateway = nil
	}
}

// portAttempts is how often a collector is started that found a port taken.
const portAttempts = 3

// endGateway sends a signal to the collector and waits for its end.
func (s *site) endGateway(ctx context.Context, sig syscall.Signal) error {
	if err := s.gateway.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.gateway.Done():
		s.gateway = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the collector to end after %v: %w", sig, ctx.Err())
	}
}

// down ends everything cleanly.
func (s *site) down(ctx context.Context) error {
	var errs []error
	if s.gateway != nil {
		errs = append(errs, s.gateway.Stop())
		s.gateway = nil
	}
	errs = append(errs, s.stopServer(ctx))
	if s.proxy != nil {
		errs = append(errs, s.proxy.close())
		s.proxy = nil
	}
	return errors.Join(errs...)
}

// clickhouse returns the process id of the server.
func (s *site) clickhouse() (int, error) {
	if s.kind != external {
		return benchkit.Child(s.gateway.PID())
	}
	if pid := s.server.PID(); pid != 0 {
		return pid, nil
	}
	return 0, errors.New("find ClickHouse: it does not run")
}

// waitClickHouse waits for the server, which may just be starting again.
func (s *site) waitClickHouse(ctx context.Context) (int, error) {
	for {
		pid, err := s.clickhouse()
		if err == nil {
			return pid, nil
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// endpoint says how to ask the server itself, past proxies.
func (s *site) endpoint() (chserver.Endpoint, error) {
	if s.kind == external {
		return s.login, nil
	}
	pid, err := s.clickhouse()
	if err != nil {
		return chserver.Endpoint{}, err
	}
	return endpointOf(pid, filepath.Join(s.clickhouseDir(), "password"))
}

// keep saves the data and logs of a failed cycle from being removed.
func (s *site) keep(to string) error {
	if s.kind != smallDisk {
		return os.Rename(s.dir, to)
	}
	if err := os.CopyFS(to, os.DirFS(s.dir)); err != nil {
		return fmt.Errorf("copy what is on the small disk: %w", err)
	}
	return nil
}
