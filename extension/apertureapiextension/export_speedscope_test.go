package apertureapiextension

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkSpeedscope expects exportProfiles in the store.
func checkSpeedscope(t *testing.T, f *fixture, tenant string) {
	resp, body := f.do(t, http.MethodGet, "/api/export/speedscope?event_type=lock", "", "X-Scope-OrgID", tenant)
	assert.Equal(t, `attachment; filename="aperture-lock.speedscope.json"`, resp.Header.Get("Content-Disposition"))
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	var got struct {
		Shared struct {
			Frames []struct{ Name string }
		}
		Profiles []struct {
			Unit     string
			EndValue int64
			Samples  [][]int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	require.Len(t, got.Profiles, 2)
	assert.Equal(t, "nanoseconds", got.Profiles[0].Unit)
	assert.Equal(t, int64(653), got.Profiles[0].EndValue)
	assert.Equal(t, int64(8), got.Profiles[1].EndValue)
	var names []string
	for _, n := range got.Profiles[0].Samples[0] {
		names = append(names, got.Shared.Frames[n].Name)
	}
	assert.Equal(t, []string{"main", "work", "inlined"}, names)
	assert.Contains(t, body, `"name":"evil;\n\"'\u003c/title`)
}

func TestExportSpeedscope(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	checkSpeedscope(t, f, "anonymous")
}
