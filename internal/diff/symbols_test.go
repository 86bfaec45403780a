package diff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// build is what a program's frames have in one of its builds.
type build struct {
	id, mapping string
	shift       uint64
}

var (
	oldBuild = build{"aa", "/releases/1/app", 0}
	newBuild = build{"bb", "/releases/2/app", 0x40}
)

func (b build) frame(function string, address uint64) *profile.Frame {
	return &profile.Frame{
		Function: profile.Function{Name: function, Filename: "app.c", StartLine: int64(b.shift)},
		Address:  address + b.shift, Line: int64(address + b.shift), Mapping: b.mapping, BuildID: b.id,
	}
}

// stackRow is n samples of a stack.
type stackRow struct {
	n      int64
	frames []*profile.Frame
}

// framed is a merge of one kind with these stacks, whose IDs are those of their content.
func framed(kind string, list ...stackRow) *profilestore.Merge {
	var rows []profilestore.Row
	for i := range list {
		rows = append(rows, samples(int32(i), list[i].n))
	}
	m := merge(kind, rows...)
	for i := range list {
		var ids []profile.ID
		var scratch []byte
		for _, f := range list[i].frames {
			var id profile.ID
			id, scratch = f.ID(scratch)
			ids = append(ids, id)
		}
		m.Stacks[i].Frames = list[i].frames
		m.Stacks[i].ID, _ = profile.StackID(ids, nil)
	}
	return m
}

func frames(list ...*profile.Frame) []*profile.Frame { return list }

// A program that was built anew is the same program.
func TestBuilds(t *testing.T) {
	of := func(b build, n ...int64) *profilestore.Merge {
		return framed("cpu",
			stackRow{n[0], frames(b.frame("hot", 16), b.frame("main", 1))},
			stackRow{n[1], frames(b.frame("hot", 32), b.frame("main", 1))}, // another line of it
			stackRow{n[2], frames(b.frame("cold", 16), b.frame("main", 1))})
	}
	r := cpu(t, over(10, of(oldBuild, 30, 20, 7)), over(10, of(newBuild, 1, 49, 14)), None)
	require.Len(t, r.Rows, 2)
	cold, hot := r.Rows[0], r.Rows[1]
	assert.Equal(t, "cold", cold.Frames[0].Function.Name)
	assert.Equal(t, Changed, cold.Status)
	assert.EqualValues(t, 7, cold.Delta)
	assert.InDelta(t, PValue(7, 14, 1, 1), cold.PValue, 1e-12)
	assert.Equal(t, Unchanged, hot.Status)
	assert.Equal(t, Values{Count: 50, Values: values{50}}, hot.Baseline)
	assert.Equal(t, hot.Baseline, hot.Comparison)
	assert.EqualValues(t, 16, hot.Frames[0].Address, "of the baseline, the largest")
	assert.EqualValues(t, 50, r.Baseline.Measure-7)
}

func TestWhatIsAnotherStack(t *testing.T) {
	one := oldBuild.frame("f", 16)
	unnamed := func(b build, address uint64) *profile.Frame { return b.frame("", address) }
	for _, c := range []struct {
		name string
		a, b []*profile.Frame
		same bool
	}{
		{"the same", frames(one), frames(one), true},
		{"another build", frames(one), frames(newBuild.frame("f", 99)), true},
		{"another function", frames(one), frames(oldBuild.frame("g", 16)), false},
		{"another module", frames(one), frames(build{"aa", "/releases/1/app2", 0}.frame("f", 16)), false},
		{"deeper", frames(one), frames(one, one), false},
		{"the other order", frames(one, oldBuild.frame("g", 1)), frames(oldBuild.frame("g", 1), one), false},
		{"names run together", frames(oldBuild.frame("ab", 1), oldBuild.frame("c", 1)), frames(oldBuild.frame("a", 1), oldBuild.frame("bc", 1)), false},
		{"an address of another build", frames(unnamed(oldBuild, 16)), frames(unnamed(build{"bb", "/releases/1/app", 0}, 16)), false},
		{"an address of the same build", frames(unnamed(oldBuild, 16), one), frames(unnamed(oldBuild, 16), newBuild.frame("f", 99)), true},
		{"another address", frames(unnamed(oldBuild, 16)), frames(unnamed(oldBuild, 17)), false},
		{"a name for an address", frames(unnamed(oldBuild, 16)), frames(one), false},
	} {
		r := cpu(t, over(1, framed("cpu", stackRow{3, c.a})), over(1, framed("cpu", stackRow{3, c.b})), None)
		assert.Equal(t, c.same, len(r.Rows) == 1, c.name)
	}
}

