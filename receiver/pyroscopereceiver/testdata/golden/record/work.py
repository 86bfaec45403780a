"""Works and records itself: work.py folded prints folded stacks, one sample for each
ms of processor time; work.py evented a file of speedscope with the time of each call."""

import json
import re
import signal
import sys
import time

stacks = {}


def parse(n):
    return [re.sub(r"(\w+)@(\w+)", r"\2 at \1", f"someone{i}@example.com") for i in range(n)]


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def order(n):
    return sorted(parse(n), key=lambda text: text[::-1])


def work(rounds):
    for _ in range(rounds):
        order(2000)
        fib(18)


def sample(_, frame):
    names = []
    while frame:
        names.append(f"{frame.f_code.co_filename.rsplit('/', 1)[-1]} {frame.f_code.co_name}")
        frame = frame.f_back
    key = ";".join(reversed(names))
    stacks[key] = stacks.get(key, 0) + 1


def folded():
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    work(60)
    signal.setitimer(signal.ITIMER_PROF, 0)
    for key in sorted(stacks):
        print(key, stacks[key])


def evented():
    frames, events, begin = [], [], time.perf_counter_ns()

    def call(frame, what, _):
        at = time.perf_counter_ns() - begin
        if what not in ("call", "return") or frame.f_code.co_name in ("evented", "call"):
            return
        name = frame.f_code.co_name
        if name not in frames:
            frames.append(name)
        events.append({"type": "O" if what == "call" else "C", "frame": frames.index(name), "at": at})

    sys.setprofile(call)
    fib(9)
    order(20)
    sys.setprofile(None)
    json.dump({
        "$schema": "https://www.speedscope.app/file-format-schema.json", "shared": {"frames": [{"name": n} for n in frames]},
        "profiles": [{"type": "evented", "name": "python", "unit": "nanoseconds", "startValue": 0,
                      "endValue": events[-1]["at"], "events": events}],
    }, sys.stdout)


folded() if sys.argv[1] == "folded" else evented()
