package corpus

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrograms(t *testing.T) {
	cpu, err := programs(cpuStacks)
	require.NoError(t, err)
	memory, err := programs(memoryStacks)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(cpu), 12)
	assert.GreaterOrEqual(t, len(memory), 8)
	assert.LessOrEqual(t, len(cpuStacks)+len(memoryStacks), 300<<10)
	for _, p := range append(cpu, memory...) {
		for _, s := range p.stacks {
			for _, l := range s.locations {
				require.NotNil(t, l.Mapping)
				for _, ln := range l.Line {
					require.NotEmpty(t, ln.Function.Name)
					require.NotRegexp(t, "^/|tmp/|root/", ln.Function.Filename, "nothing of the machine that recorded it")
				}
			}
		}
	}
}

func TestProgramsDamaged(t *testing.T) {
	for i := 0; i < len(memoryStacks); i += 997 {
		_, err := programs(memoryStacks[:i])
		require.Error(t, err)
	}
}
