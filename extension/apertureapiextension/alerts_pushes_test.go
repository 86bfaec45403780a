package apertureapiextension

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRecentPushes(t *testing.T) {
	var r recentPushes
	begin := time.Now()
	see := func(after time.Duration, ok, failed float64) [2]float64 {
		a, b := r.observe(begin.Add(after), ok, failed, time.Minute)
		return [2]float64{a, b}
	}
	assert.Equal(t, [2]float64{1000, 500}, see(0, 1000, 500), "since the start")
	assert.Equal(t, [2]float64{1100, 510}, see(30*time.Second, 1100, 510), "a minute is not over")
	assert.Equal(t, [2]float64{200, 10}, see(60*time.Second, 1200, 510))
	assert.Equal(t, [2]float64{200, 0}, see(90*time.Second, 1300, 510), "failures are forgotten")
	assert.Equal(t, [2]float64{200, 0}, see(60*time.Second, 1200, 510), "what was seen before")
	assert.Equal(t, [2]float64{0, 1}, see(10*time.Minute, 1300, 511), "since the last look, if that is longer ago")
	assert.Equal(t, [2]float64{7, 2}, see(11*time.Minute, 7, 2), "counters that began anew")
	assert.Equal(t, [2]float64{0, 0}, see(12*time.Minute, 7, 2))
}

// Looks are few, however often somebody looks.
func TestRecentPushesAreFew(t *testing.T) {
	var r recentPushes
	begin := time.Now()
	for i := range 10_000 {
		ok, _ := r.observe(begin.Add(time.Duration(i)*100*time.Millisecond), float64(i), 0, time.Minute)
		if i >= 1000 {
			assert.InDelta(t, 600, ok, 600/pushLooks+1, i)
		}
	}
	assert.LessOrEqual(t, len(r.looks), 2*pushLooks+2)
}
