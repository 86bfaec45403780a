package ebpfprofilingreceiver

import (
	"bytes"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// Limits on what is read about a process, and on what is kept of it.
const (
	maxCgroup    = 64 << 10
	maxEnviron   = 256 << 10
	maxAttribute = 4096
)

// processInfo describes a process. Fields that could not be read are empty.
type processInfo struct {
	name, path, command string
	container, service  string
}

// kernelService is the service name of kernel threads.
const kernelService = "kernel"

// readProcess reads what /proc tells about a process. comm is the name of one
// of its threads, which has to do if there is nothing else: the process may be
// gone already.
func readProcess(pid uint32, comm string, kthread bool) processInfo {
	dir := "/proc/" + strconv.Itoa(int(pid))
	if kthread {
		return processInfo{name: clean(comm), service: kernelService}
	}
	var p processInfo
	if exe, err := os.Readlink(dir + "/exe"); err == nil {
		p.path = clean(strings.TrimSuffix(exe, " (deleted)"))
		p.name = path.Base(p.path)
	} else if name := bytes.TrimSpace(readLimited(dir+"/comm", 64)); len(name) > 0 {
		p.name = clean(string(name))
	} else {
		p.name = clean(comm)
	}
	command, _, _ := bytes.Cut(readLimited(dir+"/cmdline", maxAttribute), []byte{0})
	p.command = clean(string(command))
	p.container = containerID(readLimited(dir+"/cgroup", maxCgroup))
	p.service = serviceName(readLimited(dir+"/environ", maxEnviron))
	if p.service == "" {
		p.service = p.name
	}
	return p
}

// serviceName returns the name that OpenTelemetry's SDKs would report for a
// process with this environment, empty if none is set.
func serviceName(environ []byte) string {
	resource := ""
	for len(environ) > 0 {
		var v []byte
		v, environ, _ = bytes.Cut(environ, []byte{0})
		if name, ok := bytes.CutPrefix(v, []byte("OTEL_SERVICE_NAME=")); ok && len(name) > 0 {
			return clean(string(name))
		}
		if attrs, ok := bytes.CutPrefix(v, []byte("OTEL_RESOURCE_ATTRIBUTES=")); ok {
			for _, kv := range strings.Split(string(attrs), ",") {
				if name, ok := strings.CutPrefix(strings.TrimSpace(kv), "service.name="); ok {
					resource = clean(name)
				}
			}
		}
	}
	return resource
}

// running reports whether the process with this start time still exists. Start
// times are in ns since boot; /proc counts them in hundredths of a second.
func running(pid uint32, startTime uint64) bool {
	ticks, ok := startTicks(readLimited("/proc/"+strconv.Itoa(int(pid))+"/stat", 4096))
	const tick = 10_000_000
	want := startTime / tick
	return ok && ticks+1 >= want && ticks <= want+1
}

// startTicks returns field 22 of /proc/PID/stat. The second field, the name in
// parentheses, may contain anything.
func startTicks(stat []byte) (uint64, bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, false
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return v, err == nil
}

// busySeconds returns how long all processors together have not been idle since
// boot, from the first line of /proc/stat (proc_stat(5)).
func busySeconds(stat []byte) (float64, bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 8 || string(fields[0]) != "cpu" {
		return 0, false
	}
	var ticks uint64
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		v, err := strconv.ParseUint(string(fields[i]), 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += v
	}
	return float64(ticks) / 100, true
}

// readLimited returns up to limit bytes of a file, nil if it cannot be read.
func readLimited(name string, limit int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, _ := io.ReadAll(io.LimitReader(f, limit))
	return b
}

// clean makes a string that another process chose fit for an attribute.
func clean(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxAttribute)], "?")
}
