package aperturewire

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchPayload is what an agent sends: samples of some hundred stacks of 20 user
// and 6 kernel frames, mostly symbolised.
func benchPayload(events int, symbols bool) (payload []byte, frames, addresses uint64) {
	enc := Encoder{}
	payload = enc.AppendHeader(nil, 1, events)
	for i := range events {
		s := CPUSample{Timestamp: 1700000000000000000 + uint64(i), PID: int32(i % 40), TID: int32(i), CPU: uint32(i % 8), Comm: fmt.Sprintf("worker-%d", i%16)}
		for d := range 20 {
			s.User = append(s.User, uint64(0x400000+(i%300)*64+d*4096))
			if symbols && d%5 != 4 {
				s.UserSymbols = append(s.UserSymbols, Some(fmt.Sprintf("github.com/example/pkg.(*Type).Method%d [server]", (i%300)+d)))
			} else if symbols {
				s.UserSymbols = append(s.UserSymbols, Symbol{})
			}
		}
		for d := range 6 {
			s.Kernel = append(s.Kernel, 0xffffffff81000000+uint64((i%50)*64+d*4096))
			if symbols {
				s.KernelSymbols = append(s.KernelSymbols, Some(fmt.Sprintf("__do_sys_thing_%d", d)))
			}
		}
		for _, a := range s.User {
			addresses += a
		}
		for _, a := range s.Kernel {
			addresses += a
		}
		frames += uint64(len(s.User) + len(s.Kernel))
		payload = enc.AppendCPU(payload, &s)
	}
	return payload, frames, addresses
}

// BenchmarkDecode decodes a payload and reads every event of it, with and without
// walking over the frames one by one.
func BenchmarkDecode(b *testing.B) {
	const events = 10_000
	for _, symbols := range []bool{true, false} {
		payload, wantFrames, wantAddresses := benchPayload(events, symbols)
		for _, walk := range []bool{false, true} {
			b.Run(fmt.Sprintf("symbols=%t/frames=%t", symbols, walk), func(b *testing.B) {
				b.SetBytes(int64(len(payload)))
				b.ReportAllocs()
				for b.Loop() {
					m, err := Decode(payload)
					require.NoError(b, err)
					var n, frames, addresses uint64
					it := m.Events()
					for ev := (Event{}); it.Next(&ev); n++ {
						frames += uint64(ev.User.Len() + ev.Kernel.Len())
						if !walk {
							continue
						}
						for _, s := range [...]Stack{ev.User, ev.Kernel} {
							fs := s.Frames()
							for f := (Frame{}); fs.Next(&f); {
								addresses += f.Address
							}
						}
					}
					if n != events || frames != wantFrames || walk && addresses != wantAddresses {
						b.Fatalf("unexpected sums: %d events, %d frames, %d addresses; want %d, %d, %d", n, frames, addresses, events, wantFrames, wantAddresses)
					}
				}
				b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
