package chunkreader

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestSeriesThatComeMeanwhile stores windows with series of their own between the
// statements of a query: all profiles are under their labels, and those of which
// nobody knows labels are under empty ones.
func TestSeriesThatComeMeanwhile(t *testing.T) {
	f := newSeriesFixture(t)
	pool, o, start := f.pool, f.tables, f.start
	write := func(pod string) {
		f.write(profile.Label{Name: "k8s.pod.name", Value: pod}, profile.Label{Name: "zone", Value: "z"})
	}
	var mu sync.Mutex
	var coming []string // after each time that labels were read
	options := newReader(pool, o, 1<<20).opts
	options.OnQuery = func(_ context.Context, name string, _ time.Duration, _ error) {
		mu.Lock()
		defer mu.Unlock()
		if name == "series_labels" && len(coming) > 0 {
			write(coming[0])
			coming = coming[1:]
		}
	}
	r := New(pool, options)
	opts := profilestore.SeriesOptions{By: []string{"k8s.pod.name", "zone"}}
	ask := func(r *Reader, sel profilestore.Selector) (pods map[string]uint64, all uint64) {
		t.Helper()
		list, err := r.Series(t.Context(), sel, opts)
		require.NoError(t, err)
		pods = make(map[string]uint64)
		for _, s := range list {
			require.Len(t, s.Labels, 2)
			for _, p := range s.Points {
				pods[s.Labels[0]+"/"+s.Labels[1]] += p.Profiles
				all += p.Profiles
			}
		}
		return pods, all
	}
	one := profilestore.Selector{Tenant: "anonymous", Service: "service-0", Start: start, End: start + int64(time.Hour)}
	every, some := one, one
	every.Service, some.Service = "", ""
	some.Matchers = []profilestore.Matcher{{Name: "k8s.pod.name", Op: profilestore.MatchNotEqual, Value: "pod-0"}}
	for name, sel := range map[string]profilestore.Selector{"one": one, "every": every, "some": some} {
		coming = []string{name + "-0", name + "-1"}
		pods, all := ask(r, sel)
		require.Empty(t, coming, name)
		assert.Positive(t, pods[name+"-0/z"], name)
		assert.NotContains(t, pods, name+"-1/z", "what came after all had been asked")
		want, wantAll := ask(New(pool, options), sel)
		assert.Positive(t, want[name+"-1/z"], name)
		assert.Equal(t, wantAll-want[name+"-1/z"], all, name)
		delete(want, name+"-1/z")
		assert.Equal(t, want, pods, name)
	}

	_, all := ask(r, one) // which it remembers
	write("remembered")
	pods, more := ask(r, one)
	assert.Positive(t, pods["remembered/z"])
	assert.Equal(t, all+pods["remembered/z"], more)

	clickhousetest.Exec(t, clickhousetest.Start(t), "ALTER TABLE "+o.Table("series")+" DELETE WHERE labels['zone'] = 'z' SETTINGS mutations_sync = 2")
	pods, all = ask(New(pool, options), one)
	assert.Equal(t, more, all)
	assert.Positive(t, pods["/"])
	assert.NotContains(t, pods, "remembered/z")
}
