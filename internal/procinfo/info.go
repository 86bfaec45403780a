package procinfo

import (
	"bytes"
	"os"
	"path"
	"strings"
)

// KernelService is the service name of kernel threads.
const KernelService = "kernel"

// Info describes a process. Fields that could not be read are empty or 0.
type Info struct {
	// Name is the name of the executable (`process.executable.name`). For
	// interpreters it is the name of the interpreter. Of a process that was gone
	// before it was looked at it is the name of a thread.
	Name string
	// Path is the executable as the process's mount namespace sees it
	// (`process.executable.path`).
	Path string
	// Command is the zeroth argument (`process.command`). The other arguments are
	// not read: they hold secrets at times.
	Command string
	// PPID is the parent process (`process.parent_pid`), NamespacedPID the number
	// that the process has in its own pid namespace (`process.vpid`).
	PPID, NamespacedPID uint32
	// Service is the `service.name`: what OTEL_SERVICE_NAME says, else
	// OTEL_RESOURCE_ATTRIBUTES, both in the environment that the process was
	// started with, else Name. Neither a systemd unit nor a container id is used:
	// both name a place, not a program, and the name of a container is only known
	// to its runtime.
	Service string
	// Attributes are the other attributes of OTEL_RESOURCE_ATTRIBUTES, sorted by
	// key, without those that are known better from outside of the process.
	Attributes []Attribute
	// Container is where it runs.
	Container Container
	// Cgroups are the paths of its cgroups as the collector's cgroup namespace
	// sees them, that of cgroup v2 first; each once.
	Cgroups []string
}

// Attribute is a resource attribute.
type Attribute struct{ Key, Value string }

// Read reads what /proc tells about a process. comm is the name of one of its
// threads, which has to do if there is nothing else: the process may be gone
// already. kthread is true for kernel threads, of which comm is all there is.
func Read(pid uint32, comm string, kthread bool) Info {
	if kthread {
		return Info{Name: clean(comm), Service: KernelService}
	}
	// The order is that of importance: a process may end in between.
	dir := procDir(pid)
	var p Info
	if exe, err := os.Readlink(dir + "/exe"); err == nil {
		p.Path = clean(strings.TrimSuffix(exe, " (deleted)"))
		p.Name = path.Base(p.Path)
	}
	p.SetCgroups(readLimited(dir+"/cgroup", maxCgroup))
	p.Service, p.Attributes = resource(readLimited(dir+"/environ", maxEnviron))
	command, _, _ := bytes.Cut(readLimited(dir+"/cmdline", maxAttribute), []byte{0})
	p.Command = clean(string(command))
	if s, err := ReadStatus(pid); err == nil {
		p.PPID, p.NamespacedPID = s.PPID, s.NamespacedPID
	}
	if p.Name == "" {
		if name := bytes.TrimSpace(readLimited(dir+"/comm", 64)); len(name) > 0 {
			comm = string(name)
		}
		p.Name = clean(comm)
	}
	if p.Service == "" {
		p.Service = p.Name
	}
	return p
}

// SetCgroups fills in the cgroups and the container from the content of a
// /proc/PID/cgroup (cgroups(7)).
func (p *Info) SetCgroups(b []byte) {
	p.Cgroups = cgroupPaths(b)
	p.Container = Container{}
	best := 0
	for _, path := range p.Cgroups {
		// Not all hierarchies need to show all levels of nested containers.
		if c, depth := containerOf(path); depth > best {
			p.Container, best = c, depth
		}
	}
	if best > 0 {
		return
	}
	for _, path := range p.Cgroups {
		if c, _ := containerOf(path); c.PodUID != "" {
			p.Container = c
			return
		}
	}
}
