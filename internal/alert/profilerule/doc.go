// Package profilerule evaluates alert rules on profiles: how much of the time a
// function or a call path takes, how long threads wait for locks, how slow and
// how faulty system calls are, and whether a function takes more than it did
// before.
//
// A [Spec] says what value a rule is about. An [Evaluator] finds the values with
// few queries: rules on the same profiles share one, and one pass over its
// answer serves all of them.
package profilerule
