package notify

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// Webhook posts events as JSON to one URL. docs/alerts-notification.md describes
// the request. It is safe for concurrent use.
type Webhook struct {
	name    string
	dialect string
	client  *client
	target  *url.URL
	secret  configopaque.String
	retry   configretry.BackOffConfig
}

var _ alert.Notifier = (*Webhook)(nil)

// Name implements alert.Notifier.
func (w *Webhook) Name() string { return w.name }

// Notify implements alert.Notifier. It returns when the receiver has answered,
// or after the configured time of retries.
func (w *Webhook) Notify(ctx context.Context, events []alert.Event) error {
	if err := inBatches(ctx, events, w.send); err != nil {
		return fmt.Errorf("notify %s: %w", w.name, err)
	}
	return nil
}

// Close closes idle connections.
func (w *Webhook) Close() error {
	w.client.close()
	return nil
}

func (w *Webhook) send(ctx context.Context, events []alert.Event) error {
	body, key, err := encodeMessage(w.dialect, events)
	if err != nil {
		return &failure{when: never, err: fmt.Errorf("encode message: %w", err)}
	}
	return retry(ctx, w.retry, func(ctx context.Context) error {
		header := http.Header{"Idempotency-Key": {key}}
		if w.secret != "" {
			header.Set(signatureHeader, sign(string(w.secret), time.Now(), body))
		}
		return w.client.post(ctx, w.target, header, body)
	})
}
