package pyroscopeapiextension

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	pprofile "github.com/google/pprof/profile"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	settingsPath = "/settings.v1.SettingsService/"
	adhocPath    = "/adhocprofiles.v1.AdHocProfileService/"
)

func TestSettings(t *testing.T) {
	f := start(t, func(c *Config) { c.Multitenancy = true })
	call := func(tenant, method, body string) (int, string) {
		t.Helper()
		return f.post(t, settingsPath+method, body, "X-Scope-OrgID", tenant)
	}
	_, body := call("a", "Get", `{}`)
	assert.JSONEq(t, `{}`, body)
	status, body := call("a", "Set", `{"setting":{"name":"z","value":"1","modifiedAt":"100"}}`)
	assert.Equal(t, http.StatusOK, status, body)
	assert.JSONEq(t, `{"setting":{"name":"z","value":"1","modifiedAt":"100"}}`, body)
	call("a", "Set", `{"setting":{"name":"b","value":"2","modifiedAt":"101"}}`)
	call("a", "Set", `{"setting":{"name":"z","value":"3","modifiedAt":"102"}}`)
	status, body = call("a", "Set", `{"setting":{"name":"z","value":"4","modifiedAt":"99"}}`)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, body, "was changed at 102")
	_, body = call("a", "Get", `{}`)
	assert.JSONEq(t, `{"settings":[{"name":"b","value":"2","modifiedAt":"101"},{"name":"z","value":"3","modifiedAt":"102"}]}`, body)
	_, body = call("b", "Get", `{}`)
	assert.JSONEq(t, `{}`, body)
	status, _ = call("a", "Delete", `{"name":"z"}`)
	assert.Equal(t, http.StatusOK, status)
	_, body = call("a", "Get", `{}`)
	assert.JSONEq(t, `{"settings":[{"name":"b","value":"2","modifiedAt":"101"}]}`, body)
	for _, bad := range []string{`{}`, `{"setting":{"value":"x"}}`, `{"setting":{"name":"` + strings.Repeat("x", maxSettingName+1) + `"}}`, `{"setting":{"name":"x","value":"` + strings.Repeat("x", maxSettingValue+1) + `"}}`} {
		status, body := call("a", "Set", bad)
		assert.Equal(t, http.StatusBadRequest, status, body)
	}
	status, _ = call("a", "Delete", `{}`)
	assert.Equal(t, http.StatusBadRequest, status)
}

// What is kept by a storage extension is there after a restart.
func TestStorage(t *testing.T) {
	dir := t.TempDir()
	id := component.MustNewIDWithName("file_storage", "pyroscope")
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	files, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	f := start(t, nil)
	f.run(t, files)
	f.host[id] = files
	first, err := openKeeper(t.Context(), f.host, &id, component.MustNewID("pyroscope_api"))
	require.NoError(t, err)
	require.NoError(t, f.keep.Close(t.Context()))
	f.keep = first
	f.post(t, settingsPath+"Set", `{"setting":{"name":"a","value":"1","modifiedAt":"100"}}`)
	require.NoError(t, first.Close(t.Context()))
	f.keep, err = openKeeper(t.Context(), f.host, &id, component.MustNewID("pyroscope_api"))
	require.NoError(t, err)
	_, body := f.post(t, settingsPath+"Get", `{}`)
	assert.JSONEq(t, `{"settings":[{"name":"a","value":"1","modifiedAt":"100"}]}`, body)

	missing := component.MustNewID("file_storage")
	_, err = openKeeper(t.Context(), f.host, &missing, missing)
	require.ErrorContains(t, err, "`storage: file_storage`: not in service::extensions")
	_, err = openKeeper(t.Context(), f.host, &storeID, missing)
	require.ErrorContains(t, err, "it is no storage extension")
}

func TestMemoryIsBounded(t *testing.T) {
	m := &memory{values: make(map[string][]byte)}
	const share = maxTenantMemory - len("x/a")
	require.ErrorIs(t, m.Set(t.Context(), "x/a", make([]byte, share+1)), profilestore.ErrLimit)
	for _, tenant := range []string{"a", "b"} {
		require.NoError(t, m.Set(t.Context(), "x/"+tenant, make([]byte, share)), "tenants do not take each other's")
	}
	require.ErrorIs(t, m.Set(t.Context(), "x/a/1", nil), profilestore.ErrLimit)
	require.NoError(t, m.Set(t.Context(), "x/c", make([]byte, share-1)))
	require.ErrorIs(t, m.Set(t.Context(), "x/e", nil), profilestore.ErrLimit)
	require.NoError(t, m.Set(t.Context(), "x/a", nil))
	require.NoError(t, m.Set(t.Context(), "x/a/1", []byte("x")))
	for _, key := range []string{"x/a", "x/a", "x/a/1", "x/b", "x/c"} {
		require.NoError(t, m.Delete(t.Context(), key))
	}
	assert.Zero(t, m.bytes)
	assert.Empty(t, m.owners)
}

