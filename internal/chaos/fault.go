package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Fault is what is done to the collector and its store while they are under load.
type Fault string

// The faults of a run.
const (
	// KillCollector ends the collector with SIGKILL.
	KillCollector Fault = "kill_collector"
	// KillClickHouse ends the embedded server with SIGKILL.
	KillClickHouse Fault = "kill_clickhouse"
	// KillBoth ends both with SIGKILL.
	KillBoth Fault = "kill_both"
	// Terminate ends the collector with SIGTERM.
	Terminate Fault = "terminate"
	// PauseClickHouse stops the embedded server with SIGSTOP for some seconds.
	PauseClickHouse Fault = "pause_clickhouse"
	// CutConnection cuts the connections to ClickHouse after random numbers of
	// bytes in either direction.
	CutConnection Fault = "cut_connection"
	// RestartWithoutStore ends ClickHouse, then the collector, whose queue then
	// holds data, and starts ClickHouse last.
	RestartWithoutStore Fault = "restart_without_store"
	// FullDisk leaves no room for the queue and ClickHouse.
	FullDisk Fault = "full_disk"
)

// Faults are all of them.
var Faults = []Fault{KillCollector, KillClickHouse, KillBoth, Terminate, PauseClickHouse, CutConnection, RestartWithoutStore, FullDisk}

// site says what a fault needs to run on.
func (f Fault) site() siteKind {
	switch f {
	case CutConnection, RestartWithoutStore:
		return external
	case FullDisk:
		return smallDisk
	}
	return embedded
}

// ParseFaults reads a list with commas; an empty one means all.
func ParseFaults(list string) ([]Fault, error) {
	if list == "" {
		return Faults, nil
	}
	var out []Fault
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(Faults, Fault(name)) {
			return nil, fmt.Errorf("choose faults: there is no %q, only %v", name, Faults)
		}
		out = append(out, Fault(name))
	}
	return out, nil
}

// era is how many cycles share their data, so that what one cycle breaks in the
// data of another is seen.
const era = 20

// plan returns the fault of a cycle, counted from 0. It depends on the seed, the
// choice and the cycle only. Every round of as many cycles as there are faults has
// each of them once. Those that need the same site follow each other, also from
// one round to the next, because to change it takes time.
func plan(seed uint64, choice []Fault, cycle int) Fault {
	round := cycle / len(choice)
	faults := slices.Clone(choice)
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	slices.SortStableFunc(faults, func(a, b Fault) int { return int(a.site()) - int(b.site()) })
	if round%2 == 1 {
		slices.Reverse(faults)
	}
	return faults[cycle%len(faults)]
}

// random returns what all choices of a cycle are drawn from.
func random(seed uint64, cycle int) *rand.Rand {
	return rand.New(rand.NewPCG(seed^0x9e37_79b9_7f4a_7c15, uint64(cycle)))
}
