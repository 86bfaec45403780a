// Package overhead keeps the cost of profiling within a budget.
//
// The budget is a part of every processor, such as 0.01 for 1 % of each. A
// [Guard] is told after every interval what profiling cost, and answers with the
// rates for the next one. It is arithmetic only: whoever owns the profiles
// measures the cost and applies the rates.
//
// What can be done about the cost depends on the profile. The cost of samples
// on a clock follows their frequency, so the CPU profile is slowed down by
// halves to whatever fits, 1 Hz at least. Profiles of events cost something for
// every event and more for those above a threshold: the threshold is doubled, a
// few times; if that does not help, since it is the number of events that
// costs, or if there is no threshold, the profile is switched off.
//
// The rules:
//   - It acts above [ActAt] of the budget, before the budget is exceeded, and
//     goes on until the cost that it predicts is below. It lowers the profile that
//     costs most; in place of switching a profile off it raises the thresholds of
//     others while that is enough. At most one threshold is raised by one step in
//     an interval that is within the budget, and nothing is switched off.
//   - If the cost was above the budget twice in a row, and what was done about it
//     in between hardly helped, or three times in a row, the most expensive
//     profile of events is switched off.
//   - When the cost was below half of the budget for some intervals, one profile
//     goes back one step, if it is predicted to fit: the one that was lowered
//     last. A profile that was switched off waits longer.
//   - A step back that does not last doubles the time until the next one, so that
//     rates do not swing.
package overhead
