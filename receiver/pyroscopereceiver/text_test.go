package pyroscopereceiver

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const folded = "foo;bar 100\n foo;baz 200"

func TestFolded(t *testing.T) {
	f := start(t, options{})
	assert.Equal(t, map[string]int64{
		"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {pyroscope_spy=unknown,service_name=curl-test-app} foo;bar":  1e9,
		"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {pyroscope_spy=unknown,service_name=curl-test-app}  foo;baz": 2e9,
		"anonymous process_cpu:samples:count:cpu:nanoseconds {pyroscope_spy=unknown,service_name=curl-test-app} foo;bar":    100,
		"anonymous process_cpu:samples:count:cpu:nanoseconds {pyroscope_spy=unknown,service_name=curl-test-app}  foo;baz":   200,
	}, f.push(t, query("name", "curl-test-app"), []byte(folded)))
	assert.Equal(t, map[string]int64{
		"anonymous wall:wall:nanoseconds:cpu:nanoseconds {env=staging,pyroscope_spy=eBPF,region=us-west-1,service_name=my.awesome.app} a b;c": 3 * 1e9 / 50,
	}, f.push(t, query("name", "my.awesome.app.wall{env=staging,region=us-west-1}", "sampleRate", "50", "spyName", "eBPF"), []byte("a b;c 1\nnothing\na b;c 2\nx 0\nx -5\n")))
	assert.Equal(t, map[string]int64{
		"anonymous memory:alloc_space:bytes:: {app_name=app,pyroscope_spy=unknown,service_name=other,x_y=z} foo": 7,
	}, f.push(t, query("name", "app.alloc_space{service_name=other,x.y=z,__session_id__=1}"), []byte("foo 7")))
	assert.Equal(t, map[string]int64{
		"anonymous process_cpu:samples:count:cpu:nanoseconds {pyroscope_spy=unknown,service_name=app} foo": 7,
	}, f.push(t, query("name", "app", "sampleRate", "0"), []byte("foo 7")))
	assert.Equal(t, map[string]int64{
		"anonymous mutex:delay:nanoseconds:: {pyroscope_spy=unknown,service_name=app} foo": 7,
	}, f.push(t, "/pyroscope"+query("name", "app.mutex_duration", "format", "nonsense"), []byte("foo 7")))
}

func TestLines(t *testing.T) {
	f := start(t, options{})
	assert.Equal(t, map[string]int64{
		"anonymous goroutine:goroutines:count:: {pyroscope_spy=unknown,service_name=app} foo;bar":   3,
		"anonymous goroutine:goroutines:count:: {pyroscope_spy=unknown,service_name=app} foo;b a z": 1,
	}, f.push(t, query("name", "app.goroutines", "format", "lines"), []byte("foo;bar\nfoo;bar\r\n\nfoo;b a z\nfoo;bar\n")))
}

// node writes a node of a trie or tree, whose children follow it.
func node(name string, value, children uint64) []byte {
	b := append(binary.AppendUvarint(nil, uint64(len(name))), name...)
	return binary.AppendUvarint(binary.AppendUvarint(b, value), children)
}

func TestTrieAndTree(t *testing.T) {
	f := start(t, options{})
	want := map[string]int64{
		"anonymous exceptions:samples:count:: {pyroscope_spy=unknown,service_name=app} foo;bar": 1,
		"anonymous exceptions:samples:count:: {pyroscope_spy=unknown,service_name=app} foo;baz": 300,
		"anonymous exceptions:samples:count:: {pyroscope_spy=unknown,service_name=app} foo":     4,
	}
	trie := bytes.Join([][]byte{node("", 0, 1), node("foo", 4, 1), node(";ba", 0, 2), node("r", 1, 0), node("z", 300, 0)}, nil)
	tree := bytes.Join([][]byte{node("", 0, 1), node("foo", 4, 2), node("bar", 1, 0), node("baz", 300, 0)}, nil)
	assert.Equal(t, want, f.push(t, query("name", "app.exceptions", "format", "trie"), trie))
	assert.Equal(t, want, f.push(t, query("name", "app.exceptions", "format", "tree"), tree))
	assert.Equal(t, want, f.push(t, query("name", "app.exceptions"), trie, "Content-Type", "binary/octet-stream+trie"))
	assert.Equal(t, want, f.push(t, query("name", "app.exceptions"), tree, "Content-Type", "binary/octet-stream+tree"))
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// Bodies may be gzipped, said or not.
func TestGzip(t *testing.T) {
	f := start(t, options{})
	plain := f.push(t, query("name", "app"), []byte(folded))
	assert.Len(t, plain, 4)
	assert.Equal(t, plain, f.push(t, query("name", "app"), gzipped(t, []byte(folded))))
	assert.Equal(t, plain, f.push(t, query("name", "app"), gzipped(t, []byte(folded)), "Content-Encoding", "gzip"))
	assert.Equal(t, plain, f.push(t, query("name", "app"), gzipped(t, gzipped(t, []byte(folded))), "Content-Encoding", "gzip"))
}

func TestSpeedscope(t *testing.T) {
	f := start(t, options{})
	const frames = `"shared":{"frames":[{"name":"a"},{"name":"b"}]}`
	const sampled = `{"type":"sampled","name":"one","unit":"milliseconds","startValue":0,"endValue":5,"samples":[[0],[0,1],[0,1],[]],"weights":[1,2.5,1.5,0]}`
	const evented = `{"type":"evented","name":"two","unit":"bytes","events":[{"type":"O","frame":0,"at":1},{"type":"O","frame":1,"at":3},{"type":"C","frame":1,"at":7},{"type":"C","frame":0,"at":7}]}`
	assert.Equal(t, map[string]int64{
		"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {pyroscope_spy=unknown,service_name=app} a":   1e6,
		"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {pyroscope_spy=unknown,service_name=app} a;b": 4e6,
		"anonymous process_cpu:samples:count:cpu:nanoseconds {pyroscope_spy=unknown,service_name=app} a":     1,
		"anonymous process_cpu:samples:count:cpu:nanoseconds {pyroscope_spy=unknown,service_name=app} a;b":   4,
	}, f.push(t, query("name", "app", "format", "speedscope", "sampleRate", "1000"), []byte(`{`+frames+`,"profiles":[`+sampled+`]}`)))
	assert.Equal(t, map[string]int64{
		"anonymous wall:wall:nanoseconds:cpu:nanoseconds {profile_name=one,pyroscope_spy=unknown,service_name=app.x} a":   1e6,
		"anonymous wall:wall:nanoseconds:cpu:nanoseconds {profile_name=one,pyroscope_spy=unknown,service_name=app.x} a;b": 4e6,
		"anonymous memory:samples:bytes:: {profile_name=two,pyroscope_spy=unknown,service_name=app.x} a":                  2,
		"anonymous memory:samples:bytes:: {profile_name=two,pyroscope_spy=unknown,service_name=app.x} a;b":                4,
	}, f.push(t, query("name", "app.x", "format", "speedscope"), []byte(`{`+frames+`,"profiles":[`+sampled+`,`+evented+`]}`)))
}
