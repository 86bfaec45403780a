package clickhouseprofilesexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter/internal/metadata"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

var (
	storeID   = component.MustNewID("profile_store")
	storageID = component.MustNewIDWithName("file_storage", "queue")
)

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// memoryStore keeps windows by token, as the contract of [profilestore.Writer]
// says, and can be told to refuse.
type memoryStore struct {
	component.StartFunc
	component.ShutdownFunc

	mu     sync.Mutex
	err    error
	tokens map[profile.ID]uint64 // events by token
	writes int
}

func (s *memoryStore) Write(_ context.Context, w *profilestore.Window) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for _, g := range w.Groups.Groups {
		if g.Series.Service == "poison" {
			return fmt.Errorf("%w: poison", profile.ErrInvalid)
		}
	}
	if s.err != nil {
		return s.err
	}
	if s.tokens == nil {
		s.tokens = map[profile.ID]uint64{}
	}
	s.tokens[w.Token] = w.Groups.Events
	return nil
}

func (s *memoryStore) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *memoryStore) events() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.tokens {
		n += e
	}
	return n
}

func (s *memoryStore) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

var errAway = errors.New("store is away")

// fileStorage starts a real file_storage extension in dir.
func fileStorage(t testing.TB, dir string) component.Component {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	cfg.FSync = true
	set := extensiontest.NewNopSettings(f.Type())
	set.ID = storageID
	ext, err := f.Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	return ext
}

// testConfig retries fast.
func testConfig(change func(*Config)) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Store = storeID
	cfg.BackOffConfig.InitialInterval = time.Millisecond
	cfg.BackOffConfig.MaxInterval = 10 * time.Millisecond
	if change != nil {
		change(cfg)
	}
	return cfg
}

func persistent(cfg *Config) {
	q := cfg.QueueConfig.Get()
	q.StorageID, q.WaitForResult = &storageID, false
}

// start returns a running exporter; stop ends it.
func start(t testing.TB, host testHost, change func(*Config)) *profilesExporter {
	t.Helper()
	set := exportertest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type) // names the queue's file
	e, err := newExporter(t.Context(), set, testConfig(change))
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background(), host))
	return e
}

// window returns a window of n observations with an ID of its own.
func window(id, service string, n int) pprofile.Profiles {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	a := rp.Resource().Attributes()
	a.PutStr("service.name", service)
	a.PutStr(profile.AttrTenant, "t1")
	a.PutStr(profile.AttrAgentID, "agent")
	if id != "" {
		a.PutStr(profile.AttrWindowID, id)
	}
	a.PutInt(profile.AttrBatchSequence, 1)
	a.PutInt(profile.AttrBatchEventCount, int64(n))
	a.PutInt(profile.AttrBatchReceivedAt, 2e9)
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindCPU, profile.Types(profile.KindCPU)[0], profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, 1e7)
	p.SetTime(1e9)
	for i := range n {
		s := p.Samples().AppendEmpty()
		s.Values().Append(1)
		s.SetStackIndex(b.Stack([]int32{b.Location(0, uint64(i), profile.FrameNative, profile.Line{Function: b.Function(profile.Function{Name: fmt.Sprint("f", i)})})}))
	}
	return b.Profiles()
}

func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, time.Millisecond)
}
