package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The answer of POST /api/aggregate.
type aggregateAnswer struct {
	CPU         *stacksAnswer            `json:"cpu"`
	Lock        *lockAnswer              `json:"lock"`
	Syscall     *syscallAnswer           `json:"syscall"`
	OffCPU      *stacksAnswer            `json:"off_cpu"`
	Profiles    map[string]*stacksAnswer `json:"profiles"`
	TotalEvents uint64                   `json:"total_events"`
}

type rangeAnswer struct {
	StartTime int64 `json:"start_time"`
	EndTime   int64 `json:"end_time"`
}

type stacksAnswer struct {
	rangeAnswer
	TotalSamples uint64       `json:"total_samples"` // of cpu
	TotalEvents  uint64       `json:"total_events"`
	Stacks       []stackCount `json:"stacks"`
	Types        []struct {
		Type string `json:"type"`
		Unit string `json:"unit"`
	} `json:"types"`
	Totals []int64 `json:"totals"`
}

type lockAnswer struct {
	rangeAnswer
	TotalEvents uint64       `json:"total_events"`
	Contentions []stackCount `json:"contentions"`
}

type stackCount struct {
	LockAddr    uint64  `json:"lock_addr"`
	Stack       stack   `json:"stack"`
	Count       uint64  `json:"count"`
	TotalWaitNS int64   `json:"total_wait_ns"`
	Values      []int64 `json:"values"`
}

type stack struct {
	Frames []frame `json:"frames"`
}

type frame struct {
	IP       uint64  `json:"ip"`
	Function *string `json:"function"`
	Module   *string `json:"module"`
}

type syscallAnswer struct {
	rangeAnswer
	TotalEvents uint64                 `json:"total_events"`
	Syscalls    map[string]syscallStat `json:"syscalls"`
}

type syscallStat struct {
	ID            uint64 `json:"syscall_id"`
	Name          string `json:"name"`
	Count         uint64 `json:"count"`
	TotalDuration int64  `json:"total_duration_ns"`
	MaxDuration   int64  `json:"max_duration_ns"`
	ErrorCount    uint64 `json:"error_count"`
}

// function returns the name of a frame's function, else its address.
func (f *frame) function() string {
	if f.Function != nil && *f.Function != "" {
		return *f.Function
	}
	return "0x" + strconv.FormatUint(f.IP, 16)
}

func (f *frame) module() string {
	if f.Module == nil {
		return ""
	}
	return *f.Module
}

// shownFrames is how many frames of a stack a row of a table has.
const shownFrames = 4

// shownName is how many characters of a name a row of a table has.
const shownName = 60

// text returns the leaf and its nearest callers.
func (s *stack) text() string {
	if len(s.Frames) == 0 {
		return "(no stack)"
	}
	var names []string
	for i := range s.Frames[:min(len(s.Frames), shownFrames)] {
		names = append(names, shorten(s.Frames[i].function(), shownName))
	}
	if len(s.Frames) > shownFrames {
		names = append(names, "…")
	}
	return strings.Join(names, " < ")
}

// kindAnswer is one kind of an answer in the form that all kinds have in common.
type kindAnswer struct {
	kind       string
	unit       string
	start, end int64
	events     uint64
	total      int64
	rows       []kindRow
}

// kindRow is a stack, a stack and lock, or a system call, leaf first.
type kindRow struct {
	stack *stack
	text  string
	count uint64
	value int64
}

// kinds returns the kinds of an answer: ours, then others by name.
func (a *aggregateAnswer) kinds() []kindAnswer {
	var all []kindAnswer
	if a.CPU != nil {
		k := kindAnswer{kind: "cpu", unit: "count", events: a.CPU.TotalSamples, total: int64(a.CPU.TotalSamples)}
		k.addStacks(&a.CPU.rangeAnswer, a.CPU.Stacks, func(s *stackCount) int64 { return int64(s.Count) })
		all = append(all, k)
	}
	if a.OffCPU != nil {
		k := kindAnswer{kind: "off_cpu", unit: "nanoseconds", events: a.OffCPU.TotalEvents}
		k.addStacks(&a.OffCPU.rangeAnswer, a.OffCPU.Stacks, waited)
		all = append(all, k)
	}
	if a.Lock != nil {
		k := kindAnswer{kind: "lock", unit: "nanoseconds", events: a.Lock.TotalEvents}
		k.addStacks(&a.Lock.rangeAnswer, a.Lock.Contentions, waited)
		all = append(all, k)
	}
	if a.Syscall != nil {
		all = append(all, a.Syscall.kind())
	}
	for _, name := range slices.Sorted(maps.Keys(a.Profiles)) {
		if p := a.Profiles[name]; p != nil {
			all = append(all, p.kind(name))
		}
	}
	return all
}

func waited(s *stackCount) int64 { return s.TotalWaitNS }

// addStacks adds rows, whose sum is the total unless there is one.
func (k *kindAnswer) addStacks(r *rangeAnswer, stacks []stackCount, value func(*stackCount) int64) {
	k.start, k.end = r.StartTime, r.EndTime
	var sum int64
	for i := range stacks {
		s := &stacks[i]
		row := kindRow{stack: &s.Stack, text: s.Stack.text(), count: s.Count, value: value(s)}
		if s.LockAddr != 0 {
			row.text = "[0x" + strconv.FormatUint(s.LockAddr, 16) + "] " + row.text
		}
		sum += row.value
		k.rows = append(k.rows, row)
	}
	if k.total == 0 {
		k.total = sum
	}
}

func (p *stacksAnswer) kind(name string) kindAnswer {
	k := kindAnswer{kind: name, unit: "count", events: p.TotalEvents}
	if len(p.Types) > 0 {
		k.unit = p.Types[0].Unit
	}
	if len(p.Totals) > 0 {
		k.total = p.Totals[0]
	}
	k.addStacks(&p.rangeAnswer, p.Stacks, func(s *stackCount) int64 {
		if len(s.Values) == 0 {
			return 0
		}
		return s.Values[0]
	})
	return k
}

// kind returns the system calls as stacks of one frame, longest first.
func (s *syscallAnswer) kind() kindAnswer {
	k := kindAnswer{kind: "syscall", unit: "nanoseconds", start: s.StartTime, end: s.EndTime, events: s.TotalEvents}
	for _, c := range s.Syscalls {
		name := c.Name
		row := kindRow{stack: &stack{Frames: []frame{{Function: &name}}}, count: c.Count, value: c.TotalDuration}
		row.text = name + " (" + uintText(c.ID) + ")"
		k.rows = append(k.rows, row)
		k.total += c.TotalDuration
	}
	slices.SortFunc(k.rows, func(x, y kindRow) int {
		if x.value != y.value {
			if x.value > y.value {
				return -1
			}
			return 1
		}
		return strings.Compare(x.text, y.text)
	})
	return k
}
