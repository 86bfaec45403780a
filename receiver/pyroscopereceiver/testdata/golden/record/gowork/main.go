// Command gowork works in the way that its argument names and writes the profile that
// the Go runtime makes of it.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	_ "net/http/pprof" // the routes of profiles
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"time"
)

var sink any

func main() {
	mode, out := os.Args[1], os.Args[2]
	f, err := os.Create(out)
	check(err)
	works[mode](f)
	check(f.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// works are by mode.
var works = map[string]func(io.Writer){
	"cpu":          func(w io.Writer) { cpu(w, func() { hash(4000); match(4000) }) },
	"labels":       labels,
	"generics":     func(w io.Writer) { cpu(w, func() { sorts[int](2000); sorts[string](2000); sorts[float64](2000) }) },
	"deep":         func(w io.Writer) { cpu(w, func() { deep(90) }) },
	"heap":         func(w io.Writer) { heap(w, "heap") },
	"allocs":       func(w io.Writer) { heap(w, "allocs") },
	"mutex":        mutex,
	"block":        block,
	"goroutine":    goroutines,
	"threadcreate": threads,
	"delta":        delta,
	"trace":        traced,
}

// cpu calls what is to be profiled for 600 ms.
func cpu(w io.Writer, f func()) {
	check(pprof.StartCPUProfile(w))
	for end := time.Now().Add(600 * time.Millisecond); time.Now().Before(end); {
		f()
	}
	pprof.StopCPUProfile()
}

func hash(n int) {
	var b [64]byte
	for range n {
		sum := sha256.Sum256(b[:])
		copy(b[:], sum[:])
	}
	sink = b
}

var words = regexp.MustCompile(`(\w+)@(\w+)\.com`)

func match(n int) {
	text := strings.Repeat("someone@example.com ", 8)
	for range n / 64 {
		sink = words.FindAllString(text, -1)
	}
}

// small is inlined into what calls it, twice deep.
func small(a int) int   { return smaller(a) * 7 }
func smaller(a int) int { return a ^ a>>3 }

func sorts[T cmp.Ordered](n int) {
	list := make([]T, n)
	for i := range list {
		switch p := any(&list[i]).(type) {
		case *int:
			*p = small(n - i)
		case *string:
			*p = fmt.Sprint(n - i)
		case *float64:
			*p = 1 / float64(i+1)
		}
	}
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(a, b) })
	sink = list
}

//go:noinline
func deep(n int) int {
	if n == 0 {
		hash(300)
		return 0
	}
	return deep(n-1) + 1
}

// labels works under labels of pprof and ids of spans.
func labels(w io.Writer) {
	ctx := context.Background()
	cpu(w, func() {
		pprof.Do(ctx, pprof.Labels("handler", "GET /a b", "tenant.name", "first", "span_id", "00f067aa0ba902b7"), func(ctx context.Context) {
			hash(4000)
			pprof.Do(ctx, pprof.Labels("tenant.name", "ünïcode"), func(context.Context) { match(8000) })
		})
		pprof.Do(ctx, pprof.Labels("handler", "POST /c"), func(context.Context) { hash(4000) })
	})
}

func heap(w io.Writer, name string) {
	runtime.MemProfileRate = 4096
	var kept [][]byte
	for i := range 2000 {
		kept = append(kept, grow(i))
		if i%3 == 0 {
			kept = kept[:len(kept)/2]
		}
		sorts[string](8)
	}
	runtime.GC()
	check(pprof.Lookup(name).WriteTo(w, 0))
	runtime.KeepAlive(kept)
}

//go:noinline
func grow(i int) []byte { return make([]byte, 64+i) }

// contend makes goroutines wait for a mutex and a channel.
func contend() {
	var mu sync.Mutex
	var rw sync.RWMutex
	var wg sync.WaitGroup
	results := make(chan int)
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				mu.Lock()
				hash(500)
				mu.Unlock()
				rw.Lock()
				time.Sleep(50 * time.Microsecond)
				rw.Unlock()
			}
			results <- i
		})
	}
	for range 8 {
		<-results
	}
	wg.Wait()
}

func mutex(w io.Writer) {
	runtime.SetMutexProfileFraction(1)
	contend()
	check(pprof.Lookup("mutex").WriteTo(w, 0))
}

func block(w io.Writer) {
	runtime.SetBlockProfileRate(1)
	contend()
	check(pprof.Lookup("block").WriteTo(w, 0))
}

func goroutines(w io.Writer) {
	stop := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(30)
	for i := range 30 {
		go pprof.Do(context.Background(), pprof.Labels("worker", fmt.Sprintf("w%d", i%3)), func(context.Context) { wait(i%5, &ready, stop) })
	}
	ready.Wait()
	time.Sleep(20 * time.Millisecond)
	check(pprof.Lookup("goroutine").WriteTo(w, 0))
	close(stop)
}

//go:noinline
func wait(depth int, ready *sync.WaitGroup, stop chan struct{}) {
	if depth > 0 {
		wait(depth-1, ready, stop)
		return
	}
	ready.Done()
	<-stop
}

func threads(w io.Writer) {
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			runtime.LockOSThread()
			time.Sleep(20 * time.Millisecond)
		})
	}
	wg.Wait()
	check(pprof.Lookup("threadcreate").WriteTo(w, 0))
}

// delta is what /debug/pprof gives of the allocations of a second.
func delta(w io.Writer) {
	runtime.MemProfileRate = 4096
	server := httptest.NewServer(http.DefaultServeMux)
	defer server.Close()
	heap(io.Discard, "heap")
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(200 * time.Millisecond)
		heap(io.Discard, "heap")
	}()
	resp, err := http.Get(server.URL + "/debug/pprof/allocs?seconds=1")
	check(err)
	_, err = io.Copy(w, resp.Body)
	check(err)
	check(resp.Body.Close())
	<-done
}

// traced writes a trace of execution, of which `go tool trace` makes profiles.
func traced(w io.Writer) {
	check(trace.Start(w))
	contend()
	trace.Stop()
}
