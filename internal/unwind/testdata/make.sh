#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the small shared objects that the tests read:
#   amd64.so, arm64.so   from frames.c, with .eh_frame_hdr
#   debug.so             the same for x86-64 with .debug_frame only
#   clang.so             for x86-64 by another compiler
set -e
cd "$(dirname "$0")"
flags="-O2 -fomit-frame-pointer -fPIC -shared -nostdlib -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 -Wl,-z,lazy -Wl,--hash-style=gnu"
gcc $flags -s -o amd64.so frames.c
aarch64-linux-gnu-gcc $flags -mbranch-protection=standard -s -o arm64.so frames.c
gcc $flags -fno-asynchronous-unwind-tables -fno-unwind-tables -Wa,--gdwarf-5 -g1 -gz=none -Wl,--no-ld-generated-unwind-info -Wl,--no-eh-frame-hdr -o debug.so frames.c
objcopy --strip-debug --keep-section=.debug_frame -R .eh_frame debug.so
clang $flags -s -o clang.so frames.c
