// Package flame builds call trees out of merged stacks and writes them in the
// formats that flame graph tools read.
package flame
