// Command testevents reads the events of a test run in which failing tests were run
// again (gotestsum --rerun-fails --jsonfile) and says what a run that ended well may
// hide:
//
//   - tests that failed and were run again, on standard output;
//   - packages that failed outside of their tests: goroutines that leaked, or a program
//     that ended amid a test. There is no test that could be run again, so that the next
//     run of "no test" ends well. With any of these the exit status is 1.
//
// Without a file, or with one without events, it fails: then nothing is known.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// event is what `go doc test2json` describes, as far as it is used.
type event struct {
	Action, Package, Test string
}

// run is what is known of one run of the tests of a package.
type run struct {
	failed  bool            // a test
	running map[string]bool // tests that began and have not ended
}

// report is what is known of all runs.
type report struct {
	runs     map[string]*run
	repeated map[string]int // failures by test
	broken   []string
}

// add adds an event. Events of a package come in order, those of others between them.
func (r *report) add(e event) {
	of := r.runs[e.Package]
	if of == nil {
		of = &run{running: make(map[string]bool)}
		r.runs[e.Package] = of
	}
	ended := e.Action == "pass" || e.Action == "fail" || e.Action == "skip"
	switch {
	case e.Test != "" && e.Action == "run":
		of.running[e.Test] = true
	case e.Test != "" && ended:
		delete(of.running, e.Test)
		if e.Action == "fail" {
			of.failed = true
			r.repeated[e.Package+" "+e.Test]++
		}
	case e.Test == "" && ended: // of the package
		for test := range of.running {
			r.broken = append(r.broken, e.Package+" ended amid "+test)
		}
		if e.Action == "fail" && !of.failed && len(of.running) == 0 {
			r.broken = append(r.broken, e.Package+" failed outside of its tests")
		}
		delete(r.runs, e.Package)
	}
}

// read adds the events of a file. Lines that are none are what the go command or a test
// printed itself.
func (r *report) read(in io.Reader) (events int, err error) {
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil && e.Package != "" {
			r.add(e)
			events++
		}
		switch {
		case errors.Is(err, io.EOF):
			return events, nil
		case err != nil:
			return events, err
		}
	}
}

// check reads files and writes what it finds; it returns the exit status.
func check(out io.Writer, files []string) int {
	r := report{runs: make(map[string]*run), repeated: make(map[string]int)}
	status := 0
	for _, name := range files {
		if err := r.file(name); err != nil {
			fmt.Fprintf(out, "testevents: read events: %s\n", err)
			status = 1
		}
	}
	if len(r.repeated) > 0 {
		fmt.Fprintln(out, "tests that failed, most of which were run again alone:")
	}
	for _, test := range slices.Sorted(maps.Keys(r.repeated)) {
		fmt.Fprintf(out, "  %s failed %d times\n", test, r.repeated[test])
	}
	for name := range r.runs {
		r.broken = append(r.broken, name+" did not end")
	}
	slices.Sort(r.broken)
	for _, what := range r.broken {
		fmt.Fprintf(out, "FAIL: %s: see its output above\n", what)
		status = 1
	}
	return status
}

func (r *report) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := r.read(f)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s has no events", name)
	}
	return err
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testevents FILE...")
		os.Exit(2)
	}
	os.Exit(check(os.Stdout, os.Args[1:]))
}
