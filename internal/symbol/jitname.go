package symbol

import (
	"path"
	"strconv"
	"strings"
)

// runtimeKind tells whose code the anonymous memory of a process has, by the
// libraries of the process: "" if they do not tell.
func runtimeKind(regions []mappedRegion) string {
	for _, r := range regions {
		switch path.Base(r.path) {
		case "libjvm.so":
			return KindJVM
		case "libcoreclr.so":
			return KindDotnet
		}
	}
	return ""
}

// v8Tags begin the names that V8 writes (src/logging/log.cc, "code-creation").
var v8Tags = []string{
	"JS:", "LazyCompile:", "Function:", "Script:", "Eval:", "Builtin:", "BytecodeHandler:", "RegExp:", "Stub:",
}

// jitSymbol takes the name of an entry of a perf map apart. kind is what
// runtimeKind says.
func jitSymbol(name, kind string) Symbol {
	if kind != "" {
		return Symbol{Name: name, Kind: kind}
	}
	for _, tag := range v8Tags {
		if rest, ok := strings.CutPrefix(name, tag); ok {
			return v8Symbol(name, tag, rest)
		}
	}
	switch {
	case strings.HasPrefix(name, "py::"):
		return pythonSymbol(name)
	case strings.HasPrefix(name, "L") && strings.Contains(name, ";::"):
		return Symbol{Name: name, Kind: KindJVM} // perf-map-agent
	case strings.Contains(name, "::") && strings.Contains(name, "] ") && strings.HasSuffix(name, "]"):
		return Symbol{Name: name, Kind: KindDotnet} // void [Assembly] Class::Method()[Tier0]
	}
	return Symbol{Name: name, Kind: KindNative}
}

// v8Symbol splits "JS:*name file:line:column". The mark before the name tells
// which compiler it went through: the same function has entries with all.
func v8Symbol(name, tag, rest string) Symbol {
	s := Symbol{Name: name, Kind: KindV8}
	switch tag {
	case "Builtin:", "BytecodeHandler:", "RegExp:", "Stub:":
		return s
	}
	rest = strings.TrimLeft(rest, "~*^+")
	place, line, ok := cutLine(rest)
	if !ok {
		if rest != "" {
			s.Name = rest
		}
		return s
	}
	// A name may have spaces ("get size"), and so may a path.
	i := -1
	for _, p := range []string{" /", " node:", " file:"} {
		if j := strings.Index(place, p); j >= 0 && (i < 0 || j < i) {
			i = j
		}
	}
	if i < 0 {
		i = strings.LastIndexByte(place, ' ')
	}
	if i < 0 {
		s.Name = rest
		return s
	}
	s.Name, s.File, s.StartLine = place[:i], place[i+1:], line
	if s.Name == "" {
		s.Name = "(anonymous)"
		if tag == "Script:" || tag == "Eval:" {
			s.Name = "(" + strings.ToLower(strings.TrimSuffix(tag, ":")) + ")"
		}
	}
	return s
}

// cutLine splits ":line:column" off.
func cutLine(s string) (rest string, line int64, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, false
	}
	if _, err := strconv.ParseUint(s[i+1:], 10, 31); err != nil {
		return s, 0, false
	}
	s = s[:i]
	i = strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, false
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 31)
	if err != nil {
		return s, 0, false
	}
	return s[:i], int64(n), true
}

// pythonSymbol splits "py::name:file" (Python/perf_trampoline.c).
func pythonSymbol(name string) Symbol {
	s := Symbol{Name: name, Kind: KindCPython}
	fn, file, ok := strings.Cut(strings.TrimPrefix(name, "py::"), ":")
	if ok && fn != "" {
		s.Name, s.File = fn, file
	}
	return s
}
