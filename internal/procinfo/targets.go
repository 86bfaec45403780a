package procinfo

import (
	"fmt"
	"path"
	"strings"
)

// Limits of a [TargetsConfig].
const (
	maxTargets   = 1000
	maxTargetLen = 4096
	maxPID       = 1 << 22 // PID_MAX_LIMIT of the kernel
	minIDPrefix  = 12
)

// TargetsConfig tells which processes are profiled: those that any of the
// entries matches, all if there is none. What a process is decides, not where
// it comes from: a child of a target is a target only if it matches itself.
type TargetsConfig struct {
	// PIDs are processes, as the collector's pid namespace numbers them.
	PIDs []int `mapstructure:"pids"`
	// Executables are patterns (as of Go's path.Match: * ? [a-z]) for the path of
	// the executable, or for its last element if they contain no slash.
	Executables []string `mapstructure:"executables"`
	// Containers are container ids, or their first 12 digits or more.
	Containers []string `mapstructure:"containers"`
	// Cgroups are patterns for paths of cgroups. All cgroups below one that
	// matches are meant as well.
	Cgroups []string `mapstructure:"cgroups"`
}

// Targets is a compiled [TargetsConfig]. Nil means all processes. It is
// immutable.
type Targets struct {
	pids                map[uint32]bool
	paths, names        []string
	containers, cgroups []string
}

// Compile checks the configuration. The result is nil if everything is to be
// profiled. Errors name the key.
func Compile(c TargetsConfig) (*Targets, error) {
	t := &Targets{pids: make(map[uint32]bool)}
	for key, n := range map[string]int{
		"pids": len(c.PIDs), "executables": len(c.Executables), "containers": len(c.Containers), "cgroups": len(c.Cgroups),
	} {
		if n > maxTargets {
			return nil, fmt.Errorf("`targets::%s` must have at most %d entries, found %d", key, maxTargets, n)
		}
	}
	for i, pid := range c.PIDs {
		if pid < 1 || pid > maxPID {
			return nil, fmt.Errorf("`targets::pids[%d]` must be from 1 to %d, found %d", i, maxPID, pid)
		}
		t.pids[uint32(pid)] = true
	}
	for i, p := range c.Executables {
		if err := checkPattern(p); err != nil {
			return nil, fmt.Errorf("`targets::executables[%d]` %w", i, err)
		}
		if strings.Contains(p, "/") {
			t.paths = append(t.paths, p)
		} else {
			t.names = append(t.names, p)
		}
	}
	for i, id := range c.Containers {
		if len(id) < minIDPrefix || len(id) > containerIDLen || !isHex(id) {
			return nil, fmt.Errorf("`targets::containers[%d]` must be %d to %d lower-case hexadecimal digits, found %q",
				i, minIDPrefix, containerIDLen, id)
		}
		t.containers = append(t.containers, id)
	}
	for i, p := range c.Cgroups {
		if err := checkPattern(p); err != nil {
			return nil, fmt.Errorf("`targets::cgroups[%d]` %w", i, err)
		}
		if p[0] != '/' {
			return nil, fmt.Errorf("`targets::cgroups[%d]` must begin with a slash, found %q", i, p)
		}
		t.cgroups = append(t.cgroups, path.Clean(p))
	}
	if len(t.pids)+len(t.paths)+len(t.names)+len(t.containers)+len(t.cgroups) == 0 {
		return nil, nil
	}
	return t, nil
}

func checkPattern(p string) error {
	if p == "" || len(p) > maxTargetLen {
		return fmt.Errorf("must have 1 to %d bytes, found %d", maxTargetLen, len(p))
	}
	if _, err := path.Match(p, ""); err != nil {
		return fmt.Errorf("must be a pattern as of path.Match, found %q: %w", p, err)
	}
	return nil
}

// Match reports whether a process is to be profiled. cgroup is the path of its
// cgroup v2 if it is known otherwise than by info, empty if not.
func (t *Targets) Match(pid uint32, info *Info, cgroup string) bool {
	if t == nil || t.pids[pid] {
		return true
	}
	if matchAny(t.paths, info.Path) || matchAny(t.names, info.Name) {
		return true
	}
	container := info.Container.ID
	if container == "" {
		container = ContainerOf(cgroup).ID
	}
	for _, id := range t.containers {
		if strings.HasPrefix(container, id) {
			return true
		}
	}
	if len(t.cgroups) == 0 {
		return false
	}
	if t.matchCgroup(cgroup) {
		return true
	}
	for _, p := range info.Cgroups {
		if t.matchCgroup(p) {
			return true
		}
	}
	return false
}

// matchCgroup reports whether a cgroup or one above it is a target.
func (t *Targets) matchCgroup(p string) bool {
	for p != "" {
		if matchAny(t.cgroups, p) {
			return true
		}
		if p == "/" {
			return false
		}
		if p = p[:strings.LastIndexByte(p, '/')+1]; p != "/" {
			p = strings.TrimSuffix(p, "/")
		}
	}
	return false
}

func matchAny(patterns []string, s string) bool {
	if s == "" {
		return false
	}
	for _, p := range patterns {
		if ok, _ := path.Match(p, s); ok {
			return true
		}
	}
	return false
}
