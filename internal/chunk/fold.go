package chunk

// fold adds up neighbours of one profile.
func (l *list) fold(types int) {
	to := 0
	for i := 1; i < len(l.profiles); i++ {
		same := l.profiles[i] == l.profiles[to]
		if !same {
			to++
			l.profiles[to] = l.profiles[i]
		}
		for j := range types {
			put(l.values[j], to, i, same)
		}
		if len(l.counts) > 0 {
			put(l.counts, to, i, same)
		}
		if len(l.minima) == 0 {
			continue
		}
		if same {
			l.minima[to], l.maxima[to] = min(l.minima[to], l.minima[i]), max(l.maxima[to], l.maxima[i])
		} else {
			l.minima[to], l.maxima[to] = l.minima[i], l.maxima[i]
		}
	}
	n := to + 1
	l.profiles = l.profiles[:n]
	for j := range types {
		l.values[j] = l.values[j][:n]
	}
	l.counts = l.counts[:min(n, len(l.counts))]
	l.minima, l.maxima = l.minima[:min(n, len(l.minima))], l.maxima[:min(n, len(l.maxima))]
}

func put[T int64 | uint64](vs []T, to, from int, add bool) {
	if add {
		vs[to] += vs[from]
	} else {
		vs[to] = vs[from]
	}
}
