"""Prints the sums of a recording of Java Flight Recorder: want_jfr.py <file> [labels].
It reads what `jfr print --json` prints. Lines are as those of want_pprof.py. A sample
is of 10 ms. labels is the message LabelsSnapshot."""

import json
import re
import subprocess
import sys


def fields(data):
    """The fields of a message of protobuf: numbers, and bytes of messages and texts."""
    i = 0

    def varint():
        nonlocal i
        shift = n = 0
        while True:
            n |= (data[i] & 127) << shift
            shift += 7
            i += 1
            if data[i - 1] < 128:
                return n

    while i < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = varint()
            i += size
            yield tag >> 3, data[i - size:i]


strings, contexts = {}, {}
if len(sys.argv) > 2:
    with open(sys.argv[2], "rb") as f:
        for number, entry in fields(f.read()):
            entry = dict(fields(entry))
            if number == 2:
                strings[entry[1]] = entry[2].decode()
            else:
                contexts[entry[1]] = [dict(fields(label)) for _, label in fields(entry[2])]

NAMES = "ExecutionSample ObjectAllocationSample ObjectAllocationInNewTLAB ObjectAllocationOutsideTLAB JavaMonitorEnter ThreadPark ActiveSetting"
events = json.loads(subprocess.run(
    ["jfr", "print", "--json", "--stack-depth", "2048", "--events",
     ",".join("jdk." + n for n in NAMES.split()) + ",profiler.WallClockSample", sys.argv[1]],
    check=True, capture_output=True, text=True).stdout)["recording"]["events"]
sums = {}
event_label = ""
for e in events:
    if e["type"] == "jdk.ActiveSetting" and e["values"]["name"] == "event":
        event_label = e["values"]["value"]


def nanoseconds(text):
    whole, _, part = re.fullmatch(r"PT([\d.]+)S", text).group(1).partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0")[:9])


for e in events:
    v = e["values"]
    if not v.get("stackTrace"):
        continue
    labels = {"jfr_event": event_label} if event_label else {}
    for label in contexts.get(v.get("contextId"), []):
        labels[strings[label[1]].replace(".", "_")] = strings[label[2]]
    names = []
    for frame in v["stackTrace"]["frames"]:
        m = frame["method"]
        # All lambdas of a class are one, as are generated accessors and other classes that
        # differ in where the JVM put them.
        type_ = re.sub(r"^(.+\$\$Lambda).*$", r"\1_", m["type"]["name"])
        type_ = re.sub(r"\+0x[0-9a-f]+/\d+$", "_", type_)
        type_ = re.sub(r"^(jdk/internal/reflect/GeneratedMethodAccessor)\d+$", r"\1_", type_)
        names.append(type_ + "." + m["name"])
    of = e["type"].split(".")[1]
    if of == "ExecutionSample":
        out = {"samples:count:cpu:nanoseconds": 1, "cpu:nanoseconds:cpu:nanoseconds": 10_000_000}
    elif of == "WallClockSample":
        out = {"wall:nanoseconds:wall:nanoseconds": 10_000_000 * v["samples"]}
    elif of == "ObjectAllocationSample":
        out = {"alloc_sample_objects:count:space:bytes": 1, "alloc_sample_bytes:bytes:space:bytes": v["weight"]}
    elif of == "ObjectAllocationInNewTLAB":
        out = {"alloc_in_new_tlab_objects:count:space:bytes": 1, "alloc_in_new_tlab_bytes:bytes:space:bytes": v["tlabSize"]}
    elif of == "ObjectAllocationOutsideTLAB":
        out = {"alloc_outside_tlab_objects:count:space:bytes": 1, "alloc_outside_tlab_bytes:bytes:space:bytes": v["allocationSize"]}
    else:
        name = {"JavaMonitorEnter": "mutex", "ThreadPark": "block"}[of]
        out = {f"contentions:count:{name}:count": 1, f"delay:nanoseconds:{name}:count": nanoseconds(v["duration"])}
    for t, n in out.items():
        key = f"{t}\t{','.join(sorted(k + '=' + x for k, x in labels.items()))}\t{';'.join(reversed(names))}"
        sums[key] = sums.get(key, 0) + n
for key in sorted(sums):
    if sums[key] > 0:
        print(f"{sums[key]}\t{key}")
