package apertureapiextension

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/extension/apertureapiextension/internal/metadata"
)

const (
	// scrapeEvery is how long the result of a scrape is used.
	scrapeEvery = time.Second
	// scrapeTimeout bounds a scrape of this process' own endpoint.
	scrapeTimeout = 5 * time.Second
	// maxScrape is the most bytes of a scrape.
	maxScrape = 32 << 20
	// scrapeHeader marks our scrapes, so that an endpoint that leads back to
	// /metrics of this API is noticed.
	scrapeHeader = "X-Aperture-Scrape"
)

// scraper reads the collector's own metrics, at most once in scrapeEvery. It is
// safe for concurrent use.
type scraper struct {
	endpoint  string
	telemetry *metadata.TelemetryBuilder
	client    *http.Client
	// turn is held by who scrapes.
	turn chan struct{}

	mu         sync.Mutex
	last       *scrape
	lastErr    error
	at         time.Time // of the last attempt
	refreshing bool
	closed     bool
	ctx        context.Context // ends with the scraper
	cancel     context.CancelFunc
	background sync.WaitGroup
}

// scrape is what one scrape found. It is immutable.
type scrape struct {
	// text is as the endpoint sent it.
	text []byte
	// families are by canonical name.
	families map[string]*dto.MetricFamily
	// queue is how full the fullest queue of an exporter of profiles is.
	queue float64
	// at is when the endpoint was asked.
	at time.Time
}

func newScraper(endpoint string, tel *metadata.TelemetryBuilder) *scraper {
	ctx, cancel := context.WithCancel(context.Background())
	return &scraper{
		endpoint:  endpoint,
		telemetry: tel,
		client:    &http.Client{Transport: &http.Transport{}, Timeout: scrapeTimeout},
		turn:      make(chan struct{}, 1),
		ctx:       ctx,
		cancel:    cancel,
	}
}

func (s *scraper) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.background.Wait()
	s.client.CloseIdleConnections()
}

// get returns metrics that are at most scrapeEvery old.
func (s *scraper) get(ctx context.Context) (*scrape, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	last, err, fresh := s.last, s.lastErr, time.Since(s.at) < scrapeEvery
	s.mu.Unlock()
	if fresh {
		return last, err
	}
	last, err = s.read(ctx)
	if ctx.Err() != nil {
		// Somebody else may have more patience.
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.lastErr, s.at = last, err, time.Now()
	return last, err
}

// latest returns the last metrics that were read, nil if there are none, and has
// newer ones read in the background if need be. It does not block.
func (s *scraper) latest() *scrape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.refreshing && !s.closed && time.Since(s.at) >= scrapeEvery {
		s.refreshing = true
		s.background.Go(func() {
			// An error is kept for who asks for more than the latest.
			_, _ = s.get(s.ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refreshing = false
		})
	}
	return s.last
}

// queueUtilization returns how full the fullest queue of an exporter of profiles
// is, as of about the last second, 0 while that is not known. It does not block.
func (s *scraper) queueUtilization() float64 {
	if last := s.latest(); last != nil {
		return last.queue
	}
	return 0
}

func (s *scraper) read(ctx context.Context) (found *scrape, err error) {
	defer func() {
		s.telemetry.ExtensionApertureAPITelemetryScrapes.Add(context.WithoutCancel(ctx), 1, metric.WithAttributes(statusAttribute(err)))
		if err != nil {
			err = fmt.Errorf("read `telemetry_endpoint: %s`: %w", s.endpoint, err)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint, http.NoBody)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	req.Header.Set(scrapeHeader, "1")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxScrape+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status is %s", resp.Status)
	case len(text) > maxScrape:
		return nil, fmt.Errorf("metrics are larger than the limit of %d bytes", maxScrape)
	}
	if found, err = parseScrape(text); err != nil {
		return nil, err
	}
	found.at = at
	return found, nil
}

func parseScrape(text []byte) (*scrape, error) {
	families, err := parseText(text)
	if err != nil {
		return nil, err
	}
	s := &scrape{text: text, families: make(map[string]*dto.MetricFamily, len(families))}
	for name, f := range families {
		s.families[canonicalName(name)] = f
	}
	s.queue = s.exporterQueue()
	return s, nil
}

// parseText parses the text format. The parser panics on some malformed texts,
// such as a type without a name and a sample without one.
func parseText(text []byte) (families map[string]*dto.MetricFamily, err error) {
	defer func() {
		if p := recover(); p != nil {
			families, err = nil, fmt.Errorf("parse metrics: %v", p)
		}
	}()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}
