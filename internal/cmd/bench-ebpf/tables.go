package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// benchResult is a line of `go test -bench`, and metric a number with its unit.
var (
	benchResult = regexp.MustCompile(`(?m)^BenchmarkBuildLarge\S*\s+\d+\s+(.*)$`)
	metric      = regexp.MustCompile(`([0-9.e+]+) (\S+)`)
)

// tables measures how fast unwind tables of a large library are built, with the
// benchmark of package unwind, which checks them.
func tables(ctx context.Context, b *bench) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkBuildLarge$", "-benchtime", "3x", "./internal/unwind")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run benchmark: %w: %s", err, out)
	}
	found := benchResult.FindSubmatch(out)
	if found == nil {
		return fmt.Errorf("run benchmark: no result in %s", out)
	}
	values := map[string]float64{}
	for _, m := range metric.FindAllSubmatch(found[1], -1) {
		if values[string(m[2])], err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			return fmt.Errorf("run benchmark: %w", err)
		}
	}
	row, peak := values["ns/row"], values["MB-peak"]
	b.table.add("unwind tables: CPU time per row", "≤ 40 ns", fmt.Sprintf("%.1f ns (%.0f rows)", row, values["rows"]), "", row > 0 && row <= 40)
	b.table.add("unwind tables: peak memory while building", "≤ 64 MB", fmt.Sprintf("%.0f MB", peak), "", peak > 0 && peak <= 64)
	return nil
}
