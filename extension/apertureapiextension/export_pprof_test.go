package apertureapiextension

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	pprofile "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

func (f *fixture) pprofOf(t *testing.T, path string, headers ...string) *pprofile.Profile {
	t.Helper()
	resp, body := f.do(t, http.MethodGet, path, "", headers...)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	assert.Equal(t, "application/octet-stream", resp.Header.Get("Content-Type"))
	assert.Empty(t, resp.Header.Get("Content-Encoding"))
	p, err := pprofile.ParseData([]byte(body))
	require.NoError(t, err)
	require.NoError(t, p.CheckValid())
	return p
}

func sumsOf(p *pprofile.Profile) (sums []int64) {
	sums = make([]int64, len(p.SampleType))
	for _, s := range p.Sample {
		for i, v := range s.Value {
			sums[i] += v
		}
	}
	return sums
}

// checkPprof expects exportProfiles in the store.
func checkPprof(t *testing.T, f *fixture, tenant string) {
	headers := []string{"X-Scope-OrgID", tenant}
	resp, _ := f.do(t, http.MethodGet, "/api/export/pprof", "", headers...)
	assert.Equal(t, `attachment; filename="aperture-cpu.pb.gz"`, resp.Header.Get("Content-Disposition"))
	assert.Empty(t, resp.Header.Get(truncatedHeader))
	cpu := f.pprofOf(t, "/api/export/pprof", headers...)
	assert.Equal(t, []int64{187}, sumsOf(cpu), "stacks and what came without")
	assert.Equal(t, int64(10_000_000), cpu.Period)
	assert.Equal(t, "cpu", cpu.PeriodType.Type)
	assert.Len(t, cpu.Sample, 5)
	assert.Equal(t, []int64{653, 8}, sumsOf(f.pprofOf(t, "/api/export/pprof?event_type=lock", headers...)))
	syscalls := f.pprofOf(t, "/api/export/pprof?event_type=syscall", headers...)
	assert.Equal(t, []int64{600 + 700 + 1024 + 1100 + 2000 + 1500 + 1, 7}, sumsOf(syscalls))
	assert.Equal(t, []int64{60, 4}, sumsOf(f.pprofOf(t, "/api/export/pprof?event_type=off_cpu", headers...)))
	locks := make(map[string]int64)
	for _, s := range f.pprofOf(t, "/api/export/pprof?event_type=lock", headers...).Sample {
		locks[s.Label["aperture.lock.address"][0]] += s.Value[0]
	}
	assert.Equal(t, map[string]int64{"0x7f0000001000": 603, "0xfffff80000001000": 50}, locks)

	resp, _ = f.do(t, http.MethodGet, "/api/export/pprof?limit=1", "", headers...)
	assert.Equal(t, "true", resp.Header.Get(truncatedHeader))
	assert.Equal(t, int64(100), f.pprofOf(t, "/api/export/pprof?limit=1", headers...).Sample[0].Value[0])
	resp, body := f.do(t, http.MethodGet, "/api/export/pprof?event_type=gpu_kernel", "", headers...)
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Equal(t, "No gpu_kernel profile data available", body)
}

func TestExportPprof(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	checkPprof(t, f, "anonymous")

	// Agents of upstream send system calls without stacks.
	f.push(t, "red", "agent", "mixed")
	p := f.pprofOf(t, "/api/export/pprof?event_type=syscall", "X-Scope-OrgID", "red")
	require.Len(t, p.Sample, 1)
	assert.Equal(t, map[string][]string{"syscall.name": {"futex"}, "aperture.syscall.number": {"202"}}, p.Sample[0].Label)
}

