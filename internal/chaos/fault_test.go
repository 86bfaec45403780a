package chaos

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseFaults(t *testing.T) {
	all, err := ParseFaults("")
	require.NoError(t, err)
	assert.Equal(t, Faults, all)
	two, err := ParseFaults("terminate,full_disk")
	require.NoError(t, err)
	assert.Equal(t, []Fault{Terminate, FullDisk}, two)
	_, err = ParseFaults("terminate,flood")
	assert.ErrorContains(t, err, `"flood"`)
}

// Every round has all faults, two seeds differ, and a cycle alone is the same as
// in a run.
func TestPlan(t *testing.T) {
	differs, changes := false, 0
	for round := range 20 {
		var faults []Fault
		for i := range Faults {
			cycle := round*len(Faults) + i
			f := plan(7, Faults, cycle)
			faults = append(faults, f)
			assert.Equal(t, f, plan(7, Faults, cycle))
			differs = differs || f != plan(8, Faults, cycle)
			if cycle > 0 && plan(7, Faults, cycle-1).site() != f.site() {
				changes++
			}
		}
		slices.Sort(faults)
		assert.Equal(t, slices.Sorted(slices.Values(Faults)), faults)
	}
	assert.True(t, differs)
	assert.Equal(t, 2*20, changes)
	assert.Equal(t, random(7, 3).Uint64(), random(7, 3).Uint64())
	assert.NotEqual(t, random(7, 3).Uint64(), random(7, 4).Uint64())
}
