package symbol

import "github.com/ianlancetaylor/demangle"

// maxDemangle bounds the length of the names that are demangled, and the
// output to 2^maxDemangledLog2 bytes: names come from files of other people,
// and short mangled names can stand for very long ones.
const (
	maxDemangle      = 2048
	maxDemangledLog2 = 11
)

// demangled returns the readable form of a C++ or Rust name, without parameter
// types, or name itself if it is none.
func demangled(name string) string {
	if len(name) < 3 || len(name) > maxDemangle || name[0] != '_' {
		return name
	}
	return demangle.Filter(name, demangle.NoParams, demangle.NoEnclosingParams,
		demangle.MaxLength(maxDemangledLog2))
}