func TestDebugPprofProfile(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	now := time.Now()
	f.storeProfiles(t, "anonymous", exportProfiles(now.Add(-time.Hour).UnixNano(), 1))
	resp, body := f.do(t, http.MethodGet, "/debug/pprof/profile", "")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode, body)
	f.storeProfiles(t, "anonymous", exportProfiles(now.UnixNano(), 2))
	assert.Equal(t, []int64{374}, sumsOf(f.pprofOf(t, "/debug/pprof/profile")))
	assert.Equal(t, []int64{374 + 187}, sumsOf(f.pprofOf(t, "/debug/pprof/profile?seconds=86400")))
	assert.Equal(t, []int64{2 * 653, 16}, sumsOf(f.pprofOf(t, "/debug/pprof/profile?seconds=86400&event_type=lock")))
	// A host is enough for the tool: it asks for this path, and for a time.
	tool := pprofTool(t, "-top", "-seconds", "60", "http://"+f.server.(httpserver.Server).Addr().String())
	assert.Contains(t, tool, "Type: samples\n")
	assert.Contains(t, tool, "of 374 total")
	for query, want := range map[string]string{
		"seconds=0":                     "invalid `seconds`: it is 0; it must be from 1 to 31622400",
		"seconds=-1":                    "invalid `seconds`: it is -1",
		"seconds=9223372036854775807":   "invalid `seconds`: it is 9223372036854775807",
		"seconds=9223372036854775808":   "invalid `seconds`: it is \"9223372036854775808\"",
		"seconds=":                      "invalid `seconds`",
		"seconds=1&seconds=2":           "invalid `seconds`: it is there 2 times",
		"seconds=1&time_start_ns=1":     "invalid `seconds`: it cannot be together with `time_start_ns`",
		"time_end_ns=1":                 "invalid `seconds`",
		"limit=-1":                      "invalid `limit`",
		"seconds=5&event_type=no+thing": "invalid `event_type`",
	} {
		resp, body := f.do(t, http.MethodGet, "/debug/pprof/profile?"+query, "")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
		assert.Contains(t, errorOf(t, body), want, query)
		assert.Empty(t, resp.Header.Get("Content-Disposition"))
	}
}

// pprofTool runs the real `go tool pprof`.
func pprofTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "pprof"}, args...)...)
	cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	assert.NotContains(t, stderr.String(), "symbolization")
	return string(out)
}

// checkPprofTool expects exportProfiles of scale 1, and an hour later of scale 3.
func checkPprofTool(t *testing.T, f *fixture) {
	const hour = int64(time.Hour)
	url := "http://" + f.server.(httpserver.Server).Addr().String() + "/api/export/pprof?label.service.name=exported"
	at := func(start int64) string {
		return fmt.Sprintf("%s&time_start_ns=%d&time_end_ns=%d", url, start, start+hour/2)
	}
	top := pprofTool(t, "-top", at(exportStart))
	t.Log(top)
	assert.Contains(t, top, "Type: samples")
	assert.Regexp(t, `of 187 total`, top)
	for name, want := range map[string][2]string{
		`main`: {"0", "180"}, `inlined \(inline\)`: {"100", "150"}, `work`: {"0", "150"}, `do_syscall_64`: {"50", "50"},
	} {
		assert.Regexp(t, `(?m)^ *`+want[0]+` +[0-9.]+%? +[0-9.]+% +`+want[1]+` +[0-9.]+% +`+name+` *$`, top)
	}
	raw := pprofTool(t, "-raw", at(exportStart))
	assert.Contains(t, raw, "PeriodType: cpu nanoseconds\nPeriod: 10000000\n")
	assert.Contains(t, raw, "Duration: 500m")
	assert.Contains(t, raw, "/usr/bin/app abcdef0123 [FN][FL][LN][IN]")
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^ +(\d+): `).FindAllStringSubmatch(raw[:strings.Index(raw, "Locations")], -1) {
		var v int
		_, err := fmt.Sscan(m[1], &v)
		require.NoError(t, err)
		sum += v
	}
	assert.Equal(t, 187, sum)
	lockRaw := pprofTool(t, "-raw", url+"&event_type=lock")
	assert.Contains(t, lockRaw, "aperture.lock.address:[0x7f0000001000]")

	for kind, want := range map[string][3]string{
		"lock": {"delay", "653ns", `(?m)^ *600ns .* inlined \(inline\)`}, "off_cpu": {"off_cpu", "60ns", `(?m)^ *60ns .* inlined \(inline\)`},
		"syscall": {"duration", "6.92us", `(?m)^ *4.12us .* do_syscall_64`},
	} {
		top := pprofTool(t, "-top", at(exportStart)+"&event_type="+kind)
		assert.Contains(t, top, "Type: "+want[0]+"\n", kind)
		assert.Contains(t, top, "of "+want[1]+" total", kind)
		assert.Regexp(t, want[2], top, kind)
		same := pprofTool(t, "-top", "-diff_base", at(exportStart)+"&event_type="+kind, at(exportStart+hour)+"&event_type="+kind)
		assert.Regexp(t, `0% of `+want[1]+` total`, same, "locks and system calls are not scaled")
	}

	diff := pprofTool(t, "-top", "-diff_base", at(exportStart), at(exportStart+hour))
	assert.Regexp(t, `(?m)^ *200 +\S+ +\S+ +300 +\S+ +inlined \(inline\)$`, diff)
	assert.Regexp(t, `of 187 total`, diff, "the base is the whole")
}
