package life

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// jobTable has a row for each time that something was written about a job.
const jobTable = "data_jobs"

// maxUnfinished is how many jobs of a tenant there may be that are not done.
const maxUnfinished = 100

// states are those of jobs by number, as the table has them. They only grow.
var states = [...]profilestore.JobState{
	profilestore.JobPending, profilestore.JobRunning, profilestore.JobPurging, profilestore.JobDone,
}

const (
	pending uint8 = iota
	running
	purging
	done
)

// job is what is known of a job.
type job struct {
	id     string
	target profilestore.Target
	state  uint8
	// cut is when it was asked for, fence after when compacted rows have nothing of
	// it (0: not known yet), hidden when nothing of it was seen any more (0: not
	// yet), in Unix milliseconds.
	cut, fence, hidden, updated   int64
	rowsDone, rowsLeft, bytesLeft uint64
	problem                       string
}

func (j *job) public() profilestore.DeleteJob {
	return profilestore.DeleteJob{
		ID: j.id, Target: j.target, State: states[min(int(j.state), len(states)-1)],
		Cut: time.UnixMilli(j.cut).UTC(), Updated: time.UnixMilli(j.updated).UTC(),
		RowsDone: j.rowsDone, RowsLeft: j.rowsLeft, BytesLeft: j.bytesLeft, Error: j.problem,
	}
}

// cutTime is cut in Unix nanoseconds.
func (j *job) cutTime() int64 { return j.cut * 1e6 }

// mark is what rows have that the job wrote: the upper half of their nonces.
func (j *job) mark() uint64 { return max(profile.HashBytes([]byte(j.id)).Hi, 1) }

// nonce is that of a row that the job writes.
func (j *job) nonce() proto.UInt128 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return proto.UInt128{High: j.mark(), Low: max(binary.LittleEndian.Uint64(b[:]), 1)}
}

// Delete implements [profilestore.Keeper].
func (k *Keeper) Delete(ctx context.Context, target profilestore.Target) (profilestore.DeleteJob, error) {
	if err := target.Validate(); err != nil {
		return profilestore.DeleteJob{}, fmt.Errorf("delete data: %w", err)
	}
	others, err := k.jobs(ctx, "tenant = {tenant:String}", "state_ < 3", newestJobs, target.Tenant, "")
	if err != nil {
		return profilestore.DeleteJob{}, err
	}
	if n := len(others); n >= maxUnfinished {
		return profilestore.DeleteJob{}, fmt.Errorf("delete data: %w: tenant %q has %d jobs that are not done; the limit is %d",
			profilestore.ErrBusy, target.Tenant, n, maxUnfinished)
	}
	// The server says when the job was asked for: a statement that is repeated by
	// the connection may say it twice, and the first counts.
	j := &job{id: strings.ToLower(rand.Text()), target: target}
	if err := k.save(ctx, j); err != nil {
		return profilestore.DeleteJob{}, err
	}
	k.again()
	return k.DeleteJob(ctx, target.Tenant, j.id)
}

// DeleteJob implements [profilestore.Keeper].
func (k *Keeper) DeleteJob(ctx context.Context, tenant, id string) (profilestore.DeleteJob, error) {
	found, err := k.jobs(ctx, "tenant = {tenant:String} AND id = {id:String}", "1", newestJobs, tenant, id)
	if err != nil {
		return profilestore.DeleteJob{}, err
	}
	if len(found) == 0 {
		return profilestore.DeleteJob{}, fmt.Errorf("job %.64q: %w", id, profilestore.ErrNotFound)
	}
	return found[0].public(), nil
}

// newestJobs is the order of the jobs of one tenant, and how many a list has.
const newestJobs = "ORDER BY cut_ DESC, id LIMIT 1000"

// DeleteJobs implements [profilestore.Keeper].
func (k *Keeper) DeleteJobs(ctx context.Context, tenant string) ([]profilestore.DeleteJob, error) {
	found, err := k.jobs(ctx, "tenant = {tenant:String}", "1", newestJobs, tenant, "")
	if err != nil {
		return nil, err
	}
	out := make([]profilestore.DeleteJob, len(found))
	for i := range found {
		out[i] = found[i].public()
	}
	return out, nil
}

