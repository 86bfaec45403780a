package symbol

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const perfSample = "1000 100 JS:*foo /app/a b.js:10:5\n" +
	"0x0000000000002000 0x0000000000000010 int Busy.fib(int)\n" +
	"\nnonsense\n3000 zz x\n3000 0 x\n3000 10\n3000 10 \nffffffffffffff00 1000 wraps\n" +
	"4000 20 py::f:/a.py\r\n"

func TestPerfMap(t *testing.T) {
	var m perfMap
	assert.Zero(t, m.add([]byte(perfSample), 1<<20))
	for addr, want := range map[uint64]string{
		0xfff: "", 0x1000: "JS:*foo /app/a b.js:10:5", 0x10ff: "JS:*foo /app/a b.js:10:5", 0x1100: "",
		0x2000: "int Busy.fib(int)", 0x2010: "", 0x3000: "", 0x401f: "py::f:/a.py", ^uint64(0): "",
	} {
		assert.Equal(t, want, string(m.find(addr)), "%#x", addr)
	}
	m.add([]byte("1080 100 new"), 1<<20)
	assert.Equal(t, "new", string(m.find(0x1080)))
	assert.Empty(t, m.find(0x1000), "memory that was written to again is no longer what it was")
}

// TestPerfMapAgrees adds random entries and compares with a map of addresses.
func TestPerfMapAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m perfMap
	const space = 4096
	var truth [space]string
	for batch := range 200 {
		var lines strings.Builder
		for i := range rng.IntN(20) {
			from, name := rng.IntN(space-64), fmt.Sprintf("f%d.%d", batch, i)
			size := 1 + rng.IntN(63)
			fmt.Fprintf(&lines, "%x %x %s\n", from, size, name)
			old := map[string]bool{}
			for _, n := range truth[from : from+size] {
				old[n] = true
			}
			for a := range truth {
				if a >= from && a < from+size {
					truth[a] = name
				} else if old[truth[a]] {
					truth[a] = ""
				}
			}
		}
		require.Zero(t, m.add([]byte(lines.String()), 1<<20))
	}
	for a, want := range truth {
		// Within a batch an entry that was replaced by a replaced one may live on.
		if want != "" {
			require.Equal(t, want, string(m.find(uint64(a))), "%#x", a)
		}
	}
	assert.Less(t, len(m.names), 128<<10, "names of what is gone are dropped")
}

func TestPerfMapLimit(t *testing.T) {
	var m perfMap
	const limit = 64 << 10
	dropped := 0
	for i := range 10000 {
		dropped += m.add(fmt.Appendf(nil, "%x 10 function%d\n", 0x1000+16*i, i), limit)
	}
	assert.LessOrEqual(t, m.bytes(), limit)
	assert.Equal(t, 10000, len(m.entries)+dropped)
	assert.Greater(t, len(m.entries), 1000)
	// The same code over and over is no problem.
	m = perfMap{}
	for i := range 100000 {
		assert.Zero(t, m.add(fmt.Appendf(nil, "1000 10 function%d\n", i), 1<<20))
	}
	assert.Len(t, m.entries, 1)
	assert.Equal(t, "function99999", string(m.find(0x1000)))
}

func TestPerfMapTruncated(t *testing.T) {
	for n := range len(perfSample) {
		var m perfMap
		m.add([]byte(perfSample[:n]), 1<<20)
	}
}

func FuzzPerfMap(f *testing.F) {
	f.Add([]byte(perfSample), []byte("1080 100 new\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var m perfMap
		const limit = 4096
		m.add(a, limit)
		m.add(b, limit)
		for i, e := range m.entries {
			if i > 0 && m.entries[i-1].addr+uint64(m.entries[i-1].size) > e.addr {
				t.Fatal("entries overlap")
			}
			_ = jitSymbol(text(m.name(e)), "")
		}
		if m.bytes() > limit+64<<10 {
			t.Fatalf("%d bytes", m.bytes())
		}
	})
}

func TestJITNames(t *testing.T) {
	for name, want := range map[string]Symbol{
		"JS:*foo /path/file.js:10:5":                {Name: "foo", File: "/path/file.js", StartLine: 10, Kind: KindV8},
		"LazyCompile:~foo file.js:1:2":              {Name: "foo", File: "file.js", StartLine: 1, Kind: KindV8},
		"Function:^get size /a dir/b.js:3:4":        {Name: "get size", File: "/a dir/b.js", StartLine: 3, Kind: KindV8},
		"JS:~ node:path:1208:10":                    {Name: "(anonymous)", File: "node:path", StartLine: 1208, Kind: KindV8},
		"Eval:~ node:internal/main/x:1:1":           {Name: "(eval)", File: "node:internal/main/x", StartLine: 1, Kind: KindV8},
		"JS:+a.b file:///x/y.mjs:7:1":               {Name: "a.b", File: "file:///x/y.mjs", StartLine: 7, Kind: KindV8},
		"JS:*toString":                              {Name: "toString", Kind: KindV8},
		"JS:":                                       {Name: "JS:", Kind: KindV8},
		"JS:*:1:2":                                  {Name: ":1:2", Kind: KindV8},
		"Builtin:ArrayMap":                          {Name: "Builtin:ArrayMap", Kind: KindV8},
		"py::run:/usr/lib/a.py":                     {Name: "run", File: "/usr/lib/a.py", Kind: KindCPython},
		"py::x":                                     {Name: "py::x", Kind: KindCPython},
		"Ljava/lang/String;::hashCode":              {Name: "Ljava/lang/String;::hashCode", Kind: KindJVM},
		"void [App] Ns.C::M(int32)[OptimizedTier1]": {Name: "void [App] Ns.C::M(int32)[OptimizedTier1]", Kind: KindDotnet},
		"wasm-function[3]":                          {Name: "wasm-function[3]", Kind: KindNative},
	} {
		assert.Equal(t, want, jitSymbol(name, ""), name)
	}
	assert.Equal(t, Symbol{Name: "Interpreter", Kind: KindJVM}, jitSymbol("Interpreter", KindJVM))
	at := func(path string) []mappedRegion { return []mappedRegion{{region: region{path: path}}} }
	assert.Equal(t, KindJVM, runtimeKind(at("/opt/jdk/lib/server/libjvm.so")))
	assert.Equal(t, KindDotnet, runtimeKind(at("/usr/share/dotnet/libcoreclr.so")))
	assert.Empty(t, runtimeKind(at("/usr/bin/node")))
}

func BenchmarkPerfMap(b *testing.B) {
	var lines []byte
	const n = 10000
	for i := range n {
		lines = fmt.Appendf(lines, "%x 80 JS:*function%d /srv/app/lib/file%d.js:%d:10\n", 0x7f0000000000+i*128, i, i%100, i)
	}
	b.SetBytes(int64(len(lines)))
	b.ReportAllocs()
	for b.Loop() {
		var m perfMap
		if m.add(lines, 64<<20); len(m.entries) != n {
			b.Fatal(len(m.entries))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
