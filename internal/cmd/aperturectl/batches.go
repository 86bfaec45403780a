package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// batchList is the list of batches as the API writes it.
type batchList struct {
	Batches []batchInfo `json:"batches"`
	Error   string      `json:"error"`
}

type batchInfo struct {
	AgentID      string `json:"agent_id"`
	Sequence     uint64 `json:"sequence"`
	EventCount   uint64 `json:"event_count"`
	ReceivedAtNS int64  `json:"received_at_ns"`
}

func (a *app) queryCommand() *cobra.Command {
	var agent string
	var limit uint32
	cmd := &cobra.Command{
		Use: "query", Args: cobra.NoArgs,
		Short: "List the recent batches in the collector's memory, oldest first (gRPC Query)",
	}
	flags := cmd.Flags()
	flags.StringVar(&agent, "agent", "", "this `agent` only")
	flags.Uint32Var(&limit, "limit", 100, "`number` of batches, at most 1000")
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		if err := checkUTF8("--agent", agent); err != nil {
			return err
		}
		req := &aggregatorv1.QueryRequest{Limit: limit}
		if flags.Changed("agent") {
			req.AgentId = &agent
		}
		return a.callBatches(ctx, func(ctx context.Context, c aggregatorv1.AggregatorClient) (*aggregatorv1.QueryResponse, error) {
			return c.Query(ctx, req)
		})
	})
	return cmd
}

func (a *app) batchesCommand() *cobra.Command {
	var f filters
	var stored bool
	cmd := &cobra.Command{
		Use: "batches", Args: cobra.NoArgs,
		Short: "List batches, recent and stored ones",
		Long: `Lists the newest batches, oldest first (GET /api/batches). With a range of time, or
with --stored, it lists stored ones by the time of their arrival, newest first (gRPC
QueryStorage).`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.agent, "agent", "", "this `agent` only")
	flags.Int64Var(&f.limit, "limit", 100, "`number` of batches, at most 1000, or 10000 of the stored ones")
	flags.BoolVar(&stored, "stored", false, "those in the store only")
	f.registerTime(flags)
	cmd.RunE = a.runs(func(ctx context.Context, _ []string) error {
		if err := f.parse(a.now()); err != nil {
			return err
		}
		if stored || f.firstNS != 0 || f.finalNS != 0 {
			return a.storedBatches(ctx, &f)
		}
		query := url.Values{"limit": {strconv.FormatInt(f.limit, 10)}}
		if f.changed("agent") {
			query.Set("agent_id", f.agent)
		}
		if err := a.global.format(outputTable, outputJSON); err != nil {
			return err
		}
		text, _, err := a.fetch(ctx, request{method: http.MethodGet, path: "/api/batches", query: query})
		if err != nil {
			return err
		}
		var list batchList
		if err := a.decode(text, &list); err != nil {
			return err
		}
		return a.writeBatches(&list, text)
	})
	return cmd
}

func (a *app) storedBatches(ctx context.Context, f *filters) error {
	req := &aggregatorv1.QueryStorageRequest{Limit: uint32(min(f.limit, 10_000))}
	if f.changed("agent") {
		req.AgentId = &f.agent
	}
	if f.firstNS != 0 {
		req.TimeStartNs = &f.firstNS
	}
	if f.finalNS != 0 {
		req.TimeEndNs = &f.finalNS
	}
	return a.callBatches(ctx, func(ctx context.Context, c aggregatorv1.AggregatorClient) (*aggregatorv1.QueryResponse, error) {
		return c.QueryStorage(ctx, req)
	})
}

func (a *app) callBatches(ctx context.Context, ask func(context.Context, aggregatorv1.AggregatorClient) (*aggregatorv1.QueryResponse, error)) error {
	if err := a.global.format(outputTable, outputJSON); err != nil {
		return err
	}
	var resp *aggregatorv1.QueryResponse
	if err := a.call(ctx, "--grpc", a.global.grpc, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
		resp, err = ask(ctx, aggregatorv1.NewAggregatorClient(conn))
		return err
	}); err != nil {
		return err
	}
	list := batchList{Batches: []batchInfo{}, Error: resp.GetError()}
	for _, b := range resp.GetBatches() {
		list.Batches = append(list.Batches, batchInfo{b.GetAgentId(), b.GetSequence(), b.GetEventCount(), b.GetReceivedAtNs()})
	}
	text, err := json.Marshal(&list)
	if err != nil {
		return err
	}
	return a.writeBatches(&list, text)
}

// writeBatches writes a list. What the server says is missing is an error after it.
func (a *app) writeBatches(list *batchList, text []byte) error {
	if err := a.writeBatchList(list, text); err != nil || list.Error == "" {
		return err
	}
	return failf("the list is not complete: %s", list.Error)
}

func (a *app) writeBatchList(list *batchList, text []byte) error {
	if a.global.output == outputJSON {
		return a.writeJSON(text)
	}
	t := newTable(a.out, "RECEIVED", "AGENT", "SEQUENCE", "EVENTS")
	for _, b := range list.Batches {
		t.row(timeText(b.ReceivedAtNS), b.AgentID, uintText(b.Sequence), uintText(b.EventCount))
	}
	return t.flush()
}

// writeJSON writes what the server answered, with a line break at the end.
func (a *app) writeJSON(text []byte) error {
	if len(text) == 0 || text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	_, err := a.out.Write(text)
	return err
}
