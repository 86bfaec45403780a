package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) aggregateCommand() *cobra.Command {
	var f filters
	var rows int
	var order string
	cmd := &cobra.Command{
		Use: "aggregate", Args: cobra.NoArgs,
		Short: "Sum up the profiles of a range of time (POST /api/aggregate)",
		Long: `Sums up the profiles of a range of time: what there is of each kind, then the
largest stacks of each, leaf first.`,
	}
	f.register(cmd.Flags())
	cmd.Flags().IntVar(&rows, "rows", 10, "`number` of stacks of each kind in the table")
	cmd.Flags().StringVar(&order, "frame-order", "", "order of frames in JSON: upstream (default) or leaf_first")
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		if err := firstError(a.global.format(outputTable, outputJSON), checkRows(rows), f.parse(a.now())); err != nil {
			return err
		}
		body := f.object()
		if a.global.output == outputJSON {
			if order != "" {
				body["frame_order"] = order
			}
			return a.copyAnswer(ctx, request{method: http.MethodPost, path: "/api/aggregate", body: body})
		}
		answer, truncated, err := a.aggregate(ctx, body)
		if err != nil {
			return err
		}
		if err := a.writeAggregate(answer, rows); err != nil {
			return err
		}
		if truncated {
			fmt.Fprintln(a.err, "the smallest stacks are left out: raise --limit to have more")
		}
		return nil
	})
	return cmd
}

// aggregate asks for stacks in their true order.
func (a *app) aggregate(ctx context.Context, body map[string]any) (*aggregateAnswer, bool, error) {
	body["frame_order"] = "leaf_first"
	text, resp, err := a.fetch(ctx, request{method: http.MethodPost, path: "/api/aggregate", body: body})
	if err != nil {
		return nil, false, err
	}
	answer := new(aggregateAnswer)
	return answer, resp.truncated(), a.decode(text, answer)
}

// copyAnswer writes an answer as it comes.
func (a *app) copyAnswer(ctx context.Context, r request) error {
	resp, err := a.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.body.Close()
	if _, err := io.Copy(a.out, resp.body); err != nil {
		return err
	}
	_, err = io.WriteString(a.out, "\n")
	return err
}

func (a *app) writeAggregate(answer *aggregateAnswer, rows int) error {
	kinds := answer.kinds()
	t := newTable(a.out, "KIND", "EVENTS", "TOTAL", "STACKS", "FIRST", "LAST")
	for _, k := range kinds {
		t.row(k.kind, uintText(k.events), valueText(k.total, k.unit), uintText(uint64(len(k.rows))), timeText(k.start), timeText(k.end))
	}
	if err := t.flush(); err != nil || rows == 0 || len(kinds) == 0 {
		return err
	}
	if _, err := io.WriteString(a.out, "\n"); err != nil {
		return err
	}
	t = newTable(a.out, "KIND", "COUNT", "VALUE", "SHARE", "STACK")
	for _, k := range kinds {
		for _, r := range k.rows[:min(len(k.rows), rows)] {
			t.row(k.kind, uintText(r.count), valueText(r.value, k.unit), shareText(r.value, k.total), r.text)
		}
	}
	return t.flush()
}
