package profilebufferprocessor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/processor"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor/internal/metadata"
)

// gate is a next component that can be made to wait or to refuse.
type gate struct {
	consumertest.ProfilesSink
	mu   sync.Mutex
	hold chan struct{} // when not nil, ConsumeProfiles waits until it is closed
	err  error
	got  chan struct{} // one item per call, when not nil
}

func (g *gate) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (g *gate) ConsumeProfiles(ctx context.Context, pd pprofile.Profiles) error {
	g.mu.Lock()
	hold, err := g.hold, g.err
	g.mu.Unlock()
	if g.got != nil {
		g.got <- struct{}{}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	return g.ProfilesSink.ConsumeProfiles(ctx, pd)
}

func (g *gate) refuse(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// groups returns what arrived, taken apart.
func (g *gate) groups(t testing.TB) (out []*profile.Groups) {
	t.Helper()
	for _, pd := range g.AllProfiles() {
		s, err := profile.Split(pd, time.Second, profile.Limits{})
		require.NoError(t, err)
		out = append(out, s)
	}
	return out
}

func (g *gate) events(t testing.TB) (n uint64) {
	for _, s := range g.groups(t) {
		n += s.Events
	}
	return n
}

// registry keeps the live views that register.
type registry struct {
	component.StartFunc
	component.ShutdownFunc
	views map[int]apertureapi.LiveView
	n     int
}

func (r *registry) Backpressure() bool { return false }

func (r *registry) RegisterLiveView(v apertureapi.LiveView) func() {
	if r.views == nil {
		r.views = map[int]apertureapi.LiveView{}
	}
	r.n++
	id := r.n
	r.views[id] = v
	return func() { delete(r.views, id) }
}

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// started returns a running processor that hands windows to next.
func started(t testing.TB, next *gate, change func(*Config)) (*bufferProcessor, *componenttest.Telemetry) {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.Window = 5 * time.Millisecond
	if change != nil {
		change(cfg)
	}
	tel := componenttest.NewTelemetry()
	set := processor.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: tel.NewTelemetrySettings()}
	p, err := newProcessor(set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), testHost{}))
	t.Cleanup(func() {
		require.NoError(t, p.Shutdown(context.Background()))
		require.NoError(t, tel.Shutdown(context.Background()))
	})
	return p, tel
}

// cpu returns a push with n CPU samples of one stack.
func cpu(n int, stack string, resource map[string]any) pprofile.Profiles {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	if err := rp.Resource().Attributes().FromRaw(resource); err != nil {
		panic(err)
	}
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindCPU, profile.Types(profile.KindCPU)[0], profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, 1e7)
	s := p.Samples().AppendEmpty()
	for i := range n {
		s.TimestampsUnixNano().Append(uint64(1e9 + i))
	}
	s.SetStackIndex(b.Stack([]int32{b.Location(0, 1, profile.FrameNative, profile.Line{Function: b.Function(profile.Function{Name: stack})})}))
	return b.Profiles()
}

func tenantContext(ctx context.Context, tenant ...string) context.Context {
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(map[string][]string{"x-scope-orgid": tenant})})
}
