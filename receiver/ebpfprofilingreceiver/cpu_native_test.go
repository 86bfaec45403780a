package ebpfprofilingreceiver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// The innermost functions of burn and their parts, and how its stacks go on. The
// C library that distributions ship has no names for where threads begin.
var (
	burnShares = map[string]float64{"leaf_a": 0.5, "leaf_b": 0.3, "leaf_c": 0.2}
	burnChain  = []string{
		"leaf_a|leaf_b|leaf_c", "mid", "recurse", "recurse", "recurse", "recurse", "recurse", "recurse", "recurse",
		"worker", "?", "?",
	}
)

// mainChain is a chain of calls from main on, with what calls main.
func mainChain(functions ...string) []string {
	return append(functions, "main", "?", "__libc_start_main|__libc_start_main_impl", "_start")
}

// nativeCase is a native program that is busy in one chain of calls.
type nativeCase struct {
	name, source string
	flags, args  []string
	shares       map[string]float64
	chains       [][]string
	// known is a stack that needs all tables, if that is not a whole first chain.
	known matches
}

// inClock is a stack of the handler of a signal that asks for the time: the vdso is
// seldom needed, and has a table of its own.
func inClock(s *flatSample) bool {
	user := s.user()
	return len(user) > 1 && user[0].name != "handler" && user[len(user)-1].name == "_start" &&
		s.has("handler") && !s.has("leaf_handler")
}

var nativeCases = []nativeCase{
	{name: "pie", source: "burn.c", flags: []string{"-fPIE", "-pie"}, shares: burnShares, chains: [][]string{burnChain}},
	{name: "no pie", source: "burn.c", flags: []string{"-fno-pie", "-no-pie"}, shares: burnShares, chains: [][]string{burnChain}},
	{name: "static", source: "burn.c", flags: []string{"-static"}, shares: burnShares, chains: [][]string{burnChain}},
	{name: "static pie", source: "burn.c", flags: []string{"-static-pie"}, shares: burnShares, chains: [][]string{burnChain}},
	{name: "frame pointers", source: "burn.c", flags: []string{"-fno-omit-frame-pointer"}, shares: burnShares, chains: [][]string{burnChain}},
	{name: "no optimization", source: "burn.c", flags: []string{"-O0"}, chains: [][]string{slices.Concat([]string{"spin"}, burnChain)}},
	{
		name: "dynamic realignment", source: "realign.c", flags: []string{"-mstackrealign"},
		chains: [][]string{mainChain("leaf_realign", "grown", "realigned")},
	},
	{
		name: "signals", source: "signals.c",
		chains: [][]string{
			mainChain("leaf_interrupted", "interrupted"),
			append([]string{"leaf_handler", "handler", "?"}, mainChain("leaf_interrupted", "interrupted")...),
			append([]string{"leaf_handler", "handler", "?"}, mainChain("interrupted")...),
			// The handler asks for the time.
			append([]string{"?", "?", "handler", "?"}, mainChain("leaf_interrupted", "interrupted")...),
		},
		known: inClock,
	},
	{
		name: "signals on their own stack", source: "signals.c", args: []string{"alt"},
		chains: [][]string{
			mainChain("leaf_interrupted", "interrupted"),
			append([]string{"leaf_handler", "handler", "?"}, mainChain("leaf_interrupted", "interrupted")...),
			append([]string{"leaf_handler", "handler", "?"}, mainChain("interrupted")...),
			append([]string{"?", "?", "handler", "?"}, mainChain("leaf_interrupted", "interrupted")...),
		},
		known: inClock,
	},
	{
		name: "c++", source: "mangled.cc",
		chains: [][]string{mainChain("shapes::(anonymous namespace)::leaf", "shapes::Circle<int>::area")},
	},
}

func (c *nativeCase) start(t *testing.T) program {
	flags := slices.Concat(fixtures.NoFramePointers, c.flags)
	return ebpftest.Start(t, ebpftest.BuildC(t, c.source, flags...), c.args...)
}

