package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/verify"
)

// FuzzStandard sends any header and body, once as they are and once with the
// right signature added. The first must not be accepted unless the list holds
// that right signature by chance, the second not be refused for its signature.
func FuzzStandard(f *testing.F) {
	s := newStandard(f, "whsec_"+testSecret, "whpk_"+testPublic, "whsec_"+otherSecret)
	private := ed25519.NewKeyFromSeed([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" +
		"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"))
	right := []signFunc{signV1(testSecret), signV1(otherSecret), signV1a(private)}

	f.Add(testID, testTimestamp, testV1, []byte(testBody))
	f.Add(testID, testTimestamp, testV1a, []byte(testBody))
	f.Add(testID, testTimestamp, "v1,??? v2,AAAA v1a,AAAA  v1", []byte(testBody))
	f.Add("evt.1", testTimestamp, "v1,", []byte{})
	f.Add("", "-1", " , ,, ", []byte{0xff, 0})
	f.Add("evt_1", "253402300799", strings.Repeat("v1a,AAAA ", 30), []byte("."))
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures}}
		content := id + "." + timestamp + "." + string(body)
		entries := strings.Split(signatures, " ")
		fits := false
		for _, sign := range right[:2] {
			for _, entry := range entries {
				fits = fits || entry == sign(content)
			}
		}
		for _, entry := range entries {
			text, isV1a := strings.CutPrefix(entry, "v1a,")
			raw, err := base64.StdEncoding.DecodeString(text)
			fits = fits || isV1a && err == nil && ed25519.Verify(private.Public().(ed25519.PublicKey), []byte(content), raw)
		}
		m, err := s.Verify(header, body)
		if err == nil && !fits {
			t.Fatalf("accepted without a valid signature: %q", header)
		}
		if err == nil && (m.ID != id || strconv.FormatInt(m.Timestamp.Unix(), 10) != timestamp || !bytes.Equal(m.Body, body)) {
			t.Fatalf("accepted %q, but gave %+v", header, m)
		}
		for _, sign := range right {
			header.Set("Webhook-Signature", strings.TrimSpace(signatures+" "+sign(content)))
			if _, err := s.Verify(header, body); errors.Is(err, verify.ErrSignature) {
				t.Fatalf("refused the right signature in %q", header)
			}
		}
	})
}

func BenchmarkStandardVerify(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	for _, bench := range []struct {
		name string
		key  string
		sign signFunc
	}{
		{"v1", "whsec_" + testSecret, signV1(testSecret)},
		{"v1a", "whpk_" + public, signV1a(private)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newStandard(b, bench.key)
			header := signedHeader(testID, testTimestamp, string(body), bench.sign)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(header, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
