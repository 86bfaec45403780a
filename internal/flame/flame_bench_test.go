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
		if got := tree.Total(0, 0); got != k.Totals[0] {
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

// BenchmarkWalkFolded is the same without a tree.
func BenchmarkWalkFolded(b *testing.B) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 20_000, 30)
	var want, size counter
	if err := Build(m, k, Options{Rename: FoldedName}).WriteFolded(&want, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		if err := WriteFolded(&size, m, k, 0); err != nil || size != want {
			b.Fatalf("%d bytes and %v; want %d", size, err, want)
		}
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// BenchmarkForest is the same tree of stacks that were seen before.
func BenchmarkForest(b *testing.B) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 20_000, 30)
	forest := NewForest(1<<30, Options{Rename: FoldedName})
	nodes := len(Build(m, k, Options{Rename: FoldedName}).Nodes)
	b.ReportAllocs()
	for b.Loop() {
		tree := forest.Build(m, k)
		if got := tree.Total(0, 0); got != k.Totals[0] || len(tree.Nodes) != nodes {
			b.Fatalf("total is %d of %d nodes, want %d of %d", got, len(tree.Nodes), k.Totals[0], nodes)
		}
	}
	b.ReportMetric(float64(nodes), "nodes")
	b.ReportMetric(float64(forest.Bytes()), "forest-bytes")
}

// BenchmarkForestCold is the same where no stack was seen before.
func BenchmarkForestCold(b *testing.B) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 20_000, 30)
	b.ReportAllocs()
	for b.Loop() {
		tree := NewForest(1<<30, Options{Rename: FoldedName}).Build(m, k)
		if got := tree.Total(0, 0); got != k.Totals[0] {
			b.Fatalf("total is %d, want %d", got, k.Totals[0])
		}
	}
}
