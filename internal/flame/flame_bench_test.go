package flame

import (
	"io"
	"math/rand/v2"
	"testing"
)

// BenchmarkBuild is the tree of a busy service: 20,000 stacks of 30 frames.
func BenchmarkBuild(b *testing.B) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 20_000, 30)
	frames := 0
	for _, s := range m.Stacks {
		frames += len(s.Frames)
	}
	nodes := 0
	b.ReportAllocs()
	for b.Loop() {
		tree := Build(m, k, Options{Rename: FoldedName})
		if got := tree.Nodes[0].Total[0]; got != k.Totals[0] {
			b.Fatalf("total is %d, want %d", got, k.Totals[0])
		}
		nodes = len(tree.Nodes)
	}
	b.ReportMetric(float64(frames), "frames")
	b.ReportMetric(float64(nodes), "nodes")
}

func BenchmarkWriteFolded(b *testing.B) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 20_000, 30)
	tree := Build(m, k, Options{Rename: FoldedName})
	var size counter
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		if err := tree.WriteFolded(&size, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
	if size == 0 {
		b.Fatal("nothing written")
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)
