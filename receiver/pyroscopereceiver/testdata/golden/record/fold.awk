# Folds what `perf script -F comm,ip,sym` prints: frame;frame count, the outermost first.
# With -v each=1 every sample is a line of its own without a count.
/^[^ \t]/ { comm = $1; stack = ""; next }
NF >= 2 { name = $0; sub(/^[ \t]*[0-9a-f]+ /, "", name); gsub(/;/, ":", name); stack = stack == "" ? name : name ";" stack; next }
stack != "" { done() }
END { if (stack != "") done(); for (s in sum) print s, sum[s] }
function done() { if (each) print comm ";" stack; else sum[comm ";" stack]++; stack = "" }
