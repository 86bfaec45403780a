package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/pprof/profile"
)

// v8Profile is the Profile type of the Chrome DevTools protocol
// (https://chromedevtools.github.io/devtools-protocol/v8/Profiler/).
type v8Profile struct {
	Nodes []struct {
		ID        int64 `json:"id"`
		CallFrame struct {
			FunctionName string `json:"functionName"`
			URL          string `json:"url"`
			LineNumber   int64  `json:"lineNumber"`
		} `json:"callFrame"`
		HitCount int64   `json:"hitCount"`
		Children []int64 `json:"children"`
	} `json:"nodes"`
}

// readV8 turns a V8 CPU profile into one of samples/count.
func readV8(name string) (*profile.Profile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var v v8Profile
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	mapping := &profile.Mapping{ID: 1}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}},
		Mapping:    []*profile.Mapping{mapping},
	}
	type key struct {
		name, url string
		line      int64
	}
	locations := make(map[key]*profile.Location)
	parent := make(map[int64]int64, len(v.Nodes))
	at := make(map[int64]*profile.Location, len(v.Nodes))
	for _, n := range v.Nodes {
		for _, c := range n.Children {
			parent[c] = n.ID
		}
		f := n.CallFrame
		k := key{f.FunctionName, f.URL, f.LineNumber + 1}
		if k.name == "" {
			k.name = "(anonymous)"
		}
		l := locations[k]
		if l == nil {
			id := uint64(len(locations) + 1)
			fn := &profile.Function{ID: id, Name: k.name, Filename: k.url, StartLine: k.line}
			l = &profile.Location{ID: id, Mapping: mapping, Address: id, Line: []profile.Line{{Function: fn, Line: k.line}}}
			p.Function, p.Location = append(p.Function, fn), append(p.Location, l)
			locations[k] = l
		}
		at[n.ID] = l
	}
	for _, n := range v.Nodes {
		if n.HitCount == 0 {
			continue
		}
		s := &profile.Sample{Value: []int64{n.HitCount}}
		for id, ok := n.ID, true; ok; id, ok = parent[id] {
			if at[id].Line[0].Function.Name != "(root)" {
				s.Location = append(s.Location, at[id])
			}
			if _, has := parent[id]; !has {
				break
			}
		}
		p.Sample = append(p.Sample, s)
	}
	return p, nil
}
