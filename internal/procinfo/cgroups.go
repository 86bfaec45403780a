package procinfo

import (
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of the walk through the cgroups of the host.
const (
	maxCgroups     = 65536
	maxCgroupDepth = 32
	// walkEvery is how often an unknown id may cause a walk, unknownFor how long
	// an id that was not found is not looked for again.
	walkEvery  = time.Second
	unknownFor = time.Minute
)

// Cgroups tells the path of a cgroup v2 by its id, as
// bpf_get_current_cgroup_id returns it: the inode number of its directory. It
// is safe for concurrent use.
//
// That is how processes get their container which have ended before anyone
// could look at them. A cgroup that was removed keeps its path.
type Cgroups struct {
	root string // empty without cgroup v2

	mu      sync.Mutex
	paths   map[uint64]string
	unknown map[uint64]time.Time
	walked  time.Time
}

// NewCgroups finds the cgroup v2 hierarchy: alone in /sys/fs/cgroup, or next to
// those of cgroup v1. It reads nothing of it until it is asked.
func NewCgroups() *Cgroups {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && int64(st.Type) == unix.CGROUP2_SUPER_MAGIC {
			return newCgroups(dir)
		}
	}
	return newCgroups("")
}

func newCgroups(root string) *Cgroups {
	return &Cgroups{root: root, paths: make(map[uint64]string), unknown: make(map[uint64]time.Time)}
}

// Path returns the path of a cgroup within the hierarchy ("/" is the root),
// empty if it is not known.
func (c *Cgroups) Path(id uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.paths[id]; ok {
		return p
	}
	now := time.Now()
	if c.root == "" || id == 0 || now.Sub(c.unknown[id]) < unknownFor {
		return ""
	}
	if now.Sub(c.walked) < walkEvery {
		return ""
	}
	c.walk()
	c.walked = now
	p, ok := c.paths[id]
	if !ok {
		if len(c.unknown) >= maxCgroups {
			clear(c.unknown)
		}
		c.unknown[id] = now
	}
	return p
}

// walk reads all cgroups, breadth first so that a limit cuts off the deepest.
func (c *Cgroups) walk() {
	if len(c.paths) > maxCgroups {
		clear(c.paths) // mostly of cgroups that were removed
	}
	type dir struct {
		path  string
		depth int
	}
	queue := []dir{{path: "/"}}
	if id, ok := inode(c.root); ok {
		c.paths[id] = "/"
	}
	for n := 0; n < len(queue) && n < maxCgroups; n++ {
		d := queue[n]
		if d.depth == maxCgroupDepth {
			continue
		}
		entries, err := os.ReadDir(c.root + d.path)
		if err != nil {
			continue // removed meanwhile, or not readable
		}
		for _, e := range entries {
			if !e.IsDir() || len(queue) == maxCgroups {
				continue
			}
			sub := path.Join(d.path, e.Name())
			if id, ok := inode(c.root + sub); ok {
				c.paths[id] = clean(sub)
				delete(c.unknown, id)
				queue = append(queue, dir{sub, d.depth + 1})
			}
		}
	}
}

func inode(name string) (uint64, bool) {
	fi, err := os.Lstat(name)
	if err != nil {
		return 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Ino, true
}
