package typemap

import "strings"

// goNames are the names of sample types that programs in Go mean without saying.
var goNames = map[string]string{
	"samples":     "cpu",
	"goroutine":   "goroutines",
	"contentions": "mutex_count",
	"delay":       "mutex_duration",
}

// NameOf returns the label `__name__` of a profile of pprof by its sample types.
// display has the names of sample types that the client sent along (the field
// `display-name` of `sample_type_config`); nil stands for those of Go.
func NameOf(sampleTypes []string, display map[string]string) string {
	if len(display) == 0 {
		display = goNames
	}
	shown := make([]string, len(sampleTypes))
	for i, t := range sampleTypes {
		if shown[i] = display[t]; shown[i] == "" {
			shown[i] = t
		}
		if shown[i] == "wall" {
			return "wall"
		}
	}
	for _, t := range shown {
		if name := nameOf(t); name != "" {
			return name
		}
	}
	if len(sampleTypes) == 0 {
		return ""
	}
	return sampleTypes[len(sampleTypes)-1]
}

func nameOf(t string) string {
	switch {
	case strings.Contains(t, "cpu"):
		return NameCPU
	case strings.HasPrefix(t, "alloc_"), strings.HasPrefix(t, "inuse_"), t == "space", t == "objects":
		return "memory"
	case strings.HasPrefix(t, "mutex_"):
		return "mutex"
	case strings.HasPrefix(t, "block_"):
		return "block"
	case t == "goroutines":
		return "goroutines"
	}
	return ""
}