// testNative runs programs whose stacks are known.
func testNative(t *testing.T, s *session) {
	for _, c := range nativeCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			known := c.known
			if known == nil {
				known = whole(c.chains[0]...)
			}
			seen := s.observe(t, c.start(t), known, 500*time.Millisecond)
			checkAmount(t, s.receiver.cfg.SamplingFrequency, seen.report.CPUSeconds, seen)
			checkShares(t, c.shares, seen.settled)
			part := checkChains(t, 0.99, seen.settled, c.chains...)
			early, n := sumOf(seen.all, func(s *flatSample) bool { return len(s.user()) > 0 && s.user()[0].name != "" })
			assert.GreaterOrEqual(t, early/n, 0.9, "named from its beginning")
			t.Logf("%.4f complete, %.4f with names from the beginning", part, early/n)
		})
	}
	t.Run("library", func(t *testing.T) { t.Parallel(); testLibrary(t, s) })
	t.Run("rust", func(t *testing.T) { t.Parallel(); testRust(t, s) })
	t.Run("deep", func(t *testing.T) { t.Parallel(); testDeep(t, s) })
	t.Run("clang", func(t *testing.T) { t.Parallel(); testClang(t, s) })
}

// testLibrary calls through the procedure linkage table, and is called back.
func testLibrary(t *testing.T, s *session) {
	lib := ebpftest.BuildC(t, "libspin.c", "-O2", "-fomit-frame-pointer", "-shared", "-fPIC")
	seen := s.observe(t, ebpftest.Start(t, ebpftest.BuildC(t, "plt.c", append(fixtures.NoFramePointers, lib)...)),
		whole(mainChain("lib_leaf", "lib_spin", "outer")...), 500*time.Millisecond)
	checkShares(t, map[string]float64{"lib_leaf": 0.5, "leaf_back": 0.5}, seen.settled)
	checkChains(t, 0.99, seen.settled,
		mainChain("lib_leaf", "lib_spin", "outer"), mainChain("leaf_back", "called_back", "lib_call", "outer"), mainChain("?", "outer"))
	for _, x := range seen.settled {
		for _, f := range x.user() {
			if f.name == "lib_leaf" || f.name == "lib_call" {
				assert.Equal(t, lib, f.mapping)
				assert.NotEmpty(t, f.buildID)
				assert.Less(t, f.address, uint64(1<<20), "the address is that of the file")
			}
		}
	}
}

func testRust(t *testing.T, s *session) {
	right := func(s *flatSample) bool {
		f := s.user()
		return len(f) > 3 && f[len(f)-1].name == "_start" && f[0].name == "mangled::shapes::leaf" &&
			f[1].name == "mangled::shapes::area" && strings.HasPrefix(f[2].name, "mangled::main")
	}
	seen := s.observe(t, ebpftest.Start(t, ebpftest.BuildC(t, "mangled.rs")), right, 500*time.Millisecond)
	checkMost(t, 0.99, seen.settled, right)
}

// testDeep keeps the innermost frames of a stack that is too deep, and counts it.
func testDeep(t *testing.T, s *session) {
	before := s.counter("user_stacks", "profile", "cpu", "end", "truncated")
	seen := s.observe(t, ebpftest.Start(t, ebpftest.BuildC(t, "burn.c"), "1", "200"),
		func(s *flatSample) bool { return len(s.user()) == 127 && s.has("recurse") }, 500*time.Millisecond)
	chain := []string{"leaf_a|leaf_b|leaf_c", "mid"}
	for range 201 {
		chain = append(chain, "recurse")
	}
	chain = append(chain, "worker", "?", "?")
	deep, n := sumOf(seen.settled, func(s *flatSample) bool {
		// What is left is the innermost part of the chain; the sample can have hit
		// any function of it.
		from := slices.IndexFunc([]string{"leaf", "mid", "recurse"}, func(p string) bool {
			return len(s.user()) == 127 && strings.HasPrefix(s.user()[0].name, p)
		})
		return from >= 0 && s.endsLike(chain[from:from+127]...)
	})
	whole, _ := sumOf(seen.settled, func(s *flatSample) bool { return len(s.user()) < 127 && s.endsLike(chain...) })
	assert.Greater(t, deep/n, 0.5)
	assert.GreaterOrEqual(t, (deep+whole)/n, 0.99)
	assert.GreaterOrEqual(t, float64(s.counter("user_stacks", "profile", "cpu", "end", "truncated")-before), deep)
	checkShares(t, burnShares, seen.settled)
}

// testClang unwinds what another compiler builds.
func testClang(t *testing.T, s *session) {
	const source = "../../internal/ebpftest/fixtures/src/burn.c"
	bin := compile(t, "clang", "-O2", "-fomit-frame-pointer", "-pthread", source)
	seen := s.observe(t, ebpftest.Start(t, bin), whole(burnChain...), 500*time.Millisecond)
	checkShares(t, burnShares, seen.settled)
	checkChains(t, 0.99, seen.settled, burnChain)
}
