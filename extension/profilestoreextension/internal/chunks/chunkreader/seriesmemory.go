package chunkreader

import (
	"sync"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// seriesMemory remembers what statements said of the series of one service. The id of
// a series is the hash of its labels, so that it never says anything else: an answer
// is right for all series that are in it, and says nothing of others. It is safe for
// concurrent use.
type seriesMemory struct {
	mu    sync.Mutex
	bytes int
	by    map[string]map[proto.UInt128]string
}

const (
	// maxRemembered bounds the series of a service that are remembered for one
	// statement: that many are read for it beyond those that are selected.
	maxRemembered = 4096
	// maxMemoryBytes bounds all answers together; all are forgotten when there is more.
	maxMemoryBytes = 4 << 20
	// seriesBytes is about what a series takes without its text.
	seriesBytes = 64
)

// statementKey names a statement about the series of a scan.
func (s *scan) statementKey(list string) string {
	b := profile.AppendString(nil, s.tenant)
	b = profile.AppendString(b, s.service)
	b = profile.AppendString(b, list)
	return string(b) + s.labelKey
}

// get returns the answer to a statement, nil if it is not remembered.
func (m *seriesMemory) get(key string) map[proto.UInt128]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[key]
}

// put remembers an answer, which must not be changed any more.
func (m *seriesMemory) put(key string, answer map[proto.UInt128]string) {
	size := answerBytes(key, answer)
	if len(answer) > maxRemembered || size > maxMemoryBytes/4 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += size - answerBytes(key, m.by[key])
	if m.by == nil || m.bytes > maxMemoryBytes {
		m.by, m.bytes = make(map[string]map[proto.UInt128]string), size
	}
	m.by[key] = answer
}

func answerBytes(key string, answer map[proto.UInt128]string) int {
	if answer == nil {
		return 0
	}
	n := len(key) + seriesBytes*(1+len(answer))
	for _, text := range answer {
		n += len(text)
	}
	return n
}
