package profilestoreextension

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/alerts"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/cluster"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
)

const (
	// pingInterval is how often an idle store looks whether ClickHouse is there.
	pingInterval = 5 * time.Second
	pingTimeout  = 5 * time.Second
	// migrateTimeout bounds one attempt to connect and migrate.
	migrateTimeout = time.Minute
	// firstBackOff doubles up to maxBackOff between attempts.
	firstBackOff = 100 * time.Millisecond
	maxBackOff   = 5 * time.Second
	// bufferBytes bounds what a query of one service keeps until it is known whether
	// it was replaced: about an hour of rows of 15 seconds.
	bufferBytes = 64 << 20
)

var errTablesMissing = errors.New("tables are missing")

// run keeps the store connected until ctx ends.
func (s *store) run(ctx context.Context) {
	for warned := false; ctx.Err() == nil; warned = true {
		s.connect(ctx, warned)
		s.compacting(ctx, func(ctx context.Context) {
			s.keeping(ctx, func(ctx context.Context) { s.checking(ctx, s.watch) })
		})
	}
}

// connect returns when ClickHouse answers and its tables are up to date, or ctx
// has ended. warned says that the outage has been reported.
func (s *store) connect(ctx context.Context, warned bool) {
	begin := time.Now()
	wait := firstBackOff
	for ctx.Err() == nil {
		err := s.prepare(ctx)
		if err == nil {
			err = s.convert(ctx)
		}
		if err == nil {
			s.away.Store(nil)
			s.announceReady(time.Since(begin))
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !warned {
			s.warnAway(err)
			warned = true
		}
		s.setAway(err)
		// Half of the pause is random, so that many collectors do not come at once.
		chconn.Pause(ctx, wait/2+rand.N(wait/2))
		wait = min(2*wait, maxBackOff)
	}
}

// watch returns when ClickHouse has gone or has lost its tables, or ctx has ended.
func (s *store) watch(ctx context.Context) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.check:
		}
		if s.migrate.Swap(false) {
			s.leave(errTablesMissing)
			return
		}
		pinged, cancel := context.WithTimeout(ctx, pingTimeout)
		err := s.conn.Load().pool.Ping(pinged)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.leave(err)
			return
		}
	}
}

// leave reports the begin of an outage.
func (s *store) leave(err error) {
	s.warnAway(err)
	s.setAway(err)
}

// prepare makes one attempt to connect and migrate.
func (s *store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	c := s.conn.Load()
	if c == nil {
		var err error
		if c, err = s.open(ctx); err != nil {
			return err
		}
		s.conn.Store(c)
	}
	// The server may have lost rows that it had acknowledged, or be another one.
	c.writer.Forget()
	if c.nodes == nil {
		return schema.Migrate(ctx, c.pool, s.tables())
	}
	return c.nodes.Each(ctx, func(ctx context.Context, node *chconn.Pool) error {
		return schema.Migrate(ctx, node, s.tables())
	})
}

// tables are those of the configuration. Different collectors ask different
// replicas first.
func (s *store) tables() schema.Options {
	o := s.cfg.tables()
	o.Replica = crc32.ChecksumIEEE([]byte(s.holder)) % 1024
	return o
}

// open finds out where ClickHouse is.
func (s *store) open(ctx context.Context) (*connection, error) {
	o := chconn.Options{
		Endpoints: s.cfg.Endpoint, Username: s.cfg.Username, Password: string(s.cfg.Password),
		TLS: s.tls, MaxConnections: s.cfg.MaxConnections, DialTimeout: s.cfg.DialTimeout,
	}
	if s.provider != nil {
		e, err := s.provider.ClickHouse(ctx)
		if err != nil {
			return nil, fmt.Errorf("wait for extension %s: %w", s.cfg.Embedded, err)
		}
		o.Endpoints, o.Username, o.Password = []string{e.Addr}, e.Username, e.Password
	}
	tables, lifetimes := s.tables(), s.cfg.lifetimes()
	o.Settings = tables.Settings()
	lagging := tables.Replicated() || tables.Cluster == "" && len(o.Endpoints) > 1
	pool := chconn.New(o)
	c := &connection{
		pool: pool, cluster: tables.Cluster, everywhere: pool, lagging: lagging,
		reader: chunkreader.New(pool, chunkreader.Options{
			Options: reader.Options{
				Tables:           tables,
				MaxExecutionTime: s.cfg.Query.MaxExecutionTime,
				MaxMemoryUsage:   s.cfg.Query.MaxMemoryUsage,
				MaxRows:          s.cfg.Query.MaxRows,
				MaxStacks:        s.cfg.Query.MaxStacks,
				StackCacheSize:   s.cfg.StackCacheSize,
				OnQuery:          s.tele.query,
				Limits:           s.cfg.Query.limits,
				Lifetimes:        &lifetimes,
			},
			DeleteDelay: s.cfg.deleteDelay(),
			BufferBytes: bufferBytes,
		}),
		writer: chunkwriter.New(pool, writer.Options{
			Tables:       tables,
			KnownEntries: s.cfg.DictionaryCacheSize,
			OnRows:       s.tele.rows,
		}),
		alerts: alerts.New(pool, alerts.Options{
			Tables:           tables,
			MaxExecutionTime: s.cfg.Query.MaxExecutionTime,
			MaxMemoryUsage:   s.cfg.Query.MaxMemoryUsage,
			Lagging:          lagging,
			OnQuery:          s.tele.query,
			OnRows:           s.tele.rows,
		}),
	}
	if tables.Cluster != "" && tables.Unreplicated {
		c.nodes = cluster.NewNodes(pool, o, tables.Cluster)
		c.everywhere = c.nodes
	}
	c.keeper, c.checker = s.newKeeper(c), s.newChecker(c)
	return c, nil
}