type uploaded struct {
	ID, Name, ProfileType, FlamebearerProfile string
	ProfileTypes                              []string
}

func TestAdhoc(t *testing.T) {
	f := start(t, nil)
	upload := func(name string, data []byte) (int, uploaded) {
		t.Helper()
		request, err := json.Marshal(map[string]string{"name": name, "profile": base64.StdEncoding.EncodeToString(data)})
		require.NoError(t, err)
		status, body := f.post(t, adhocPath+"Upload", string(request))
		var out uploaded
		require.NoError(t, json.Unmarshal([]byte(body), &out))
		return status, out
	}
	fn := &pprofile.Function{ID: 1, Name: "main"}
	location := &pprofile.Location{ID: 1, Line: []pprofile.Line{{Function: fn}}}
	p := &pprofile.Profile{
		SampleType: []*pprofile.ValueType{{Type: "alloc_space", Unit: "bytes"}, {Type: "alloc_objects", Unit: "count"}},
		Sample:     []*pprofile.Sample{{Location: []*pprofile.Location{location}, Value: []int64{64, 2}}},
		Function:   []*pprofile.Function{fn}, Location: []*pprofile.Location{location},
	}
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	status, heap := upload("heap.pb.gz", b.Bytes())
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, []string{"alloc_space", "alloc_objects"}, heap.ProfileTypes)
	assert.JSONEq(t, `{"version":1,"flamebearer":{"names":["total","main"],"levels":[[0,64,0,0],[0,64,64,1]],"numTicks":64,"maxSelf":64},
		"metadata":{"format":"single","spyName":"","sampleRate":100,"units":"bytes","name":"alloc_space"},"timeline":null,"groups":null,"heatmap":null}`, heap.FlamebearerProfile)
	status, folded := upload("x.folded", []byte("main;a 3\nmain 1\n"))
	require.Equal(t, http.StatusOK, status)
	assert.Contains(t, folded.FlamebearerProfile, `"numTicks":4`)

	status, body := f.post(t, adhocPath+"Get", `{"id":"`+heap.ID+`","profileType":"alloc_objects"}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `\"numTicks\":2`)
	status, body = f.post(t, adhocPath+"List", `{}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, heap.ID)
	assert.Contains(t, body, folded.ID)
	status, body = f.post(t, adhocPath+"Diff", `{"leftId":"`+heap.ID+`","rightId":"`+heap.ID+`"}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `\"leftTicks\":64`)

	status, _ = f.post(t, adhocPath+"Get", `{"id":"none"}`)
	assert.Equal(t, http.StatusNotFound, status)
	status, _ = f.post(t, adhocPath+"Get", `{"id":"`+heap.ID+`","profileType":"none"}`)
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = upload("", b.Bytes())
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = f.post(t, adhocPath+"Upload", `{"name":"x","profile":"%%%"}`)
	assert.Equal(t, http.StatusBadRequest, status)
	// A stack that many samples share is small in a file.
	location.Line = slices.Repeat(location.Line, 100)
	p.Sample[0].Location = slices.Repeat(p.Sample[0].Location, 20)
	p.Sample = slices.Repeat(p.Sample, maxAdhocFrames/2000+1)
	var deep bytes.Buffer
	require.NoError(t, p.Write(&deep))
	status, _ = upload("deep", deep.Bytes())
	assert.Equal(t, http.StatusBadRequest, status)
	_, err := readFile(deep.Bytes())
	require.ErrorContains(t, err, "profile has more than 8388608 frames in its samples")
	for n := range b.Len() {
		status, _ := upload("cut", b.Bytes()[:n])
		assert.Equal(t, http.StatusBadRequest, status, n)
	}
}

// Uploads never fail for the number of those before: the oldest goes.
func TestAdhocForgetsTheOldest(t *testing.T) {
	f := start(t, nil)
	s := &adhoc{api: f.api}
	for i := range maxAdhoc + 2 {
		require.NoError(t, s.add(t.Context(), "a", adhocEntry{ID: strconv.Itoa(i)}, []byte("x")))
	}
	list, err := s.read(t.Context(), "a")
	require.NoError(t, err)
	assert.Len(t, list, maxAdhoc)
	assert.Equal(t, "2", list[0].ID)
	for id, want := range map[string][]byte{"1": nil, "2": []byte("x")} {
		got, err := f.keep.Get(t.Context(), adhocKey("a", id))
		require.NoError(t, err)
		assert.Equal(t, want, got, id)
	}
}
