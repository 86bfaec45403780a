"""Prints the sums of folded stacks: want_text.py <rate> < folded, or of a file of
speedscope with events: want_text.py evented < file. Lines are as those of
want_pprof.py: samples and the processor's time of them at a rate in Hz, or time."""

import json
import sys

sums = {}
if sys.argv[1] == "evented":
    file = json.load(sys.stdin)
    names = [f["name"] for f in file["shared"]["frames"]]
    stack, last = [], 0
    for e in file["profiles"][0]["events"]:
        if stack:
            key = "wall:nanoseconds:cpu:nanoseconds\t\t" + ";".join(stack)
            sums[key] = sums.get(key, 0) + e["at"] - last
        last = e["at"]
        if e["type"] == "O":
            stack.append(names[e["frame"]])
        else:
            stack.pop()
else:
    samples = {}
    for line in sys.stdin.read().splitlines():
        stack, _, n = line.rpartition(" ")
        samples[stack] = samples.get(stack, 0) + int(n)
    for stack, n in samples.items():
        sums["samples:count:cpu:nanoseconds\t\t" + stack] = n
        sums["cpu:nanoseconds:cpu:nanoseconds\t\t" + stack] = n * 10**9 // int(sys.argv[1])
for key in sorted(sums):
    if sums[key] > 0:
        print(f"{sums[key]}\t{key}")
