"""Prints the sums of a profile of pprof: want_pprof.py <file>. It reads what `go tool
pprof -raw` prints. A line is `value TAB type:unit:period type:period unit TAB labels
TAB stack`, the outermost frame first. Labels with a number, span ids and values that
are not positive are left out, as are shapes of types of Go ([go.shape.int])."""

import re
import subprocess
import sys

text = subprocess.run(["go", "tool", "pprof", "-symbolize=none", "-raw", sys.argv[1]],
                      check=True, capture_output=True, text=True).stdout
period, types, state = ":", [], "head"
samples, frames, at = [], {}, None
for line in text.splitlines():
    if line.startswith("PeriodType:"):
        period = ":".join(line.split()[1:3])
    elif line.startswith("Comment: ") and state == "head":
        print("#" + line.removeprefix("Comment: "))
    elif line in ("Samples:", "Locations", "Mappings"):
        state = line
        if state == "Samples:":
            state = "types"
    elif state == "types":
        types = [t.removesuffix("[dflt]").replace("/", ":", 1) for t in line.split()]
        state = "Samples:"
    elif state == "Samples:":
        one = re.match(r"^((?:\s*-?\d+)+): ([\d ]*)$", line)
        if one:
            samples.append(([int(v) for v in one.group(1).split()], one.group(2).split(), {}))
        else:
            # Keys have neither spaces nor colons here.
            for key, value in re.findall(r"(\S+?):\[(.*?)\](?= \S+:\[|$)", line.strip()):
                if not re.fullmatch(r"-?\d+( \w+)?( -?\d+( \w+)?)*", value):
                    samples[-1][2][key] = value
    elif state == "Locations":
        one = re.match(r"^\s+(\d+): 0x[0-9a-f]+ (?:M=\d+ )?(?:\[F\] )?(.*)$", line)
        if one and not line.startswith(" " * 13):
            at, line = one.group(1), one.group(2)
            frames[at] = []
        function = re.match(r"^\s*(.*) (\S*):(-?\d+):(-?\d+) s=-?\d+(\(.*\))?$", line)
        if function:
            frames[at].append(re.sub(r"\[go\.shape\..*\]", "", function.group(1)))
        elif line.strip():
            sys.exit("location without a meaning: " + line)
sums = {}
for values, locations, labels in samples:
    stack = [name for l in locations for name in (frames[l] or [""])]
    labels = ",".join(sorted(k.replace(".", "_") + "=" + v for k, v in labels.items() if k != "span_id"))
    for t, v in zip(types, values):
        if v > 0:
            key = f"{t}:{period}\t{labels}\t{';'.join(reversed(stack))}"
            sums[key] = sums.get(key, 0) + v
for key in sorted(sums):
    print(f"{sums[key]}\t{key}")
