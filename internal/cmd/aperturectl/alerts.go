package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxRule bounds a rule in a file.
const maxRule = 1 << 20

func (a *app) alertsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "alerts", Short: "List and change alert rules", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.alertsList(), a.alertsCreate(), a.alertsDelete(), a.alertsToggle(), a.alertsHistory(), a.alertsEvaluate())
	return cmd
}

// alertRule has the keys of a rule that tables show.
type alertRule struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Metric    string  `json:"metric"`
	Operator  string  `json:"operator"`
	Threshold float64 `json:"threshold"`
	Severity  string  `json:"severity"`
	Enabled   bool    `json:"enabled"`
	State     string  `json:"state"`
	// Value is nil if it is not known to the collector that answers.
	Value     *float64 `json:"value"`
	LastError string   `json:"last_error"`
}

// alertEvent has the keys of an event that tables show.
type alertEvent struct {
	RuleID   string  `json:"rule_id"`
	RuleName string  `json:"rule_name"`
	Severity string  `json:"severity"`
	Value    float64 `json:"value"`
	Message  string  `json:"message"`
	FiredAt  int64   `json:"fired_at"` // Unix seconds
	Phase    string  `json:"phase"`
}

// alertsCall sends a request and hands the answer to show, unless JSON is asked for.
func (a *app) alertsCall(ctx context.Context, r request, to any, show func() error) error {
	if err := a.global.format(outputTable, outputJSON); err != nil {
		return err
	}
	text, _, err := a.fetch(ctx, r)
	if err != nil {
		return err
	}
	if a.global.output == outputJSON {
		return a.writeJSON(text)
	}
	if err := a.decode(text, to); err != nil {
		return err
	}
	return show()
}

func (a *app) alertsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the rules", Args: cobra.NoArgs,
		RunE: a.runs(func(ctx context.Context, _ []string) error {
			var rules []alertRule
			return a.alertsCall(ctx, request{method: http.MethodGet, path: "/api/alerts"}, &rules, func() error {
				t := newTable(a.out, "ID", "NAME", "CONDITION", "SEVERITY", "ENABLED", "STATE", "VALUE", "ERROR")
				for _, r := range rules {
					condition := r.Metric + " " + r.Operator + " " + numberText(r.Threshold)
					value := ""
					if r.Value != nil {
						value = numberText(*r.Value)
					}
					t.row(r.ID, r.Name, condition, r.Severity, strconv.FormatBool(r.Enabled), r.State, value, r.LastError)
				}
				return t.flush()
			})
		}),
	}
}

func numberText(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func (a *app) alertsCreate() *cobra.Command {
	var name, metric, operator, severity, file string
	var hold, rearm time.Duration
	var threshold float64
	cmd := &cobra.Command{
		Use: "create", Short: "Create a rule and print its id", Args: cobra.NoArgs,
		Long: `Creates a rule from flags, or from a file with a JSON object, which may have every
key that the API knows; flags go before keys of the file.`,
		Example: `  aperturectl alerts create --name "buffer full" --metric buffer_utilization --operator gt --threshold 0.9 --severity warning
  aperturectl alerts create --file rule.json`,
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "`name` of the rule")
	flags.StringVar(&metric, "metric", "", "`metric` that is compared, such as push_error_rate")
	flags.StringVar(&operator, "operator", "", "gt, gte, lt, lte or eq")
	flags.Float64Var(&threshold, "threshold", 0, "`number` it is compared with")
	flags.StringVar(&severity, "severity", "", "info, warning or critical")
	flags.DurationVar(&hold, "for", 0, "`duration` that the condition must hold")
	flags.DurationVar(&rearm, "rearm", 0, "`duration` that it must not hold before the rule can fire again")
	flags.StringVar(&file, "file", "", "`file` with the rule as JSON, - for the standard input")
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		rule := make(map[string]any)
		if file != "" {
			var err error
			if rule, err = a.readRule(file); err != nil {
				return err
			}
		}
		for key, value := range map[string]any{
			"name": name, "metric": metric, "operator": operator, "threshold": threshold,
			"severity": severity, "for": hold.String(), "rearm": rearm.String(),
		} {
			if flags.Changed(key) {
				rule[key] = value
			}
		}
		for _, key := range []string{"name", "metric", "operator", "threshold", "severity"} {
			if _, ok := rule[key]; !ok {
				return usagef("a rule needs --%s, or the key in --file", key)
			}
		}
		var created struct {
			ID string `json:"id"`
		}
		return a.alertsCall(ctx, request{method: http.MethodPost, path: "/api/alerts", body: rule, once: true}, &created, func() error {
			_, err := io.WriteString(a.out, printable(created.ID)+"\n")
			return err
		})
	})
	return cmd
}

