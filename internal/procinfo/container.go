package procinfo

import (
	"bytes"
	"slices"
	"strings"
)

// Container is the container that a process runs in; empty if in none.
type Container struct {
	// ID has 64 hexadecimal digits (`container.id`).
	ID string
	// Runtime is docker, containerd, cri-o or podman (`container.runtime`), empty
	// if the path does not tell: below a pod, cgroup drivers of all runtimes but
	// systemd's leave only the id.
	Runtime string
	// PodUID is the uid of the pod (`k8s.pod.uid`): a UUID, or 32 hexadecimal
	// digits for static pods. It may be there without a container.
	PodUID string
}

const (
	containerIDLen = 64
	// maxCgroupPaths bounds the paths that are kept of a process: there are about
	// a dozen hierarchies of cgroup v1.
	maxCgroupPaths = 16
)

// cgroupPaths returns the different paths in the content of a
// /proc/PID/cgroup, that of cgroup v2 ("0::/path") first.
func cgroupPaths(b []byte) []string {
	var paths []string
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		id, rest, _ := bytes.Cut(line, []byte(":"))
		_, path, ok := bytes.Cut(rest, []byte(":"))
		if !ok || len(path) == 0 || path[0] != '/' {
			continue
		}
		p := clean(string(path))
		switch {
		case string(id) == "0":
			paths = append([]string{p}, slices.DeleteFunc(paths, func(q string) bool { return q == p })...)
		case len(paths) < maxCgroupPaths && !slices.Contains(paths, p):
			paths = append(paths, p)
		}
	}
	return paths[:min(len(paths), maxCgroupPaths)]
}

// ContainerOf tells which container a cgroup belongs to: of nested ones the
// innermost. The runtimes put different things around the id:
//
//	/docker/<id>
//	/system.slice/docker-<id>.scope
//	/kubepods.slice/kubepods-pod<uid>.slice/cri-containerd-<id>.scope
//	/kubepods/besteffort/pod<uid>/<id>
//	/kubepods.slice/kubepods-pod<uid>.slice:cri-containerd:<id>
//	/machine.slice/libpod-<id>.scope/container
//	/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope
func ContainerOf(path string) Container {
	c, _ := containerOf(path)
	return c
}

// containerOf also returns how many containers are nested in the path.
func containerOf(path string) (c Container, depth int) {
	pods, parent := false, ""
	for seg := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == ':' }) {
		pods = pods || strings.Contains(seg, "kubepods")
		if pods {
			if uid := podUID(seg); uid != "" {
				c = Container{PodUID: uid}
			}
		}
		if id, prefix, ok := segmentID(seg); ok {
			if prefix == "" {
				prefix = parent
			}
			c.ID, c.Runtime = id, runtimeOf(prefix)
			depth++
		}
		parent = seg
	}
	return c, depth
}

// segmentID finds the id at the end of a part of a path, and what is in front
// of it.
func segmentID(seg string) (id, prefix string, ok bool) {
	seg = strings.TrimSuffix(seg, ".scope")
	n := len(seg) - containerIDLen
	if n < 0 || !isHex(seg[n:]) {
		return "", "", false
	}
	if n == 0 {
		return seg, "", true
	}
	if seg[n-1] != '-' {
		return "", "", false
	}
	return seg[n:], seg[:n-1], true
}

func runtimeOf(prefix string) string {
	switch strings.TrimSuffix(prefix, "-conmon") {
	case "docker":
		return "docker"
	case "cri-containerd", "nerdctl", "containerd":
		return "containerd"
	case "crio":
		return "cri-o"
	case "libpod":
		return "podman"
	}
	return ""
}

// podUID finds the uid in a part of a path: "pod<uid>" where the kubelet makes
// cgroups itself, "kubepods-burstable-pod<uid>.slice", with _ for -, where
// systemd does.
func podUID(seg string) string {
	seg = strings.TrimSuffix(seg, ".slice")
	if i := strings.LastIndex(seg, "-pod"); i >= 0 {
		seg = seg[i+1:]
	}
	uid, ok := strings.CutPrefix(seg, "pod")
	if !ok {
		return ""
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	switch {
	case len(uid) == 32 && isHex(uid):
		return uid
	case len(uid) == 36 && uid[8] == '-' && uid[13] == '-' && uid[18] == '-' && uid[23] == '-' &&
		isHex(strings.ReplaceAll(uid, "-", "")):
		return uid
	}
	return ""
}

// isHex reports whether s consists of lower-case hexadecimal digits.
func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}
