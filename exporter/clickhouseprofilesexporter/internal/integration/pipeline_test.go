package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/exporter/xexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension"
	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

var (
	storeID    = component.MustNewID("profile_store")
	storageID  = component.MustNewID("file_storage")
	registryID = component.MustNewID("aperture_api")
)

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// registry keeps the live view of the buffer.
type registry struct {
	component.StartFunc
	component.ShutdownFunc
	view apertureapi.LiveView
}

func (r *registry) Backpressure() bool { return false }

func (r *registry) RegisterLiveView(v apertureapi.LiveView) func() {
	r.view = v
	return func() {}
}

// pipeline is a collector in small: buffer, exporter, queue and store.
type pipeline struct {
	host     testHost
	buffer   xprocessor.Profiles
	exporter xexporter.Profiles
	view     *registry
}

// begin starts a pipeline with its queue in dir.
func begin(t testing.TB, server *chserver.Server, database, dir string) *pipeline {
	t.Helper()
	p := &pipeline{host: testHost{}, view: &registry{}}
	p.host[registryID] = p.view

	fs := filestorage.NewFactory()
	fsCfg := fs.CreateDefaultConfig().(*filestorage.Config)
	fsCfg.Directory = dir
	p.extension(t, fs, storageID, fsCfg)

	ps := profilestoreextension.NewFactory()
	psCfg := ps.CreateDefaultConfig().(*profilestoreextension.Config)
	e := server.Endpoint()
	psCfg.Endpoint, psCfg.Database = []string{e.Addr}, database
	psCfg.Username, psCfg.Password = e.Username, configopaque.String(e.Password)
	p.extension(t, ps, storeID, psCfg)

	ex := clickhouseprofilesexporter.NewFactory()
	exCfg := ex.CreateDefaultConfig().(*clickhouseprofilesexporter.Config)
	exCfg.Store = storeID
	exCfg.QueueConfig.Get().StorageID = &storageID
	exCfg.QueueConfig.Get().WaitForResult = false
	exCfg.BackOffConfig.InitialInterval = 10 * time.Millisecond
	exCfg.BackOffConfig.MaxInterval = 100 * time.Millisecond
	set := exportertest.NewNopSettings(ex.Type())
	set.ID = component.NewID(ex.Type()) // names the queue's file
	var err error
	p.exporter, err = ex.(xexporter.Factory).CreateProfiles(t.Context(), set, exCfg)
	require.NoError(t, err)
	require.NoError(t, p.exporter.Start(context.Background(), p.host))

	pb := profilebufferprocessor.NewFactory()
	pbCfg := pb.CreateDefaultConfig().(*profilebufferprocessor.Config)
	pbCfg.Window = 20 * time.Millisecond
	pbCfg.LiveView = &registryID
	pbCfg.KeepProfiles.Duration = time.Hour
	p.buffer, err = pb.(xprocessor.Factory).CreateProfiles(t.Context(), processortest.NewNopSettings(pb.Type()), pbCfg, p.exporter)
	require.NoError(t, err)
	require.NoError(t, p.buffer.Start(context.Background(), p.host))
	return p
}

func (p *pipeline) extension(t testing.TB, f extension.Factory, id component.ID, cfg component.Config) {
	t.Helper()
	set := extensiontest.NewNopSettings(f.Type())
	set.ID = id
	ext, err := f.Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	p.host[id] = ext
}

// end stops the pipeline in the order of a collector.
func (p *pipeline) end(t testing.TB) {
	t.Helper()
	for _, c := range []component.Component{p.buffer, p.exporter, p.host[storageID], p.host[storeID]} {
		require.NoError(t, c.Shutdown(context.Background()))
	}
}

func (p *pipeline) store() profilestore.Store { return p.host[storeID].(profilestore.Store) }

// push makes a push of n observations of every kind of ours.
func push(agent string, sequence, n int) pprofile.Profiles {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	a := rp.Resource().Attributes()
	a.PutStr(profile.AttrTenant, "t1")
	a.PutStr("service.name", "service-"+agent)
	a.PutStr(profile.AttrAgentID, agent)
	a.PutInt(profile.AttrBatchSequence, int64(sequence))
	a.PutInt(profile.AttrBatchEventCount, int64(n))
	a.PutInt(profile.AttrBatchReceivedAt, start+int64(sequence))
	scope := rp.ScopeProfiles().AppendEmpty()
	kinds := []string{profile.KindCPU, profile.KindLock, profile.KindSyscall, profile.KindOffCPU}
	profiles := map[string]pprofile.Profile{}
	for i := range n {
		kind := kinds[(i+sequence)%len(kinds)]
		p, ok := profiles[kind]
		if !ok {
			p = b.AddProfile(scope, kind, profile.Types(kind)[0], profile.ValueType{}, 0)
			profiles[kind] = p
		}
		s := p.Samples().AppendEmpty()
		s.TimestampsUnixNano().Append(uint64(start + int64(sequence)*int64(time.Second)/4 + int64(i)))
		value := int64(1 + i*37%1000)
		if kind != profile.KindCPU {
			s.Values().Append(value)
		}
		var locations []int32
		for f := range 1 + i%5 {
			fn := b.Function(profile.Function{Name: fmt.Sprint("f", i%7, f)})
			locations = append(locations, b.Location(b.Mapping(profile.Mapping{Filename: "/bin/x", BuildID: "ab"}), uint64(f), profile.FrameNative, profile.Line{Function: fn, Line: int64(f)}))
		}
		s.SetStackIndex(b.Stack(locations))
		switch kind {
		case profile.KindLock:
			s.AttributeIndices().Append(b.IntAttribute(profile.AttrLockAddress, int64(i%3-1)))
		case profile.KindSyscall:
			s.AttributeIndices().Append(b.IntAttribute(profile.AttrSyscallNumber, int64(i%4)),
				b.StringAttribute(profile.AttrSyscallName, fmt.Sprint("call", i%4)),
				b.IntAttribute(profile.AttrLatencyBucket, int64(profile.LatencyBucket(uint64(value)))),
				b.BoolAttribute(profile.AttrError, i%11 == 0))
		}
	}
	return b.Profiles()
}

const start = int64(1_700_000_000_000_000_000)

func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 60*time.Second, 5*time.Millisecond)
}

// count returns the observations stored; errors of a store that is away count as 0.
func (p *pipeline) count(t testing.TB) uint64 {
	n, err := p.store().CountEvents(t.Context(), profilestore.Selector{Tenant: "t1"})
	if err != nil {
		return 0
	}
	return n
}
