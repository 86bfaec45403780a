"""Turns what `perf script -F comm,tid,period,ip,sym,dso` prints on its input into a
profile of pprof on its output: perf2pprof.py <type> <unit> <period>. The name of the
thread is the label `comm`. Frames without a symbol are addresses in a mapping."""

import gzip
import re
import sys

from varint import varint


def number(field, n):
    return varint(field << 3) + varint(n)


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


class Table:
    def __init__(self, first):
        self.ids, self.rows, self.first = {}, [], first

    def add(self, key, row=None):
        if key not in self.ids:
            self.ids[key] = len(self.rows) + self.first
            self.rows.append(row(self.ids[key]) if row else key)
        return self.ids[key]


strings, mappings, functions, locations = Table(0), Table(1), Table(1), Table(1)
strings.add("")


def location(address, name, dso):
    m = mappings.add(dso, lambda i: number(1, i) + number(3, 1 << 47) + number(5, strings.add(dso)))
    key = (address, name, dso)

    def row(i):
        out = number(1, i) + number(2, m) + number(3, address)
        if name != "[unknown]":
            f = functions.add(name, lambda i: number(1, i) + number(2, strings.add(name)) + number(3, strings.add(name)))
            out += message(4, number(1, f))
        return out

    return locations.add(key, row)


def main():
    kind, unit, period = sys.argv[1:]
    sums = {}
    stack, comm, value = [], None, 0
    for line in sys.stdin.read().splitlines() + [""]:
        head = re.match(r"^(\S.*?)\s+(\d+)\s+(\d+)\s*:?\s*$", line)
        frame = re.match(r"^\s+([0-9a-f]+) (.*) \((.*)\)$", line)
        if head:
            comm, value = head.group(1), int(head.group(3))
        elif frame:
            dso = frame.group(3).split("/")[-1]
            stack.append(location(int(frame.group(1), 16), frame.group(2), dso))
        elif not line.strip() and stack:
            key = (tuple(stack), comm)
            n, v = sums.get(key, (0, 0))
            sums[key] = (n + 1, v + value)
            stack = []
    body = b""
    for t, u in (("samples", "count"), (kind, unit)):
        body += message(1, number(1, strings.add(t)) + number(2, strings.add(u)))
    for (stack, comm), (n, v) in sums.items():
        label = number(1, strings.add("comm")) + number(2, strings.add(comm))
        body += message(2, message(1, b"".join(map(varint, stack))) + message(2, varint(n) + varint(v)) + message(3, label))
    body += message(11, number(1, strings.add(kind)) + number(2, strings.add(unit))) + number(12, int(period))
    body += number(13, strings.add("made of perf script"))
    for field, table in ((3, mappings), (4, locations), (5, functions)):
        body += b"".join(message(field, row) for row in table.rows)
    body += b"".join(message(6, s.encode()) for s in strings.rows)
    sys.stdout.buffer.write(gzip.compress(body, 9, mtime=0))


main()
