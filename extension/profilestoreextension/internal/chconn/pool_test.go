package chconn

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func newPool(t testing.TB, change func(*Options)) *Pool {
	t.Helper()
	e := clickhousetest.Start(t).Endpoint()
	o := Options{Endpoints: []string{e.Addr}, Username: e.Username, Password: e.Password, MaxConnections: 4}
	if change != nil {
		change(&o)
	}
	p := New(o)
	t.Cleanup(p.Close)
	return p
}

func sql(body string, settings ...ch.Setting) Query {
	return Query{Query: ch.Query{
		Body: body, Settings: settings, Result: (&proto.Results{}).Auto(),
		OnResult: func(context.Context, proto.Block) error { return nil },
	}}
}

// roundTrip binds values and reads them back.
func roundTrip(t testing.TB, p *Pool, s string) (one string, many []string) {
	t.Helper()
	var col proto.ColStr
	list := proto.NewArray[string](new(proto.ColStr))
	q := Query{Query: ch.Query{
		Body:   "SELECT {s:String} AS a, {l:Array(String)} AS b",
		Result: proto.Results{{Name: "a", Data: &col}, {Name: "b", Data: list}},
		OnResult: func(context.Context, proto.Block) error {
			if col.Rows() > 0 {
				one, many = col.Row(0), list.Row(0)
			}
			return nil
		},
	}}
	q.Params.String("s", s)
	q.Params.Strings("l", []string{s, "", s + s})
	require.NoError(t, p.Do(context.Background(), q), "%q", s)
	return one, many
}

// FuzzParams checks that every string reaches ClickHouse as it is.
func FuzzParams(f *testing.F) {
	p := newPool(f, nil)
	for _, s := range []string{
		"", "plain", `'`, `\`, `\'`, `\\'`, "x\ny\tz\r\x00\b\f\v", "é", `'; DROP TABLE x; --`, `{a:String}`, `\N`, `\x41`, "\xff\xfe", "[',']", `\0`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one, many := roundTrip(t, p, s)
		assert.Equal(t, s, one)
		assert.Equal(t, []string{s, "", s + s}, many)
	})
}

func TestCancelStopsTheQuery(t *testing.T) {
	p := newPool(t, nil)
	for _, deadline := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		if deadline {
			ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
		} else {
			time.AfterFunc(100*time.Millisecond, cancel)
		}
		marker := fmt.Sprintf("marker_%v", deadline)
		err := p.Do(ctx, sql("SELECT sleepEachRow(0.1) FROM numbers(10000) SETTINGS max_block_size = 1, log_comment = '"+marker+"'"))
		require.Error(t, err)
		require.ErrorIs(t, err, context.Cause(ctx))
		cancel()
		require.Eventually(t, func() bool {
			n, err := p.UInt64(context.Background(), Query{Query: ch.Query{
				Body: "SELECT count() FROM system.processes WHERE query LIKE '%" + marker + "%' AND query NOT LIKE '%system.processes%'",
			}})
			return err == nil && n == 0
		}, 20*time.Second, 20*time.Millisecond)
	}
	n, err := p.UInt64(context.Background(), Query{Query: ch.Query{Body: "SELECT toUInt64(7)"}})
	require.NoError(t, err)
	assert.EqualValues(t, 7, n)
}

func TestErrorsHaveCauses(t *testing.T) {
	p := newPool(t, nil)
	f := func(cause error, body string, settings ...ch.Setting) {
		t.Helper()
		require.ErrorIs(t, p.Do(context.Background(), sql(body, settings...)), cause)
	}
	f(profilestore.ErrLimit, "SELECT sleepEachRow(0.1) FROM numbers(100) SETTINGS max_block_size = 1", SettingInt("max_execution_time", 1))
	f(profilestore.ErrLimit, "SELECT groupArray(number) FROM numbers(100000000)", SettingInt("max_memory_usage", 32<<20))
	f(profilestore.ErrLimit, "SELECT number FROM numbers(1000)", SettingInt("max_result_rows", 10), Setting("result_overflow_mode", "throw"))
	f(profilestore.ErrUnavailable, "SELECT * FROM no_such_database.t")
	err := p.Do(context.Background(), sql("SELEC"))
	require.Error(t, err)
	assert.NotErrorIs(t, err, profilestore.ErrUnavailable)
	assert.NotErrorIs(t, err, profilestore.ErrLimit)

	// A query whose time is over on our side, while the server is silent.
	q := sql("SELECT sleep(3)")
	q.Timeout = 50 * time.Millisecond
	require.ErrorIs(t, p.Do(context.Background(), q), profilestore.ErrUnavailable)

	wrong := newPool(t, func(o *Options) { o.Password = "wrong" })
	err = wrong.Ping(context.Background())
	require.ErrorIs(t, err, profilestore.ErrUnavailable)
	assert.NotContains(t, err.Error(), "wrong")

	p.Close()
	require.ErrorIs(t, p.Do(context.Background(), sql("SELECT 1")), profilestore.ErrUnavailable)
}

// TestMaxConnections never has more connections than allowed, however many ask.
func TestMaxConnections(t *testing.T) {
	p := newPool(t, func(o *Options) { o.MaxConnections = 2 })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { assert.NoError(t, p.Do(context.Background(), sql("SELECT sleep(0.01)"))) })
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	assert.LessOrEqual(t, len(p.idle), 2)
}

// TestDeadIdleConnections uses connections that died while they were idle.
func TestDeadIdleConnections(t *testing.T) {
	server := clickhousetest.Start(t)
	p := newPool(t, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { assert.NoError(t, p.Do(context.Background(), sql("SELECT sleep(0.1)"))) })
	}
	wg.Wait()
	clickhousetest.Kill(t, server)
	clickhousetest.WaitReady(t, server)
	require.NoError(t, p.Do(context.Background(), sql("SELECT 1")))
}

func TestQuote(t *testing.T) {
	assert.Equal(t, `'a\'b\\c'`, quote(`a'b\c`))
	assert.Equal(t, `a\tb\\`, escapeText("a\tb\\"))
	assert.False(t, strings.Contains(quote("\x00"), "\x00"))
}

// A query that is cancelled as its last packet comes may still succeed; whoever
// is next must not get its connection, which cannot be read from any more.
func TestCancelAtTheEnd(t *testing.T) {
	p := newPool(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := p.acquire(ctx)
	require.NoError(t, err)
	q := sql("SELECT 1")
	q.OnResult = func(context.Context, proto.Block) error { cancel(); return nil }
	_ = c.do(ctx, q)
	p.release(c, nil)
	assert.Empty(t, p.idle)
	require.NoError(t, p.Do(t.Context(), sql("SELECT 1")))
	assert.Len(t, p.idle, 1)
}
