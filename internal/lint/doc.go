// Package lint holds the rules about this repository that no general linter
// knows: which package may import which. They are tests, so that they need no
// language of their own.
package lint
