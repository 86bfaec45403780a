package ebpfprofilingreceiver

import (
	"bytes"
	"regexp"
)

// containerPath finds the id of a container, 64 hexadecimal digits, in a cgroup
// path. Docker, containerd, cri-o and podman differ in what is around it:
//
//	/docker/<id>
//	/system.slice/docker-<id>.scope
//	/kubepods.slice/kubepods-pod<uid>.slice/cri-containerd-<id>.scope
//	/kubepods/besteffort/pod<uid>/<id>
//	/kubepods.slice/kubepods-pod<uid>.slice:cri-containerd:<id>
//	/machine.slice/libpod-<id>.scope/container
var containerPath = regexp.MustCompile(`(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)`)

// containerID returns the id of the container that a process with this
// /proc/PID/cgroup runs in, empty if in none. It takes both the lines of cgroup
// v1 ("4:memory:/path") and v2 ("0::/path"); of nested containers it is the
// innermost one.
func containerID(cgroup []byte) string {
	id := ""
	for line := range bytes.SplitSeq(cgroup, []byte("\n")) {
		for len(line) > 0 {
			m := containerPath.FindSubmatchIndex(line)
			if m == nil {
				break
			}
			id = string(line[m[2]:m[3]])
			line = line[m[3]:]
		}
		if id != "" {
			return id
		}
	}
	return id
}