// A lock is what it is by its address as well, and what waits for it by its functions.
func TestLocksOfBuilds(t *testing.T) {
	side := func(b build, locks ...uint64) Window {
		m := framed("lock", stackRow{5, frames(b.frame("wait", 16))}, stackRow{5, frames(b.frame("wait", 32))})
		for i, lock := range locks {
			m.Kinds[0].Rows[i].LockAddress = lock
		}
		return over(1, m)
	}
	r := Compute("lock", side(oldBuild, 0x1000, 0x1000), side(newBuild, 0x1000, 0x2000), Options{MaxRows: all})
	require.Len(t, r.Rows, 2)
	for _, row := range r.Rows {
		switch row.Number {
		case 0x1000:
			assert.EqualValues(t, -5, row.Delta)
			assert.Equal(t, Changed, row.Status)
		case 0x2000:
			assert.EqualValues(t, 5, row.Delta)
			assert.Equal(t, New, row.Status)
		}
	}
}

// What was left out may be of a row that is there.
func TestCutBuilds(t *testing.T) {
	cut := framed("cpu", stackRow{50, frames(oldBuild.frame("f", 16))})
	cut.Kinds[0].TotalRows = 5
	whole := framed("cpu", stackRow{50, frames(newBuild.frame("f", 16))}, stackRow{7, frames(newBuild.frame("f", 32))})
	r := Compute("cpu", over(1, cut), over(1, whole), Options{MaxRows: all})
	require.Len(t, r.Rows, 1)
	assert.True(t, math.IsNaN(r.Rows[0].PValue))
	assert.EqualValues(t, 7, r.Rows[0].Delta)
}

func TestSumsOfBuildsDoNotOverflow(t *testing.T) {
	m := framed("cpu", stackRow{math.MaxInt64, frames(oldBuild.frame("f", 16))}, stackRow{5, frames(oldBuild.frame("f", 32))})
	r := cpu(t, over(1, m), over(1, new(profilestore.Merge)), None)
	require.Len(t, r.Rows, 1)
	assert.EqualValues(t, math.MaxInt64, r.Rows[0].Baseline.Values[0])
}

// program makes stacks of 30 frames, of 3,000 functions, that differ in their
// functions.
func program(b build, stacks int) Window {
	r := rand.New(rand.NewPCG(1, 2))
	functions := make([]*profile.Frame, 3000)
	for i := range functions {
		functions[i] = b.frame(fmt.Sprintf("github.com/example/service/internal/store.(*Reader).method%04d", i), uint64(i)<<8)
	}
	list := make([]stackRow, stacks)
	for i := range list {
		list[i].n = 1 + int64(1000/(1+r.ExpFloat64()*100))
		for range 30 {
			list[i].frames = append(list[i].frames, functions[r.IntN(len(functions))])
		}
	}
	return over(3600, framed("cpu", list...))
}

// BenchmarkComputeBuilds is a program before and after it was built anew.
func BenchmarkComputeBuilds(b *testing.B) {
	const stacks = 20_000
	x, y := program(oldBuild, stacks), program(newBuild, stacks)
	b.ReportAllocs()
	for b.Loop() {
		r := Compute("cpu", x, y, Options{MaxRows: 2000})
		if !r.Truncated || len(r.Rows) != 2000 || r.Rows[0].Status != Unchanged {
			b.Fatalf("wrong result: %d rows, the first %s", len(r.Rows), r.Rows[0].Status)
		}
	}
}
