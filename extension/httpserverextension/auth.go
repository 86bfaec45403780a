package httpserverextension

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/bearer"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// writeError answers what the handlers before ours refuse: requests that failed
// to authenticate and bodies that cannot be decompressed.
func (s *server) writeError(w http.ResponseWriter, r *http.Request, message string, status int) {
	if status == http.StatusUnauthorized {
		message = s.unauthorized(w, r, message)
	}
	s.answer(w, r, status, 0, message)
}

// answer answers a request that is refused, in the shape of its route.
func (s *server) answer(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration, message string) {
	m := s.router.match(r)
	switch {
	case m.route != nil && m.route.options.Refuse != nil:
		m.route.options.Refuse(w, r, status, retryAfter, message)
	case retryAfter > 0:
		httpserver.WriteRetry(w, r, status, retryAfter, message)
	default:
		httpserver.WriteError(w, r, status, message)
	}
}

// unauthorized tells the client what is asked for and the log who failed. It
// returns the message: upstream's words for bearer tokens, else the extension's.
func (s *server) unauthorized(w http.ResponseWriter, r *http.Request, message string) string {
	challenge := `Bearer realm="aperture"`
	switch authentication := s.cfg.ServerConfig.Auth.Get().Config.AuthenticatorID.Type().String(); authentication {
	case bearer.ExtensionType:
		values := r.Header.Values("Authorization")
		message = bearer.Refusal(values)
		if len(values) > 0 {
			challenge += `, error="invalid_token"`
		}
	case "basicauth":
		challenge = `Basic realm="aperture"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	s.logger.Warn("authentication failed",
		zap.String("reason", message), zap.String("path", r.URL.Path), zap.String("client", r.RemoteAddr),
		zap.String("request_id", httpserver.RequestID(r.Context())))
	return message
}
