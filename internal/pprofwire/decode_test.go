package pprofwire

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func marshalled(tb testing.TB, pd pprofile.Profiles) []byte {
	tb.Helper()
	m := pprofile.ProtoMarshaler{}
	data, err := m.MarshalProfiles(pd)
	require.NoError(tb, err)
	return data
}

// Memory that is used again changes nothing, neither of what comes nor of what was
// made before, also beside others and after errors.
func TestDecodeUsesMemoryAgain(t *testing.T) {
	files := [][]byte{gzipped(small()), gzipped(goCPUOf(t, 40)), goHeap(t), goCPU(t), recorded(t, "cpu.pb.gz")}
	want := make([][]byte, len(files))
	for i, f := range files {
		p, err := Parse(f, Limits{})
		require.NoError(t, err)
		pd, err := ToProfiles(p, Options{Time: time.Unix(1, 0)})
		require.NoError(t, err)
		want[i] = marshalled(t, pd)
	}
	var wg sync.WaitGroup
	for worker := range uint64(3) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, worker))
			made := make(map[int]pprofile.Profiles)
			for range 6 {
				i := rng.IntN(len(files))
				data := append([]byte(nil), files[i]...)
				pd, err := Decode(data, Limits{}, Options{Time: time.Unix(1, 0)})
				if !assert.NoError(t, err) {
					return
				}
				clear(data)
				made[i] = pd
				_, err = Decode(files[i][:len(files[i])/2], Limits{}, Options{})
				assert.Error(t, err)
				_, err = Decode(files[i], Limits{}, Options{Kind: profile.KindGPU})
				assert.Error(t, err)
			}
			for i, pd := range made {
				assert.Equal(t, want[i], marshalled(t, pd), i)
			}
		})
	}
	wg.Wait()
}

// A receiver decodes a push and says whose it is; what is behind it in the pipeline
// takes it apart.
func ExampleDecode() {
	body := gzipped(small())
	pd, err := Decode(body, Limits{}, Options{Time: time.Now()})
	if err != nil {
		fmt.Println(err)
		return
	}
	pd.ResourceProfiles().At(0).Resource().Attributes().PutStr("service.name", "shop")
	groups, err := profile.Split(pd, time.Second, profile.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range groups.Groups {
		fmt.Println(g.Series.Service, g.Kind, g.Types[0].Type, len(g.Entries), groups.Events)
	}
	groups.Release()
	// Output: shop cpu samples 2 4
}
