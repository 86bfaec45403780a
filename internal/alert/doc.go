// Package alert evaluates alert rules, whatever API they came in by.
//
// Its parts know nothing of each other but the types of this package:
//
//   - a [Store] keeps rules, states, history and the lease, for all replicas;
//   - an [Evaluator] finds the values that rules are about;
//   - [Next] is what a state becomes by a value, and nothing else;
//   - a [Notifier] tells people;
//   - the [Engine] brings them together.
//
// An API is a dialect: it has rules of a kind of its own in [Rule.Spec], an
// evaluator which understands them, and an engine, which evaluates only them.
package alert
