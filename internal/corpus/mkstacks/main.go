// Command mkstacks makes the stack corpus of package corpus out of recorded
// profiles: Go CPU profiles (*.cpu), Go heap profiles (*.mem) and V8 CPU profiles
// (*.cpuprofile, as `node --cpu-prof` writes them).
//
//	go test -trimpath -run '^$' -bench . -cpuprofile json.cpu -memprofile json.mem \
//		-memprofilerate 32768 encoding/json
//	go run ./internal/corpus/mkstacks -in recorded -out internal/corpus/testdata
//
// It keeps functions, files, lines, addresses and mappings of the heaviest
// stacks, and drops labels, comments, times and paths of the machine.
package main

import (
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/google/pprof/profile"
)

func main() {
	in := flag.String("in", ".", "folder with recorded profiles")
	out := flag.String("out", "internal/corpus/testdata", "folder to write cpu.pb.gz and memory.pb.gz to")
	top := flag.Int("top", 280, "number of stacks to keep of a CPU profile, the heaviest first; half as many of a heap profile")
	flag.Parse()
	if err := run(*in, *out, *top); err != nil {
		fmt.Fprintln(os.Stderr, "mkstacks:", err)
		os.Exit(1)
	}
}

func run(in, out string, top int) error {
	for _, job := range []struct {
		exts  []string
		types []string
		file  string
		top   int
	}{
		{[]string{".cpu", ".cpuprofile"}, []string{"samples"}, "cpu.pb.gz", top},
		{[]string{".mem"}, []string{"alloc_objects", "alloc_space"}, "memory.pb.gz", top / 2},
	} {
		var all []*profile.Profile
		for _, ext := range job.exts {
			names, err := filepath.Glob(filepath.Join(in, "*"+ext))
			if err != nil {
				return fmt.Errorf("list profiles: %w", err)
			}
			sort.Strings(names)
			for _, name := range names {
				p, err := read(name)
				if err != nil {
					return fmt.Errorf("read %s: %w", name, err)
				}
				program := strings.TrimSuffix(filepath.Base(name), ext)
				if p, err = strip(p, program, job.types, job.top); err != nil {
					return fmt.Errorf("strip %s: %w", name, err)
				}
				if len(p.Sample) >= 40 {
					all = append(all, p)
				}
			}
		}
		merged, err := profile.Merge(all)
		if err != nil {
			return fmt.Errorf("merge profiles: %w", err)
		}
		if err := write(merged, filepath.Join(out, job.file)); err != nil {
			return err
		}
		fmt.Printf("%s: %d profiles, %d stacks, %d locations, %d functions\n",
			job.file, len(all), len(merged.Sample), len(merged.Location), len(merged.Function))
	}
	return nil
}

func read(name string) (*profile.Profile, error) {
	if filepath.Ext(name) == ".cpuprofile" {
		return readV8(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return profile.Parse(f)
}

func write(p *profile.Profile, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("create corpus: %w", err)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err == nil {
		err = errors.Join(p.WriteUncompressed(z), z.Close())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// strip keeps the sample types named and the top heaviest stacks, and labels
// every sample with the program.
func strip(p *profile.Profile, program string, types []string, top int) (*profile.Profile, error) {
	index := make([]int, len(types))
	sampleTypes := make([]*profile.ValueType, len(types))
	for i, t := range types {
		index[i] = -1
		for j, st := range p.SampleType {
			if st.Type == t {
				index[i], sampleTypes[i] = j, st
			}
		}
		if index[i] < 0 {
			return nil, fmt.Errorf("profile has no sample type %q", t)
		}
	}
	p = p.Compact()
	sort.SliceStable(p.Sample, func(i, j int) bool { return p.Sample[i].Value[index[0]] > p.Sample[j].Value[index[0]] })
	p.Sample = p.Sample[:min(top, len(p.Sample))]
	kept := p.Sample[:0]
	for _, s := range p.Sample {
		values := make([]int64, len(index))
		for i, j := range index {
			values[i] = s.Value[j]
		}
		if values[0] == 0 || len(s.Location) == 0 {
			continue
		}
		s.Value, s.NumLabel, s.NumUnit = values, nil, nil
		s.Label = map[string][]string{"program": {program}}
		kept = append(kept, s)
	}
	p.Sample, p.SampleType = kept, sampleTypes
	p.Comments, p.DropFrames, p.KeepFrames, p.DefaultSampleType = nil, "", "", ""
	p.TimeNanos, p.DurationNanos, p.Period, p.PeriodType = 0, 0, 0, &profile.ValueType{}
	for _, f := range p.Function {
		f.Filename = cleanPath(f.Filename)
		if f.SystemName == f.Name {
			f.SystemName = ""
		}
	}
	for _, m := range p.Mapping {
		m.File, m.BuildID = program, ""
		m.Start, m.Limit, m.Offset = 0x400000, 0x4000000, 0
		m.HasFunctions, m.HasFilenames, m.HasLineNumbers, m.HasInlineFrames = true, true, true, true
	}
	return p.Compact(), p.CheckValid()
}

// cleanPath drops what a path says of the machine it was recorded on.
func cleanPath(name string) string {
	name = strings.TrimPrefix(name, "file://")
	for _, mark := range []string{"/node_modules/", "/go/src/", "/src/runtime/cgo/"} {
		if i := strings.Index(name, mark); i >= 0 {
			return strings.TrimPrefix(name[i+len(mark):], "/")
		}
	}
	if filepath.IsAbs(name) || strings.HasPrefix(name, "_") || strings.Contains(name, "tmp") {
		return filepath.Base(name)
	}
	return name
}
