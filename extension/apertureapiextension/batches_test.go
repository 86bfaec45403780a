package apertureapiextension

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func (f *fixture) batchList(t *testing.T, query string) batchesJSON {
	t.Helper()
	var list batchesJSON
	require.NoError(t, json.Unmarshal([]byte(f.get(t, "/api/batches"+query)), &list))
	return list
}

func (l batchesJSON) sequences() []uint64 {
	out := []uint64{}
	for _, b := range l.Batches {
		out = append(out, b.Sequence)
	}
	return out
}

func TestBatches(t *testing.T) {
	store := newMemoryStore()
	f := start(t, options{store: store})
	f.push(t, "", "a", "cpu", "empty", "mixed")
	f.push(t, "", "b", "cpu")

	all := f.batchList(t, "")
	assert.Empty(t, all.Error)
	assert.Equal(t, []uint64{1, 2, 3, 1}, all.sequences(), "each once, oldest first")
	assert.EqualValues(t, 4, all.Batches[2].EventCount)
	assert.Equal(t, []uint64{3, 1}, f.batchList(t, "?limit=2").sequences())
	assert.Equal(t, []uint64{1, 2, 3}, f.batchList(t, "?agent_id=a").sequences())
	assert.Empty(t, f.batchList(t, "?agent_id=").Batches)
	assert.Empty(t, f.batchList(t, "?limit=0").Batches)
	assert.Len(t, f.batchList(t, "?limit=1000000").Batches, 4)

	// Another instance, or this one after a restart, knows them from the store.
	again := start(t, options{store: store})
	assert.Equal(t, all, again.batchList(t, ""))
	again.push(t, "", "c", "cpu")
	assert.Len(t, again.batchList(t, "").Batches, 5)
	assert.Equal(t, "c", again.batchList(t, "?limit=1").Batches[0].AgentID)

	store.fail(profilestore.ErrUnavailable)
	recent := again.batchList(t, "")
	assert.Len(t, recent.Batches, 1, "the live view answers alone")
	assert.Equal(t, "recent batches only: profile store unavailable", recent.Error)
}

func TestBatchesAreSentAsIntegers(t *testing.T) {
	f := start(t, options{})
	remove := f.RegisterLiveView(fixedView{batches: []apertureapi.BatchInfo{{AgentID: "<a>", Sequence: 1<<64 - 1, EventCount: 1 << 63, ReceivedAt: 1<<63 - 1}}})
	defer remove()
	resp, body := f.do(t, http.MethodGet, "/api/batches", "")
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	assert.Equal(t, `{"batches":[{"agent_id":"<a>","sequence":18446744073709551615,"event_count":9223372036854775808,"received_at_ns":9223372036854775807}],"error":""}`+"\n", body)
}
