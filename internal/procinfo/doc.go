// Package procinfo tells what a process is: its executable, its container and
// pod, and the service it belongs to ([Read]); which processes are to be
// profiled ([Targets]); and which cgroup an id stands for ([Cgroups]).
//
// All it reads is under the control of other people: every read is bounded,
// every string is valid UTF-8 of at most 4096 bytes.
package procinfo
