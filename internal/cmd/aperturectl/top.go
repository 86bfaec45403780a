package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

// topStacks is how many stacks functions are summed over, where no --limit says
// otherwise: as many as a server gives by default at most.
const topStacks = 100_000

// unknownFunction stands for all functions of a module that have no name.
const unknownFunction = "(unknown)"

// topFunction is what was observed in a function.
type topFunction struct {
	Function string `json:"function"`
	Module   string `json:"module"`
	// Self is of the function itself, Total also of what it called.
	Self  int64 `json:"self"`
	Total int64 `json:"total"`

	last int // the row that was counted last
}

// topResult is what `top -o json` writes.
type topResult struct {
	Kind      string         `json:"kind"`
	Unit      string         `json:"unit"`
	Total     int64          `json:"total"`
	Truncated bool           `json:"truncated"`
	Functions []*topFunction `json:"functions"`
}

func (a *app) topCommand() *cobra.Command {
	f := filters{defaultKind: "cpu"}
	var rows int
	var by string
	cmd := &cobra.Command{
		Use: "top", Args: cobra.NoArgs,
		Short: "List the functions that use most",
		Long: `Lists the functions with the largest share: SELF is what was observed in a function
itself, TOTAL also what was in all it called. Values are samples of cpu, time waited of
lock and off_cpu, time of syscall (one row per system call), and the first value of
other kinds. Functions of a module that have no names are one row, (unknown).`,
	}
	f.register(cmd.Flags())
	cmd.Flags().IntVarP(&rows, "rows", "n", 20, "`number` of functions, 0 for all")
	cmd.Flags().StringVar(&by, "by", "self", "order: self or total")
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		if err := firstError(a.global.format(outputTable, outputJSON), checkRows(rows), f.parse(a.now())); err != nil {
			return err
		}
		if by != "self" && by != "total" {
			return usagef("--by must be self or total, got %q", by)
		}
		if f.kind == "" {
			return usagef("--type must name one kind")
		}
		body := f.object()
		if !f.changed("limit") {
			body["limit"] = topStacks
		}
		answer, truncated, err := a.aggregate(ctx, body)
		if err != nil {
			return err
		}
		kinds := answer.kinds()
		if len(kinds) == 0 {
			return failf("there is no %s profile: check the filters, or take a longer time", f.kind)
		}
		result := top(&kinds[0], by == "total")
		result.Truncated = truncated
		if rows > 0 {
			result.Functions = result.Functions[:min(rows, len(result.Functions))]
		}
		return a.writeTop(result)
	})
	return cmd
}

// top sums up the rows by function.
func top(k *kindAnswer, byTotal bool) *topResult {
	type key struct{ function, module string }
	known := make(map[key]*topFunction)
	r := &topResult{Kind: k.kind, Unit: k.unit, Total: k.total, Functions: []*topFunction{}}
	for n := range k.rows {
		row := &k.rows[n]
		for i := range row.stack.Frames {
			f := &row.stack.Frames[i]
			at := key{f.function(), f.module()}
			if f.Function == nil && at.module != "" {
				at.function = unknownFunction
			}
			t := known[at]
			if t == nil {
				t = &topFunction{Function: at.function, Module: at.module, last: -1}
				known[at] = t
				r.Functions = append(r.Functions, t)
			}
			if i == 0 {
				t.Self += row.value
			}
			// A function that calls itself is counted once.
			if t.last != n {
				t.last = n
				t.Total += row.value
			}
		}
	}
	slices.SortFunc(r.Functions, func(x, y *topFunction) int {
		first, second := cmp.Compare(y.Self, x.Self), cmp.Compare(y.Total, x.Total)
		if byTotal {
			first, second = second, first
		}
		return cmp.Or(first, second, cmp.Compare(x.Function, y.Function), cmp.Compare(x.Module, y.Module))
	})
	return r
}

func (a *app) writeTop(r *topResult) error {
	if a.global.output == outputJSON {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return a.writeJSON(text)
	}
	t := newTable(a.out, "SELF", "SELF%", "TOTAL", "TOTAL%", "FUNCTION", "MODULE")
	for _, f := range r.Functions {
		t.row(valueText(f.Self, r.Unit), shareText(f.Self, r.Total), valueText(f.Total, r.Unit), shareText(f.Total, r.Total), f.Function, f.Module)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if r.Truncated {
		fmt.Fprintln(a.err, "the smallest stacks are left out of the sums: raise --limit, or narrow the query down")
	}
	return nil
}
