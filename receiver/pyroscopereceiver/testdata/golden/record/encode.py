"""Writes folded stacks on its input in another format: encode.py trie|tree|speedscope."""

import json
import os.path
import sys

from varint import varint


def node(name, value, children):
    return varint(len(name.encode())) + name.encode() + varint(value) + varint(len(children)) + b"".join(children)


def tree(name, stacks):
    """stacks are pairs of frames and a number."""
    children = {}
    for frames, n in stacks:
        if frames:
            children.setdefault(frames[0], []).append((frames[1:], n))
    return node(name, sum(n for frames, n in stacks if not frames), [tree(k, v) for k, v in sorted(children.items())])


def trie(prefix, stacks):
    """stacks are pairs of a text that begins with prefix and a number."""
    value = sum(n for text, n in stacks if text == prefix)
    groups = {}
    for text, n in stacks:
        if text != prefix:
            groups.setdefault(text[len(prefix)], []).append((text, n))
    children = []
    for group in groups.values():
        children.append(trie_of(prefix, group))
    return value, children


def trie_of(before, stacks):
    prefix = os.path.commonprefix([text for text, _ in stacks])
    value, children = trie(prefix, stacks)
    return node(prefix[len(before):], value, children)


stacks = []
for line in sys.stdin.read().splitlines():
    text, _, n = line.rpartition(" ")
    stacks.append((text, int(n)))
if sys.argv[1] == "tree":
    sys.stdout.buffer.write(tree("", [(text.split(";"), n) for text, n in stacks]))
elif sys.argv[1] == "trie":
    sys.stdout.buffer.write(node("", *trie("", stacks)))
else:
    names = sorted({name for text, _ in stacks for name in text.split(";")})
    json.dump({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": name} for name in names]},
        "profiles": [{
            "type": "sampled", "name": "perf", "unit": "none", "startValue": 0, "endValue": sum(n for _, n in stacks),
            "samples": [[names.index(name) for name in text.split(";")] for text, _ in stacks],
            "weights": [n for _, n in stacks],
        }],
    }, sys.stdout)
