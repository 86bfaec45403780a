// Package flamebearer encodes call trees as the clients of Pyroscope read them: rows
// of bars with offsets, for one profile or for two side by side, and the tree itself.
package flamebearer
