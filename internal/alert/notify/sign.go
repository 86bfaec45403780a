package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// signatureHeader carries the time of a request and the HMAC-SHA256, in hex, of
// that time, a dot and the body.
const signatureHeader = "X-Aperture-Signature"

// sign returns the value of signatureHeader. The time is in it so that a
// receiver can refuse requests that somebody recorded and sends again.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
