package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// messageVersion changes when a field changes its meaning or goes away, not when
// one is added.
const messageVersion = "1"

// message is the body of a webhook. docs/alerts-notification.md describes it.
type message struct {
	Version string         `json:"version"`
	Alerts  []messageAlert `json:"alerts"`
}

type messageAlert struct {
	// ID identifies the event: who has seen it has seen this alert.
	ID string `json:"id"`
	// Key is the same when an alert fires and when it is resolved.
	Key         string            `json:"key"`
	Status      alert.Phase       `json:"status"`
	Rule        messageRule       `json:"rule"`
	Value       *float64          `json:"value"` // null if there is none
	Threshold   *float64          `json:"threshold"`
	Operator    alert.Operator    `json:"operator"`
	Message     string            `json:"message"`
	Severity    string            `json:"severity"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    string            `json:"starts_at"`
	At          string            `json:"at"`
	Link        string            `json:"link,omitempty"`
}

type messageRule struct {
	Dialect string `json:"dialect"`
	Tenant  string `json:"tenant"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	Metric  string `json:"metric"`
}

// eventID identifies what happened to a rule: seq is that of the event, or of
// the one by which an alert began.
func eventID(dialect string, key alert.Key, seq uint64) string {
	return url.PathEscape(dialect) + "/" + url.PathEscape(key.Tenant) + "/" + url.PathEscape(key.ID) +
		"/" + strconv.FormatUint(seq, 10)
}

// encodeMessage returns the body for some events, and what identifies them
// together: the same events give the same again.
func encodeMessage(dialect string, events []alert.Event) (body []byte, key string, err error) {
	m := message{Version: messageVersion, Alerts: make([]messageAlert, len(events))}
	ids := sha256.New()
	for i := range events {
		e := &events[i]
		m.Alerts[i] = messageAlert{
			ID:     eventID(dialect, e.Key, e.Seq),
			Key:    eventID(dialect, e.Key, e.Episode),
			Status: e.Phase,
			Rule: messageRule{
				Dialect: dialect, Tenant: e.Key.Tenant, ID: e.Key.ID, Name: e.RuleName, Metric: e.Metric,
			},
			Value: finite(e.Value), Threshold: finite(e.Threshold), Operator: e.Operator,
			Message: e.Message, Severity: e.Severity,
			Labels: orEmpty(e.Labels), Annotations: orEmpty(e.Annotations),
			StartsAt: timestamp(startOf(e)), At: timestamp(e.At), Link: e.Link,
		}
		ids.Write([]byte(m.Alerts[i].ID + "\n"))
	}
	body, err = json.Marshal(m)
	return body, hex.EncodeToString(ids.Sum(nil)[:16]), err
}

// finite is v, or nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// orEmpty is an object also where there is nothing: {} instead of null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// timestamp is a time by RFC 3339. Unlike the encoding of time.Time it cannot
// fail.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// startOf is when the alert of an event began to fire.
func startOf(e *alert.Event) time.Time {
	if e.StartsAt.IsZero() {
		return e.At
	}
	return e.StartsAt
}
