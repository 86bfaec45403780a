#!/bin/sh
# Records the golden profiles of the folder above again, and what is to be read of them.
# It needs go, gcc, g++, perf, a JDK of 17, node with npm, and python3:
#
#	receiver/pyroscopereceiver/testdata/golden/record/record.sh
set -eu
export PYTHONDONTWRITEBYTECODE=1
here=$(cd "$(dirname "$0")" && pwd)
out=$here/..
dir=${TMPDIR:-/tmp}/golden
mkdir -p "$dir"
cd "$here"
go build -trimpath -o "$dir/gowork" ./gowork
CGO_ENABLED=1 go build -trimpath -o "$dir/cgowork" ./cgowork
gcc -O1 -g -fno-omit-frame-pointer -pthread -o "$dir/cwork" work.c
g++ -O1 -g -fno-omit-frame-pointer -o "$dir/ccwork" work.cc
javac -d "$dir/classes" Work.java
cp work.js "$dir"
npm install --no-audit --no-fund --prefix "$dir" @pyroscope/nodejs@0.6.4 >/dev/null
rm -f "$out"/*.gz "$out"/*.want "$out"/*.labels "$out"/*.folded "$out"/*.lines "$out"/*.trie "$out"/*.tree "$out"/*.json
cd "$dir"

# pprof of Go
for mode in cpu labels generics deep heap allocs mutex block goroutine threadcreate delta; do
	./gowork $mode "$out/go-$mode.pb.gz"
done
./cgowork "$out/go-cgo.pb.gz"
./gowork trace work.trace
for what in sync sched; do
	go tool trace -pprof=$what work.trace >"$out/go-trace-$what.pb.gz"
done
comment() { go tool pprof -symbolize=none -proto -add_comment "$1" -output "$3" "$2" 2>/dev/null; }
comment 'first of two' "$out/go-mutex.pb.gz" commented.pb.gz
comment 'second; with a semicolon, and more' commented.pb.gz "$out/go-comments.pb.gz"

# pprof of Node.js
node work.js "$out"

# perf of C and C++
pprof() { perf script -i "$1" -F comm,tid,period,ip,sym,dso 2>/dev/null | python3 "$here/perf2pprof.py" $3 >"$out/$2.pb.gz"; }
perf record -q -F 499 -e cpu-clock:u -g -o c.perf ./cwork
perf record -q -F 499 -e cpu-clock:u -g -o cpp.perf ./ccwork
perf record -q -c 7 -e page-faults:u -g -o faults.perf ./cwork
pprof c.perf c-cpu 'cpu nanoseconds 2004008'
pprof cpp.perf cpp-cpu 'cpu nanoseconds 2004008'
pprof faults.perf c-faults 'page-faults count 7'
for file in "$out"/*.pb.gz; do
	python3 "$here/want_pprof.py" "$file" >"${file%.pb.gz}.want"
done

# Text
fold() { perf script -i $1.perf -F comm,ip,sym 2>/dev/null | awk ${2:-} -f "$here/fold.awk"; }
fold cpp | sort >"$out/perf.folded"
python3 "$here/work.py" folded >"$out/python.folded"
fold c '-v each=1' >"$out/perf.lines"
python3 "$here/encode.py" trie <"$out/perf.folded" >"$out/perf.trie"
python3 "$here/encode.py" tree <"$out/python.folded" >"$out/python.tree"
python3 "$here/encode.py" speedscope <"$out/perf.folded" >"$out/perf.speedscope.json"
python3 "$here/work.py" evented >"$out/python.speedscope.json"
for of in perf.folded:perf.folded python.folded:python.folded perf.folded:perf.trie python.folded:python.tree perf.folded:perf.speedscope.json; do
	python3 "$here/want_text.py" 499 <"$out/${of%:*}" >"$out/${of#*:}.want"
done
sort "$out/perf.lines" | uniq -c | awk '{ n = $1; sub(/^ *[0-9]+ /, ""); print $0, n }' | python3 "$here/want_text.py" 499 >"$out/perf.lines.want"
python3 "$here/want_text.py" evented <"$out/python.speedscope.json" >"$out/python.speedscope.json.want"

# JFR
for mode in cpu chunks alloc tlab lock park wall; do
	java -XX:+UseSerialGC -cp classes Work $mode .
	python3 "$here/want_jfr.py" java-$mode.jfr $([ $mode != wall ] || echo java-wall.labels) >"$out/java-$mode.want"
	gzip -9 -n -c java-$mode.jfr >"$out/java-$mode.jfr.gz"
done
cp java-wall.labels "$out"