func (a *app) readRule(file string) (map[string]any, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(a.in, maxRule))
	} else {
		text, err = readSmall(file, maxRule)
	}
	if err != nil {
		return nil, usagef("--file: %s", err)
	}
	var rule map[string]any
	if err := json.Unmarshal(text, &rule); err != nil || rule == nil {
		return nil, usagef("--file: %s is no JSON object", file)
	}
	return rule, nil
}

// oneRule checks that there is one argument, the id of a rule.
func oneRule(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" || args[0] == "." || args[0] == ".." {
		return usagef("name one rule by its id, as `aperturectl alerts list` has it")
	}
	return nil
}

// rulePath returns the path of a rule.
func rulePath(id, rest string) string { return "/api/alerts/" + url.PathEscape(id) + rest }

func (a *app) alertsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete a rule", Args: oneRule,
		RunE: a.runs(func(ctx context.Context, args []string) error {
			var deleted struct{}
			err := a.alertsCall(ctx, request{method: http.MethodDelete, path: rulePath(args[0], "")}, &deleted, func() error {
				_, err := io.WriteString(a.out, "deleted "+printable(args[0])+"\n")
				return err
			})
			return noRule(err, args[0])
		}),
	}
}

func (a *app) alertsToggle() *cobra.Command {
	return &cobra.Command{
		Use: "toggle ID", Short: "Enable a rule that is disabled, and the other way round", Args: oneRule,
		RunE: a.runs(func(ctx context.Context, args []string) error {
			var toggled struct {
				Enabled bool `json:"enabled"`
			}
			err := a.alertsCall(ctx, request{method: http.MethodPost, path: rulePath(args[0], "/toggle"), once: true}, &toggled, func() error {
				word := map[bool]string{true: "enabled ", false: "disabled "}[toggled.Enabled]
				_, err := io.WriteString(a.out, word+printable(args[0])+"\n")
				return err
			})
			return noRule(err, args[0])
		}),
	}
}

func (a *app) alertsHistory() *cobra.Command {
	var limit int
	var phase string
	cmd := &cobra.Command{Use: "history", Short: "List what fired and was resolved, newest first", Args: cobra.NoArgs}
	cmd.Flags().IntVar(&limit, "limit", 100, "`number` of events, at most 500")
	cmd.Flags().StringVar(&phase, "phase", "all", "firing, resolved or all")
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(limit)}, "phase": {phase}}
		var events []alertEvent
		return a.alertsCall(ctx, request{method: http.MethodGet, path: "/api/alerts/history", query: query}, &events, func() error {
			return a.writeEvents(events)
		})
	})
	return cmd
}

func (a *app) writeEvents(events []alertEvent) error {
	t := newTable(a.out, "TIME", "RULE", "SEVERITY", "VALUE", "PHASE", "MESSAGE")
	for _, e := range events {
		at := ""
		if e.FiredAt > 0 {
			at = time.Unix(e.FiredAt, 0).UTC().Format(time.RFC3339)
		}
		t.row(at, e.RuleID, e.Severity, numberText(e.Value), e.Phase, e.Message)
	}
	return t.flush()
}

func (a *app) alertsEvaluate() *cobra.Command {
	return &cobra.Command{
		Use: "evaluate", Short: "Evaluate all rules now and list those that fire", Args: cobra.NoArgs,
		RunE: a.runs(func(ctx context.Context, _ []string) error {
			var result struct {
				Fired  []alertEvent      `json:"fired"`
				Errors map[string]string `json:"errors"`
			}
			return a.alertsCall(ctx, request{method: http.MethodPost, path: "/api/alerts/evaluate", once: true}, &result, func() error {
				if err := a.writeEvents(result.Fired); err != nil || len(result.Errors) == 0 {
					return err
				}
				var failed []string
				for _, id := range slices.Sorted(maps.Keys(result.Errors)) {
					failed = append(failed, id+" ("+result.Errors[id]+")")
				}
				return failf("these rules could not be evaluated: %s", strings.Join(failed, ", "))
			})
		}),
	}
}
