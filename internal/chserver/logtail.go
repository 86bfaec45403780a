package chserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// logPoll is the pause between two looks at the log.
	logPoll = time.Second
	// At most logBurst messages are passed on in logWindow; the rest is counted.
	logBurst  = 20
	logWindow = time.Minute
	// maxLogMessage cuts a message, which may hold a whole query or stack trace.
	maxLogMessage = 1 << 10
	// maxLogChunk is read at once, and so the longest line that is understood.
	maxLogChunk = 64 << 10
)

// logTail passes the warnings and errors of the server's log on to ours. Not
// safe for concurrent use.
type logTail struct {
	path   string
	logger *zap.Logger
	file   *os.File
	rest   []byte // the beginning of a line that was not complete

	window     time.Time // when the current window began
	passed     int       // messages in it
	suppressed int
}

// newLogTail starts behind what the log holds now.
func newLogTail(path string, logger *zap.Logger) *logTail {
	// A stack trace would be that of this relay.
	t := &logTail{path: path, logger: logger.WithOptions(zap.AddStacktrace(zap.FatalLevel))}
	if f, err := os.Open(path); err == nil {
		if _, err := f.Seek(0, io.SeekEnd); err == nil {
			t.file = f
		} else {
			_ = f.Close() // read-only
		}
	}
	return t
}

// run reads until ctx ends.
func (t *logTail) run(ctx context.Context) {
	ticker := time.NewTicker(logPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			t.poll(time.Now())
			t.close()
			return
		case now := <-ticker.C:
			t.poll(now)
		}
	}
}

// poll passes on what was written since the last call. The server rotates its log
// by renaming it: the old file is read to its end first.
func (t *logTail) poll(now time.Time) {
	t.flush(now)
	t.read(now)
	if !t.rotated() {
		return
	}
	t.close()
	f, err := os.Open(t.path)
	if err != nil {
		return // not there yet
	}
	t.file = f
	t.read(now)
}

func (t *logTail) rotated() bool {
	if t.file == nil {
		return true
	}
	current, err := os.Stat(t.path)
	if err != nil {
		return false
	}
	open, err := t.file.Stat()
	return err != nil || !os.SameFile(current, open)
}

func (t *logTail) close() {
	if t.file != nil {
		_ = t.file.Close() // read-only
	}
	t.file, t.rest = nil, nil
}

func (t *logTail) read(now time.Time) {
	if t.file == nil {
		return
	}
	buf := make([]byte, maxLogChunk)
	for {
		n, err := t.file.Read(buf)
		t.take(now, buf[:n])
		if err != nil || n == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				t.close()
			}
			return
		}
	}
}

// take passes on the complete lines of rest and chunk.
func (t *logTail) take(now time.Time, chunk []byte) {
	t.rest = append(t.rest, chunk...)
	for {
		line, after, found := bytes.Cut(t.rest, []byte{'\n'})
		if !found {
			break
		}
		if level, message, ok := parseLogLine(string(line)); ok {
			t.pass(now, level, message)
		}
		t.rest = after
	}
	if len(t.rest) > maxLogChunk {
		t.rest = nil // the line is not one that could be passed on as a whole
	}
	t.rest = bytes.Clone(t.rest) // lets go of the lines before
}

func (t *logTail) pass(now time.Time, level, message string) {
	if t.window.IsZero() {
		t.window = now
	}
	if t.passed >= logBurst {
		t.suppressed++
		return
	}
	t.passed++
	if level == "Warning" {
		t.logger.Warn("embedded ClickHouse", zap.String("message", message))
		return
	}
	t.logger.Error("embedded ClickHouse", zap.String("level", level), zap.String("message", message))
}

// flush begins a new window when the last one is over.
func (t *logTail) flush(now time.Time) {
	if now.Sub(t.window) < logWindow {
		return
	}
	if t.suppressed > 0 {
		t.logger.Warn("embedded ClickHouse wrote more warnings and errors; see its log",
			zap.Int("suppressed", t.suppressed), zap.String("log", t.path))
	}
	t.window, t.passed, t.suppressed = time.Time{}, 0, 0
}

// parseLogLine takes a line of the server's log apart, and reports ok for the
// levels from Warning up:
//
//	2026.11.21 08:27:38.890487 [ 27716 ] {query id} <Warning> Logger: message
//
// Lines that continue a message (stack traces) are not ok.
func parseLogLine(line string) (level, message string, ok bool) {
	if len(line) < len("2026.11.21 08:27:38.890487") || line[4] != '.' || line[7] != '.' || line[10] != ' ' {
		return "", "", false
	}
	_, after, found := strings.Cut(line, "} <")
	if !found {
		return "", "", false
	}
	level, message, found = strings.Cut(after, "> ")
	if !found {
		return "", "", false
	}
	switch level {
	case "Warning", "Error", "Critical", "Fatal":
	default:
		return "", "", false
	}
	message, _, _ = strings.Cut(message, ", Stack trace (when copying")
	if len(message) > maxLogMessage {
		message = strings.ToValidUTF8(message[:maxLogMessage], "") + "..."
	}
	return level, message, true
}
