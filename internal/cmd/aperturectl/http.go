package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetries and maxRetryWait bound how long a server that is busy is asked
	// again.
	maxRetries   = 3
	maxRetryWait = 10 * time.Second
	// maxErrorBody bounds what is read of an error.
	maxErrorBody = 64 << 10
	// maxAnswer bounds an answer that is taken apart. Exports are streamed and have
	// no bound.
	maxAnswer = 1 << 30
)

// request is one HTTP request.
type request struct {
	method, path string
	query        url.Values
	body         any // written as JSON; nil for none
	// once is set for requests that change something each time: they are not
	// repeated.
	once bool
	// accept is the media type of the answer.
	accept string
}

// answer is a good answer whose body is still to be read.
type answer struct {
	header http.Header
	// size is that of the body, -1 if it is not known.
	size int64
	body io.ReadCloser
}

// truncated reports whether the server left stacks out.
func (r *answer) truncated() bool { return r.header.Get("X-Aperture-Truncated") == "true" }

// send sends a request, again if the server says when to. The error is explained.
func (a *app) send(ctx context.Context, r request) (*answer, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	client := a.httpClient()
	for try := 0; ; try++ {
		resp, err := a.sendOnce(ctx, client, r, body)
		if err == nil {
			return resp, nil
		}
		var again *retryError
		if !errors.As(err, &again) || r.once || try == maxRetries || again.after > maxRetryWait {
			client.CloseIdleConnections()
			return nil, err
		}
		select {
		case <-time.After(again.after):
		case <-ctx.Done():
			client.CloseIdleConnections()
			return nil, ctx.Err()
		}
	}
}

func (a *app) httpClient() *http.Client {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: min(a.global.timeout, 10*time.Second)}).DialContext,
		TLSHandshakeTimeout: a.global.timeout,
	}
	if a.global.tlsConfig != nil {
		t.TLSClientConfig = a.global.tlsConfig.Clone()
	}
	return &http.Client{
		Transport: t,
		// The API redirects nowhere; the token goes to the server that was named only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (a *app) sendOnce(ctx context.Context, client *http.Client, r request, body []byte) (*answer, error) {
	u := *a.global.base
	u.RawPath = u.EscapedPath() + r.path
	if path, err := url.PathUnescape(u.RawPath); err == nil {
		u.Path = path
	}
	u.RawQuery = r.query.Encode()
	// What is bounded is the time without progress: exports may be long.
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(a.global.timeout, func() { cancel(context.DeadlineExceeded) })
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "aperturectl/"+version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if a.global.tenant != "" {
		req.Header.Set("X-Scope-OrgID", a.global.tenant)
	}
	if a.global.authorizationText != "" {
		req.Header.Set("Authorization", a.global.authorizationText)
	}
	resp, err := client.Do(req)
	if err != nil {
		watch.Stop()
		if c := context.Cause(ctx); c != nil {
			err = c
		}
		cancel(nil)
		return nil, a.serverError(unwrapURL(err))
	}
	watch.Stop()
	in := &watchedBody{app: a, ctx: ctx, body: resp.Body, watch: watch, done: func() {
		cancel(nil)
		client.CloseIdleConnections()
	}}
	if resp.StatusCode/100 != 2 {
		defer in.Close()
		return nil, a.statusError(resp, in)
	}
	return &answer{header: resp.Header, size: resp.ContentLength, body: in}, nil
}

func (a *app) serverError(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &addressError{address: a.global.base.Host, flag: "--server", tls: a.global.base.Scheme == "https", err: err}
}

// unwrapURL removes the URL from an error of the client.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// watchedBody is a body that may take as long as it likes while something comes. The
// time between reads is of who reads, and does not count.
type watchedBody struct {
	app   *app
	ctx   context.Context
	body  io.ReadCloser
	watch *time.Timer
	done  func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.Reset(b.app.global.timeout)
	n, err := b.body.Read(p)
	b.watch.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		if c := context.Cause(b.ctx); c != nil {
			err = c
		}
		err = b.app.serverError(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	err := b.body.Close()
	b.done()
	return err
}

// retryError is an answer that says when to ask again.
type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// statusError returns the error that an answer stands for.
func (a *app) statusError(resp *http.Response, body io.Reader) error {
	text, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
	message := errorMessage(text)
	host := a.global.base.Host
	var err error
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		err = failf("%s", unauthorized(host, firstOf(message, "unauthorized")))
	case http.StatusForbidden:
		err = failf("%s does not allow it: %s", host, message)
	case http.StatusNotFound:
		err = notFound(host, resp.Request.URL.Path, message)
	case http.StatusRequestEntityTooLarge:
		err = failf("the request is larger than %s takes: %s", host, message)
	case http.StatusUnprocessableEntity:
		err = failf("the query is too large for %s (%s): narrow it down by --since, --service or --limit", host, message)
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		err = failf("%s cannot do this (%s): it may be of another version than aperturectl", host, message)
	case http.StatusBadRequest:
		if strings.Contains(message, "HTTP request to an HTTPS server") {
			err = failf("%s uses TLS: add --tls, or --ca with the authority of its certificate", host)
			break
		}
		err = failf("%s", firstOf(message, "the server refuses the request"))
	default:
		err = failf("%s answers %s: %s", host, strings.ToLower(firstOf(http.StatusText(resp.StatusCode), resp.Status)), firstOf(message, "no reason given"))
		if resp.StatusCode/100 == 3 {
			err = failf("%s redirects to %s: use that for --server", host, resp.Header.Get("Location"))
		}
	}
	seconds, parseErr := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31)
	if parseErr != nil {
		return &httpStatus{resp.StatusCode, err}
	}
	after := time.Duration(seconds) * time.Second
	return &retryError{after, failf("%s; try again in %s", sentence(explain(err)), after)}
}

func notFound(host, path, message string) error {
	if strings.HasPrefix(message, "No ") {
		return failf("%s: check the filters, or take a longer time", strings.ToLower(message[:1])+message[1:])
	}
	if message == "" || strings.HasPrefix(message, "404") || strings.Contains(message, "unknown route") || strings.Contains(message, path) {
		return failf("%s knows no %s: check --server, and that the collector has the aperture_api extension", host, path)
	}
	return failf("%s", message)
}

// errorMessage returns what the body of an error says.
func errorMessage(text []byte) string {
	var e struct {
		Error     string `json:"error"`
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(text, &e) == nil && e.Error != "" {
		if e.RequestID != "" {
			return fmt.Sprintf("%s (request id %s)", e.Error, e.RequestID)
		}
		return e.Error
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line[:min(len(line), 500)]
}

// fetch reads an answer as a whole.
func (a *app) fetch(ctx context.Context, r request) ([]byte, *answer, error) {
	resp, err := a.send(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.body, maxAnswer+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxAnswer {
		return nil, nil, failf("the answer is larger than %d bytes: ask for less by --limit", maxAnswer)
	}
	return text, resp, nil
}

// decode takes an answer apart.
func (a *app) decode(text []byte, to any) error {
	if err := json.Unmarshal(text, to); err != nil {
		return failf("the answer of %s is not what aperturectl knows (%s): they may be of different versions", a.global.base.Host, err)
	}
	return nil
}

// httpStatus is the status of an answer that is an error.
type httpStatus struct {
	code int
	error
}

func (e *httpStatus) Unwrap() error { return e.error }

// noRule says which rule is not there.
func noRule(err error, id string) error {
	var s *httpStatus
	if errors.As(err, &s) && s.code == http.StatusNotFound {
		return failf("there is no rule %s: see `aperturectl alerts list`", id)
	}
	return err
}
