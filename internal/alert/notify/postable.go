package notify

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// postableAlert is an alert as Alertmanager takes it, see
// https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml.
type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// newPostableAlert makes an alert of an event. If it fires, it does so until a
// time. Its labels depend on nothing that changes while it fires.
func newPostableAlert(dialect string, e *alert.Event, until time.Time) postableAlert {
	labels := map[string]string{}
	own := map[string]string{
		"alertname":        e.RuleName,
		"severity":         e.Severity,
		"aperture_dialect": dialect,
		"aperture_rule_id": e.Key.ID,
		// Always: else rules could choose it.
		"aperture_tenant": e.Key.Tenant,
	}
	setLabels(labels, own)
	setLabels(labels, e.Labels)

	value := strconv.FormatFloat(e.Value, 'g', -1, 64)
	annotations := map[string]string{}
	// What the rule says itself comes first.
	setLabels(annotations, e.Annotations)
	for name, text := range map[string]string{
		"summary":     e.Message,
		"value":       value,
		"description": describe(e, value),
		"command":     command(e),
	} {
		if text = strings.ToValidUTF8(text, "\uFFFD"); text != "" && !taken(annotations, name) {
			annotations[name] = text
		}
	}

	starts, ends := startOf(e), until
	if e.Phase == alert.Resolved {
		ends = e.At
	}
	if ends.Before(starts) {
		ends = starts // Alertmanager refuses it otherwise
	}
	return postableAlert{
		Labels: labels, Annotations: annotations,
		StartsAt: timestamp(starts), EndsAt: timestamp(ends),
		GeneratorURL: webURL(e.Link),
	}
}

// describe is a sentence on the condition of an event.
func describe(e *alert.Event, value string) string {
	threshold := strconv.FormatFloat(e.Threshold, 'g', -1, 64)
	if e.Phase == alert.Resolved {
		return fmt.Sprintf("%s is %s, no longer %s %s.", e.Metric, value, e.Operator, threshold)
	}
	return fmt.Sprintf("%s is %s, which is %s %s.", e.Metric, value, e.Operator, threshold)
}

// webURL is a link if Alertmanager takes it: it refuses alerts with another one.
func webURL(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return u.String()
}
