// Package selector reads what clients of Pyroscope ask for: selectors of labels, ids of
// profile types, queries made of both, and the forms that times are written in.
package selector
