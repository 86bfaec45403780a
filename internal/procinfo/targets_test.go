package procinfo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTargets(t *testing.T) {
	info := Info{
		Name: "python3.11", Path: "/usr/bin/python3.11", Container: Container{ID: idA},
		Cgroups: []string{"/", "/kubepods/burstable/pod1/" + idA},
	}
	for name, tt := range map[string]struct {
		config TargetsConfig
		cgroup string
		want   bool
	}{
		"pid":                 {config: TargetsConfig{PIDs: []int{1, 42}}, want: true},
		"other pid":           {config: TargetsConfig{PIDs: []int{1}}},
		"name":                {config: TargetsConfig{Executables: []string{"python*"}}, want: true},
		"other name":          {config: TargetsConfig{Executables: []string{"python"}}},
		"path":                {config: TargetsConfig{Executables: []string{"/usr/*/python3.11"}}, want: true},
		"name is no path":     {config: TargetsConfig{Executables: []string{"/python3.11"}}},
		"star stays in a dir": {config: TargetsConfig{Executables: []string{"/*"}}},
		"container":           {config: TargetsConfig{Containers: []string{idA}}, want: true},
		"short id":            {config: TargetsConfig{Containers: []string{idB[:12], idA[:12]}}, want: true},
		"other id":            {config: TargetsConfig{Containers: []string{idB[:12]}}},
		"cgroup":              {config: TargetsConfig{Cgroups: []string{"/kubepods/burstable/pod1/*"}}, want: true},
		"ancestor":            {config: TargetsConfig{Cgroups: []string{"/kube*"}}, want: true},
		"ancestor with slash": {config: TargetsConfig{Cgroups: []string{"/kubepods/"}}, want: true},
		"part of a name":      {config: TargetsConfig{Cgroups: []string{"/kube"}}},
		"root":                {config: TargetsConfig{Cgroups: []string{"/"}}, want: true},
		"known otherwise":     {config: TargetsConfig{Cgroups: []string{"/a"}}, cgroup: "/a/b", want: true},
		"any of them":         {config: TargetsConfig{PIDs: []int{1}, Executables: []string{"x"}, Cgroups: []string{"/kube*"}}, want: true},
	} {
		targets, err := Compile(tt.config)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, targets.Match(42, &info, tt.cgroup), name)
		assert.False(t, tt.want && !strings.Contains(name, "pid") && targets.Match(43, &Info{}, ""), name)
	}
	everything, err := Compile(TargetsConfig{})
	require.NoError(t, err)
	assert.Nil(t, everything)
	assert.True(t, everything.Match(1, &Info{}, ""))

	gone, err := Compile(TargetsConfig{Containers: []string{idA[:12]}})
	require.NoError(t, err)
	assert.True(t, gone.Match(1, &Info{}, "/docker/"+idA))
}

func TestTargetsErrors(t *testing.T) {
	for _, tt := range []struct {
		config TargetsConfig
		want   string
	}{
		{TargetsConfig{PIDs: []int{1, 0}}, "`targets::pids[1]` must be from 1 to 4194304, found 0"},
		{TargetsConfig{PIDs: []int{-1}}, "`targets::pids[0]` must be from 1 to 4194304, found -1"},
		{TargetsConfig{PIDs: make([]int, 1001)}, "`targets::pids` must have at most 1000 entries, found 1001"},
		{TargetsConfig{Executables: []string{"a", ""}}, "`targets::executables[1]` must have 1 to 4096 bytes, found 0"},
		{TargetsConfig{Executables: []string{"a", "b", "[a"}}, "`targets::executables[2]` must be a pattern as of path.Match, found \"[a\": syntax error in pattern"},
		{TargetsConfig{Containers: []string{idA[:11]}}, "`targets::containers[0]` must be 12 to 64 lower-case hexadecimal digits, found \"0a0a0a0a0a0\""},
		{TargetsConfig{Containers: []string{"my-container"}}, "`targets::containers[0]` must be 12 to 64 lower-case hexadecimal digits, found \"my-container\""},
		{TargetsConfig{Cgroups: []string{"kube"}}, "`targets::cgroups[0]` must begin with a slash, found \"kube\""},
		{TargetsConfig{Cgroups: []string{"/" + strings.Repeat("a", 4096)}}, "`targets::cgroups[0]` must have 1 to 4096 bytes, found 4097"},
	} {
		_, err := Compile(tt.config)
		require.EqualError(t, err, tt.want)
	}
}
