package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// usageError is a fault of the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// failure is an error that says what to do already.
type failure struct {
	message string
	cause   error
}

func (e *failure) Error() string { return e.message }
func (e *failure) Unwrap() error { return e.cause }

func failf(format string, args ...any) error { return &failure{message: fmt.Sprintf(format, args...)} }

// addressError says which server an error is about.
type addressError struct {
	address, flag string
	tls           bool
	err           error
}

func (e *addressError) Error() string { return e.address + ": " + e.err.Error() }
func (e *addressError) Unwrap() error { return e.err }

// explain returns the sentence for an error.
func explain(err error) string {
	var known *failure
	if errors.As(err, &known) {
		return known.message
	}
	var at *addressError
	if errors.As(err, &at) {
		if s, ok := status.FromError(at.err); ok && s.Code() != codes.OK {
			return explainStatus(at, s)
		}
		return explainNetwork(at)
	}
	return err.Error()
}

// explainNetwork says why there was no answer.
func explainNetwork(at *addressError) string {
	err := at.err
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused(at)
	case errors.As(err, &dns):
		return fmt.Sprintf("cannot find the host %s: check %s", dns.Name, at.flag)
	case errors.As(err, &unknown):
		return untrusted(at)
	case errors.As(err, &host):
		return fmt.Sprintf("the certificate of %s is for another name (%s): use the name in it for %s", at.address, host.Error(), at.flag)
	case errors.As(err, &invalid):
		return fmt.Sprintf("the certificate of %s is not valid: %s", at.address, invalid.Error())
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return plaintext(at)
	case at.tls && errors.Is(err, syscall.EPIPE):
		return maybeCertificate(at)
	case strings.Contains(text, "certificate required"):
		return clientCertificate(at)
	case strings.Contains(text, "remote error: tls"):
		return fmt.Sprintf("%s refuses the TLS connection (%s): check --cert, --key and --ca", at.address, lastPart(text))
	case strings.Contains(text, "malformed HTTP response"):
		return fmt.Sprintf("%s does not speak HTTP: check the port in %s", at.address, at.flag)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return late(at)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Sprintf("%s closed the connection before the end of the answer: try again, and see the log of the collector", at.address)
	}
	return fmt.Sprintf("cannot reach %s: %s", at.address, lastPart(text))
}

func refused(at *addressError) string {
	return fmt.Sprintf("nothing listens on %s: start the collector, or give its address by %s", at.address, at.flag)
}

func untrusted(at *addressError) string {
	return fmt.Sprintf("the certificate of %s is signed by nobody we know: give its authority by --ca", at.address)
}

func plaintext(at *addressError) string {
	return fmt.Sprintf("%s does not use TLS: leave out --tls, --ca, --cert and https://", at.address)
}

func clientCertificate(at *addressError) string {
	return fmt.Sprintf("%s wants a client certificate: give it by --cert and --key", at.address)
}

func maybeCertificate(at *addressError) string {
	return fmt.Sprintf("%s closed the connection: if it wants a client certificate, give it by --cert and --key", at.address)
}

func late(at *addressError) string {
	return fmt.Sprintf("%s did not answer in time: raise --timeout, or ask for less", at.address)
}

// lastPart returns the innermost part of an error's text.
func lastPart(text string) string {
	if i := strings.LastIndex(text, "dial "); i >= 0 {
		text = text[i:]
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

// explainStatus says what a gRPC status means.
func explainStatus(at *addressError, s *status.Status) string {
	m := s.Message()
	switch s.Code() {
	case codes.Unavailable:
		return unavailable(at, m)
	case codes.Unauthenticated:
		return unauthorized(at.address, m)
	case codes.PermissionDenied:
		return fmt.Sprintf("%s does not allow it: %s", at.address, m)
	case codes.DeadlineExceeded:
		return late(at)
	case codes.Unimplemented:
		return fmt.Sprintf("%s does not know this call (%s): check the port in %s, and that the collector takes profiles there", at.address, m, at.flag)
	case codes.ResourceExhausted:
		return fmt.Sprintf("%s has no room for this (%s): try again later, or with less", at.address, m)
	case codes.OutOfRange:
		return fmt.Sprintf("the message is larger than %s takes (%s): raise max_message_size there, or push less at a time", at.address, m)
	case codes.InvalidArgument:
		return m
	case codes.FailedPrecondition:
		return fmt.Sprintf("%s cannot do this: %s", at.address, m)
	}
	return fmt.Sprintf("%s failed (%s): %s", at.address, strings.ToLower(s.Code().String()), m)
}

// unavailable tells the ways apart in which there is no gRPC connection. gRPC
// has them as text only.
func unavailable(at *addressError, m string) string {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(m, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("connection refused"):
		return refused(at)
	case has("no such host", "produced zero addresses"):
		return fmt.Sprintf("cannot find the host of %s: check %s", at.address, at.flag)
	case has("first record does not look like a TLS handshake"):
		return plaintext(at)
	case has("no application protocol", "unexpected HTTP status code"):
		return fmt.Sprintf("%s does not speak gRPC: check the port in %s", at.address, at.flag)
	case has("certificate required", "bad certificate"):
		return clientCertificate(at)
	case has("unknown authority"):
		return untrusted(at)
	case has("failed to verify certificate", "x509:"):
		return fmt.Sprintf("the certificate of %s is not good: %s", at.address, lastPart(m))
	case at.tls && has("broken pipe", "connection reset"):
		return maybeCertificate(at) // it did not wait until its reason was read
	case !at.tls && has("server preface", "frame too large", "connection reset", "EOF"):
		return fmt.Sprintf("%s closed the connection: if it uses TLS, add --tls; else check the port in %s", at.address, at.flag)
	}
	return fmt.Sprintf("%s cannot answer now (%s): try again in a moment", at.address, m)
}

func unauthorized(address, message string) string {
	return fmt.Sprintf("%s wants another token (%s): give it by --token-file or APERTURE_AUTH_TOKEN", address, message)
}

// unwrapPath removes the operation and the path from an error about a file, which
// the sentence around it has.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
