package corpus

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sync/errgroup"
)

// Kinds of profiles that are generated.
const (
	KindCPU    = "cpu"
	KindMemory = "memory"
)

// Config says how large a corpus is. Zero fields take their defaults.
type Config struct {
	// Seed of all random choices; default 1.
	Seed uint64
	// Services and Pods of each service; default 4 and 4.
	Services, Pods int
	// Start is the first profile's time; default 2026-01-05 00:00 UTC.
	Start time.Time
	// Duration covered; default 24 h.
	Duration time.Duration
	// Interval is the length of a profile; default 60 s. Each pod makes one CPU
	// and, if it runs Go, one memory profile of four types per interval.
	Interval time.Duration
	// Samples is the mean number of stack observations in a CPU profile; memory
	// profiles have about half as many. Default 300.
	Samples float64
	// Tail is the number of crossover stacks of a service's CPU pool (a quarter
	// of it in its memory pool), TailShare their share of the samples; default
	// 10,000 and 0.15.
	Tail      int
	TailShare float64
}

func (c Config) withDefaults() Config {
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Services == 0 {
		c.Services = 4
	}
	if c.Pods == 0 {
		c.Pods = 4
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	}
	if c.Duration == 0 {
		c.Duration = 24 * time.Hour
	}
	if c.Interval == 0 {
		c.Interval = time.Minute
	}
	if c.Samples == 0 {
		c.Samples = 300
	}
	if c.Tail == 0 {
		c.Tail = 10_000
	}
	if c.TailShare == 0 {
		c.TailShare = 0.15
	}
	return c
}

// Corpus is a fleet of services. It is immutable and safe for concurrent use.
type Corpus struct {
	config   Config
	services []*service
}

type service struct {
	name   string
	bin    *binary
	cpu    *pool
	memory *pool // nil for services that do not run Go
	rate   float64
	pods   []pod
}

type pod struct {
	attributes pcommon.Map
	load       float64
	offset     int64 // ns into the interval
}

// New builds the fleet.
func New(c Config) (*Corpus, error) {
	c = c.withDefaults()
	cpu, err := programs(cpuStacks)
	if err != nil {
		return nil, err
	}
	memory, err := programs(memoryStacks)
	if err != nil {
		return nil, err
	}
	var goCPU, nodeCPU []program
	for _, p := range cpu {
		if p.node {
			nodeCPU = append(nodeCPU, p)
		} else {
			goCPU = append(goCPU, p)
		}
	}
	out := &Corpus{config: c, services: make([]*service, c.Services)}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range out.services {
		group.Go(func() error {
			out.services[i] = newService(c, i, goCPU, nodeCPU, memory)
			return nil
		})
	}
	return out, group.Wait()
}

// newService builds service i, which depends on nothing but c and i.
func newService(c Config, i int, goCPU, nodeCPU, memory []program) *service {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(i)+1))
	isNode := len(nodeCPU) > 0 && i%8 == 7
	s := &service{name: serviceName(i), rate: logNormal(rng, c.Samples, 0.5)}
	s.bin = newBinary(s.name, isNode)
	mixed := 2 + rng.IntN(3)
	if isNode {
		s.cpu = newPool(rng, s.bin, nodeCPU, c.Tail, c.TailShare)
	} else {
		s.cpu = newPool(rng, s.bin, pick(rng, goCPU, mixed), c.Tail, c.TailShare)
		s.memory = newPool(rng, s.bin, pick(rng, memory, mixed), c.Tail/4, c.TailShare)
	}
	for j := range c.Pods {
		s.pods = append(s.pods, newPod(rng, s.name, i, j, c.Interval, isNode))
	}
	return s
}

// Config returns the configuration with its defaults filled in.
func (c *Corpus) Config() Config { return c.config }

// Service returns the name of service i.
func (c *Corpus) Service(i int) string { return c.services[i].name }

// Labels returns the attributes of a pod's resource, which must not be changed.
func (c *Corpus) Labels(service, pod int) pcommon.Map {
	return c.services[service].pods[pod].attributes
}

// EachStack calls f with each stack that the profiles of a service and kind may
// have: its key, and the names of its functions, leaf first, which are valid until
// f returns.
func (c *Corpus) EachStack(service int, kind string, f func(key uint64, functions []string)) {
	s := c.services[service]
	p := s.pool(kind)
	if p == nil {
		return
	}
	var names []string
	for _, st := range p.stacks {
		names = names[:0]
		for _, l := range st.locations {
			for _, ln := range s.bin.locations[l].lines {
				names = append(names, ln.function.Name)
			}
		}
		f(st.key, names)
	}
}

func (s *service) pool(kind string) *pool {
	if kind == KindMemory {
		return s.memory
	}
	return s.cpu
}

// Ticks returns the number of intervals in the corpus.
func (c *Corpus) Ticks() int { return int(c.config.Duration / c.config.Interval) }

func serviceName(i int) string {
	words := []string{
		"checkout", "cart", "payment", "search", "catalog", "auth", "billing", "frontend", "ledger", "notify",
		"gateway", "media", "ranker", "session", "quota", "storefront", "audit", "inventory", "shipping", "pricing",
	}
	roles := []string{"api", "worker", "svc"}
	name := words[i%len(words)] + "-" + roles[i/len(words)%len(roles)]
	if n := i / (len(words) * len(roles)); n > 0 {
		name += fmt.Sprintf("-%d", n)
	}
	return name
}

func newPod(rng *rand.Rand, service string, i, j int, interval time.Duration, node bool) pod {
	p := pod{attributes: pcommon.NewMap(), load: logNormal(rng, 1, 0.25), offset: rng.Int64N(interval.Nanoseconds())}
	regions := []string{"eu-west-1", "us-east-1", "ap-south-1"}
	language := "go"
	if node {
		language = "nodejs"
	}
	name := fmt.Sprintf("%s-%08x-%05x", service, 0x7f3a11c0+uint32(i)*7919, rng.IntN(1<<20))
	for _, a := range [][2]string{
		{"service.name", service},
		{"service.version", fmt.Sprintf("1.%d.%d", i%17, j%2+3)},
		{"service.instance.id", fmt.Sprintf("%016x", rng.Uint64())},
		{"deployment.environment.name", "production"},
		{"cloud.region", regions[j%3]},
		{"host.name", fmt.Sprintf("ip-10-%d-%d-%d.internal", rng.IntN(4), rng.IntN(25), rng.IntN(250))},
		{"k8s.cluster.name", "prod-" + regions[j%3]},
		{"k8s.namespace.name", []string{"shop", "core", "data", "edge"}[i%4]},
		{"k8s.deployment.name", service},
		{"k8s.pod.name", name},
		{"telemetry.sdk.language", language},
	} {
		p.attributes.PutStr(a[0], a[1])
	}
	return p
}

func pick(rng *rand.Rand, from []program, n int) []program {
	out := make([]program, 0, n)
	for _, i := range rng.Perm(len(from))[:min(n, len(from))] {
		out = append(out, from[i])
	}
	return out
}

// logNormal draws around a mean.
func logNormal(rng *rand.Rand, mean, sigma float64) float64 {
	return mean * math.Exp(rng.NormFloat64()*sigma-sigma*sigma/2)
}