// save writes what is known of a job. The first time, cut is left to the server.
func (k *Keeper) save(ctx context.Context, j *job) error {
	tenant, id, name, problem := new(proto.ColStr), new(proto.ColStr), new(proto.ColStr), new(proto.ColStr)
	scope := newText()
	tenant.Append(j.target.Tenant)
	id.Append(j.id)
	scope.Append(string(j.target.Scope))
	name.Append(j.target.Name)
	problem.Append(j.problem)
	input := proto.Input{
		{Name: "tenant", Data: tenant},
		{Name: "id", Data: id},
		{Name: "scope", Data: scope},
		{Name: "name", Data: name},
		{Name: "state", Data: proto.ColUInt8{j.state}},
		{Name: "fence_ms", Data: proto.ColInt64{j.fence}},
		{Name: "hidden_ms", Data: proto.ColInt64{j.hidden}},
		{Name: "rows_done", Data: proto.ColUInt64{j.rowsDone}},
		{Name: "rows_left", Data: proto.ColUInt64{j.rowsLeft}},
		{Name: "bytes_left", Data: proto.ColUInt64{j.bytesLeft}},
		{Name: "error", Data: problem},
	}
	if j.cut != 0 {
		input = append(input, proto.InputColumn{Name: "cut_ms", Data: proto.ColInt64{j.cut}})
	}
	// Equal rows may come one after the other.
	return k.t.insert(ctx, jobTable, input, rand.Text())
}

// jobs reads jobs, the newest first.
func (k *Keeper) jobs(ctx context.Context, where, having, order, tenant, id string) ([]job, error) {
	tenants, ids, scopes, names, problems := new(proto.ColStr), new(proto.ColStr), new(proto.ColStr), new(proto.ColStr), new(proto.ColStr)
	var state proto.ColUInt8
	var cut, fence, hidden, updated proto.ColInt64
	var rowsDone, rowsLeft, bytesLeft proto.ColUInt64
	var out []job
	newest := func(column string) string { return "argMax(" + column + ", (state, written)) AS " + column + "_" }
	q := chconn.Query{Query: ch.Query{
		Body: "SELECT tenant, id, CAST(any(scope) AS String) AS scope_, any(name) AS name_, max(state) AS state_, min(cut_ms) AS cut_, " +
			"max(fence_ms) AS fence_, max(hidden_ms) AS hidden_, toUnixTimestamp64Milli(toDateTime64(max(written), 3)) AS updated_, " +
			newest("rows_done") + ", " + newest("rows_left") + ", " + newest("bytes_left") + ", " + newest("error") +
			" FROM " + k.t.name(jobTable) + " WHERE " + where + " GROUP BY tenant, id HAVING " + having +
			" " + order,
		Result: proto.Results{
			{Name: "tenant", Data: tenants},
			{Name: "id", Data: ids},
			{Name: "scope_", Data: scopes},
			{Name: "name_", Data: names},
			{Name: "state_", Data: &state},
			{Name: "cut_", Data: &cut},
			{Name: "fence_", Data: &fence},
			{Name: "hidden_", Data: &hidden},
			{Name: "updated_", Data: &updated},
			{Name: "rows_done_", Data: &rowsDone},
			{Name: "rows_left_", Data: &rowsLeft},
			{Name: "bytes_left_", Data: &bytesLeft},
			{Name: "error_", Data: problems},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i := range state {
				out = append(out, job{
					id: ids.Row(i), state: state[i], cut: cut[i], fence: fence[i], hidden: hidden[i], updated: updated[i],
					target:   profilestore.Target{Tenant: tenants.Row(i), Scope: profilestore.Scope(scopes.Row(i)), Name: names.Row(i)},
					rowsDone: rowsDone[i], rowsLeft: rowsLeft[i], bytesLeft: bytesLeft[i], problem: problems.Row(i),
				})
			}
			return nil
		},
	}}
	q.Params.String("tenant", tenant)
	q.Params.String("id", id)
	if err := k.t.read(ctx, "jobs", q); err != nil {
		return nil, err
	}
	return out, nil
}

// unfinished returns the jobs of all tenants that are not done, the oldest first.
func (k *Keeper) unfinished(ctx context.Context) ([]job, error) {
	return k.jobs(ctx, "1", "state_ < 3", "ORDER BY cut_, id", "", "")
}
