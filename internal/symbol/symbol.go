package symbol

// Kinds of code, spelled like the values of the attribute profile.frame.type in
// the OpenTelemetry semantic conventions.
const (
	KindNative  = "native"
	KindGo      = "go"
	KindV8      = "v8js"
	KindJVM     = "jvm"
	KindCPython = "cpython"
	KindDotnet  = "dotnet"
)

// Symbol is what is known of an address: a function and a place in it.
type Symbol struct {
	// Name is for people, System as the file spells it (empty if the same).
	Name, System string
	// File is the source file of the line, or of the function where no line is
	// known. It is empty where the executable does not tell it cheaply.
	File string
	// StartLine is where the function begins, Line the line of the address; for
	// a function into which another one was inlined, that of the call. Both are
	// 0 where they are not known.
	StartLine, Line int64
	// Kind is one of the constants above.
	Kind string
}
