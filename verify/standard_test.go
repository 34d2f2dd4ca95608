package verify_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/verify"
)

// One delivery whose signatures were made with OpenSSL.
const (
	testID        = "evt_000000000000000000000001"
	testUnix      = 1770091506
	testTimestamp = "1770091506"
	testBody      = `{"type":"waitlist.joined","timestamp":"2026-02-03T04:05:06Z","data":{"email":"a@example.com"}}`
	testSecret    = "Z3JhcGV2aW5lLXRlc3Qtc2VjcmV0LXRoaXJ0eS10d28h"
	testPublic    = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
	testV1        = "v1,8+FnQFirIKA0LNId4ojXARLxvH803NZk88/la26DTJo="
	testV1a       = "v1a,dkDRHqeSpG7UptXgVmjH0yc3ULIoIE/KG6C1cGeoacLkoWjHD2horcadDzibTTdnWmDdv4OoSnNUlu/yMXxuBA=="

	otherSecret = "bm90IHRoZSBzZWNyZXQgb2YgdGhlIHRlc3Qh"
)

func testHeader(signature string) http.Header {
	return http.Header{
		"Webhook-Id":        {testID},
		"Webhook-Timestamp": {testTimestamp},
		"Webhook-Signature": {signature},
	}
}

// newStandard returns a verifier whose clock stands at the time of the test's delivery.
func newStandard(tb testing.TB, keys ...string) *verify.Standard {
	tb.Helper()
	s, err := verify.NewStandard(keys...)
	if err != nil {
		tb.Fatal(err)
	}
	s.Now = func() time.Time { return time.Unix(testUnix, 0) }
	return s
}

func TestStandardAcceptsWhatAnIndependentImplementationSigned(t *testing.T) {
	tests := []struct {
		name      string
		keys      []string
		signature string
	}{
		{"HMAC", []string{"whsec_" + testSecret}, testV1},
		{"ed25519", []string{"whpk_" + testPublic}, testV1a},
		{"both kinds, secret known", []string{"whsec_" + testSecret}, testV1a + " " + testV1},
		{"both kinds, public key known", []string{"whpk_" + testPublic}, testV1 + " " + testV1a},
		{"second of two secrets", []string{"whsec_" + otherSecret, "whsec_" + testSecret}, testV1},
		{"first of two secrets", []string{"whsec_" + testSecret, "whsec_" + otherSecret}, testV1},
		{"public key beside a secret", []string{"whsec_" + otherSecret, "whpk_" + testPublic}, testV1a},
		{"second of two signatures", []string{"whsec_" + testSecret}, "v1," + strings.Repeat("A", 43) + "= " + testV1},
		{"after an unknown version", []string{"whsec_" + testSecret}, "v2,AAAA v9 " + testV1},
		{"after malformed base64", []string{"whsec_" + testSecret}, "v1,??? v1, v1 , " + testV1},
		{"after two spaces", []string{"whsec_" + testSecret}, "  " + testV1},
		{"twentieth signature", []string{"whsec_" + testSecret}, strings.Repeat("v1,AAAA ", 19) + testV1},
		{"key with a line break at its end", []string{"whsec_" + testSecret + "\n"}, testV1},
	}
	want := verify.Message{ID: testID, Type: "waitlist.joined", Timestamp: time.Unix(testUnix, 0).UTC(), Body: []byte(testBody)}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := newStandard(t, test.keys...).Verify(testHeader(test.signature), []byte(testBody))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if got.Timestamp.Location() != time.UTC {
				t.Errorf("the timestamp is in %s, want UTC", got.Timestamp.Location())
			}
		})
	}
}

func TestStandardRefusesSignaturesThatDoNotFit(t *testing.T) {
	hmacText, edText := strings.TrimPrefix(testV1, "v1,"), strings.TrimPrefix(testV1a, "v1a,")
	tests := []struct {
		name      string
		key       string
		signature string
	}{
		{"another secret", "whsec_" + otherSecret, testV1},
		{"only the other kind of signature, secret known", "whsec_" + testSecret, testV1a},
		{"only the other kind of signature, public key known", "whpk_" + testPublic, testV1},
		{"HMAC under the name of ed25519", "whsec_" + testSecret, "v1a," + hmacText},
		{"ed25519 under the name of HMAC", "whpk_" + testPublic, "v1," + edText},
		{"public key used as if it were a secret", "whpk_" + testPublic, signV1(testPublic)(testID + "." + testTimestamp + "." + testBody)},
		{"unknown version", "whsec_" + testSecret, "v2," + hmacText},
		{"version in capitals", "whsec_" + testSecret, "V1," + hmacText},
		{"no version", "whsec_" + testSecret, hmacText},
		{"no version, but a comma", "whpk_" + testPublic, "," + edText},
		{"nothing after the version", "whsec_" + testSecret, "v1,"},
		{"only spaces", "whsec_" + testSecret, "   "},
		{"a comma", "whsec_" + testSecret, ","},
		{"hexadecimal", "whsec_" + testSecret, "v1,f3e1674058ab20a0342cd21de288d70112f1bc7f34dcd664f3cfe56b6e834c9a"},
		{"cut to half", "whsec_" + testSecret, testV1[:25]},
		{"padding left out", "whsec_" + testSecret, strings.TrimSuffix(testV1, "=")},
		{"stray bits in the last digit", "whsec_" + testSecret, strings.TrimSuffix(testV1, "o=") + "p="},
		{"line break inside", "whsec_" + testSecret, testV1[:20] + "\n" + testV1[20:]},
		{"ed25519 signature one byte short", "whpk_" + testPublic, "v1a," + base64.StdEncoding.EncodeToString(make([]byte, 63))},
		{"separated by a comma", "whsec_" + testSecret, "v1,AAAA," + testV1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := newStandard(t, test.key).Verify(testHeader(test.signature), []byte(testBody))
			if !errors.Is(err, verify.ErrSignature) {
				t.Errorf("error %v, want ErrSignature", err)
			}
			if diff := cmp.Diff(verify.Message{}, got); diff != "" {
				t.Errorf("a refused request gave a message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStandardRefusesContentThatWasChanged(t *testing.T) {
	tests := []struct {
		name                string
		id, timestamp, body string
	}{
		{"another id", testID + "0", testTimestamp, testBody},
		{"another second", testID, strconv.Itoa(testUnix + 1), testBody},
		{"empty body", testID, testTimestamp, ""},
		{"a line break after the body", testID, testTimestamp, testBody + "\n"},
		{"another value", testID, testTimestamp, strings.Replace(testBody, "a@", "b@", 1)},
	}
	for _, test := range tests {
		for _, key := range []string{"whsec_" + testSecret, "whpk_" + testPublic} {
			t.Run(test.name+", "+key[:5], func(t *testing.T) {
				header := testHeader(testV1 + " " + testV1a)
				header.Set("Webhook-Id", test.id)
				header.Set("Webhook-Timestamp", test.timestamp)
				if _, err := newStandard(t, key).Verify(header, []byte(test.body)); !errors.Is(err, verify.ErrSignature) {
					t.Errorf("error %v, want ErrSignature", err)
				}
			})
		}
	}
}

func TestStandardRefusesEveryBitFlippedInBodyOrSignature(t *testing.T) {
	s := newStandard(t, "whsec_"+testSecret, "whpk_"+testPublic)
	for _, signature := range []string{testV1, testV1a} {
		for bit := range len(testBody) * 8 {
			body := []byte(testBody)
			body[bit/8] ^= 1 << (bit % 8)
			if _, err := s.Verify(testHeader(signature), body); !errors.Is(err, verify.ErrSignature) {
				t.Fatalf("bit %d of the body flipped: error %v, want ErrSignature", bit, err)
			}
		}
		version, text, _ := strings.Cut(signature, ",")
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(raw) * 8 {
			raw[bit/8] ^= 1 << (bit % 8)
			flipped := version + "," + base64.StdEncoding.EncodeToString(raw)
			raw[bit/8] ^= 1 << (bit % 8)
			if _, err := s.Verify(testHeader(flipped), []byte(testBody)); !errors.Is(err, verify.ErrSignature) {
				t.Fatalf("bit %d of the signature flipped: error %v, want ErrSignature", bit, err)
			}
		}
	}
}

func TestStandardRefusesHeadersThatAreNotExactlyOneUsefulValue(t *testing.T) {
	tests := []struct {
		name   string
		header string
		values []string
		want   error
	}{
		{"no id", "Webhook-Id", nil, verify.ErrMissingHeader},
		{"empty id", "Webhook-Id", []string{""}, verify.ErrMissingHeader},
		{"two ids", "Webhook-Id", []string{testID, testID}, verify.ErrInvalidHeader},
		{"two ids, the second empty", "Webhook-Id", []string{testID, ""}, verify.ErrInvalidHeader},
		{"no timestamp", "Webhook-Timestamp", nil, verify.ErrMissingHeader},
		{"empty timestamp", "Webhook-Timestamp", []string{""}, verify.ErrMissingHeader},
		{"two timestamps", "Webhook-Timestamp", []string{testTimestamp, "1"}, verify.ErrInvalidHeader},
		{"no signature", "Webhook-Signature", nil, verify.ErrMissingHeader},
		{"empty signature", "Webhook-Signature", []string{""}, verify.ErrMissingHeader},
		{"two signature headers", "Webhook-Signature", []string{"v1,AAAA", testV1}, verify.ErrInvalidHeader},
		{"twenty-one signatures", "Webhook-Signature", []string{strings.Repeat("v1,AAAA ", 20) + testV1}, verify.ErrInvalidHeader},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := testHeader(testV1)
			header[test.header] = test.values
			_, err := newStandard(t, "whsec_"+testSecret).Verify(header, []byte(testBody))
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.header) {
				t.Errorf("error %q does not name %s", err, test.header)
			}
		})
	}
}

func TestStandardRefusesTimestampsThatAreNotPlainSeconds(t *testing.T) {
	sign := signV1(testSecret)
	for _, timestamp := range []string{
		"-1770091506", "+1770091506", " 1770091506", "1770091506 ", "1770091506.0", "1.770091506e9",
		"1_770_091_506", "0x69817332", "١٧٧٠٠٩١٥٠٦", "now", "2026-02-03T04:05:06Z", "-0", "00", "01770091506", "\x001770091506",
		"253402300800", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
		"18446744075479643122", strings.Repeat("9", 400),
	} {
		t.Run(timestamp, func(t *testing.T) {
			header := signedHeader(testID, timestamp, testBody, sign)
			_, err := newStandard(t, "whsec_"+testSecret).Verify(header, []byte(testBody))
			if !errors.Is(err, verify.ErrInvalidHeader) {
				t.Errorf("error %v, want ErrInvalidHeader", err)
			}
		})
	}
}

func TestStandardRefusesSignedBytesThatWereSplitAnotherWay(t *testing.T) {
	// A body that begins like a timestamp can pass for one, once what stands
	// before it is moved into the id: the bytes that are signed stay the same.
	signature := signV1(testSecret)("evt_1." + testTimestamp + "." + testTimestamp + "." + testBody)
	tests := []struct {
		name     string
		id, body string
		want     error
	}{
		{"as the sender did", "evt_1", testTimestamp + "." + testBody, nil},
		{"further to the right", "evt_1." + testTimestamp, testBody, verify.ErrInvalidHeader},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := testHeader(signature)
			header.Set("Webhook-Id", test.id)
			if _, err := newStandard(t, "whsec_"+testSecret).Verify(header, []byte(test.body)); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestStandardComparesTheTimestampWithItsClock(t *testing.T) {
	tests := []struct {
		name      string
		now       time.Time
		tolerance time.Duration
		want      string // part of the error; empty means accepted
	}{
		{"at once", time.Unix(testUnix, 0), 0, ""},
		{"five minutes old", time.Unix(testUnix+300, 0), 0, ""},
		{"just over five minutes old", time.Unix(testUnix+300, 1), 0, "too old (5m0.000000001s ago, allowed 5m0s)"},
		{"five minutes ahead", time.Unix(testUnix-300, 0), 0, ""},
		{"just over five minutes ahead", time.Unix(testUnix-300, -1), 0, "too new (5m0.000000001s ahead, allowed 5m0s)"},
		{"old, within a wider tolerance", time.Unix(testUnix+3600, 0), time.Hour, ""},
		{"ahead, within a wider tolerance", time.Unix(testUnix-3600, 0), time.Hour, ""},
		{"old, beyond a narrower tolerance", time.Unix(testUnix+2, 0), time.Second, "too old"},
		{"ahead, beyond a narrower tolerance", time.Unix(testUnix-2, 0), time.Second, "too new"},
		{"at once, with a negative tolerance", time.Unix(testUnix, 0), -1, "too old"},
		{"ahead, with a negative tolerance", time.Unix(testUnix-300, 0), -1, "too new"},
		{"at once, with the least tolerance there is", time.Unix(testUnix, 0), math.MinInt64, "too old"},
		{"a clock that was never set", time.Time{}, 0, "too new"},
		{"a clock at the end of time", time.Unix(math.MaxInt64/2, 0), 0, "too old"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStandard(t, "whsec_"+testSecret)
			s.Tolerance = test.tolerance
			s.Now = func() time.Time { return test.now }
			_, err := s.Verify(testHeader(testV1), []byte(testBody))
			if test.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, verify.ErrTimestamp) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want ErrTimestamp with %q", err, test.want)
			}
		})
	}
}

func TestStandardRefusesTheFarthestTimestampsEvenIfSigned(t *testing.T) {
	for timestamp, want := range map[string]string{"0": "too old", "253402300799": "too new"} {
		header := signedHeader(testID, timestamp, testBody, signV1(testSecret))
		_, err := newStandard(t, "whsec_"+testSecret).Verify(header, []byte(testBody))
		if !errors.Is(err, verify.ErrTimestamp) || !strings.Contains(err.Error(), want) {
			t.Errorf("timestamp %s: error %v, want ErrTimestamp with %q", timestamp, err, want)
		}
	}
}

func TestStandardUsesTheWallClockWhereNoneIsSet(t *testing.T) {
	s, err := verify.NewStandard("whsec_" + testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(testHeader(testV1), []byte(testBody)); !errors.Is(err, verify.ErrTimestamp) {
		t.Errorf("a delivery of February 2026: error %v, want ErrTimestamp", err)
	}
	header := signedHeader(testID, strconv.FormatInt(time.Now().Unix(), 10), testBody, signV1(testSecret))
	if _, err := s.Verify(header, []byte(testBody)); err != nil {
		t.Errorf("a delivery of now: %v", err)
	}
}

func TestStandardWithoutKeysRefusesEverything(t *testing.T) {
	s := &verify.Standard{Now: func() time.Time { return time.Unix(testUnix, 0) }}
	for _, signature := range []string{testV1, testV1a, "v1,", "v1a,", ","} {
		if _, err := s.Verify(testHeader(signature), []byte(testBody)); !errors.Is(err, verify.ErrSignature) {
			t.Errorf("signature %q: error %v, want ErrSignature", signature, err)
		}
	}
	// What an empty secret would sign.
	empty := signedHeader(testID, testTimestamp, testBody, signV1(""))
	if _, err := s.Verify(empty, []byte(testBody)); !errors.Is(err, verify.ErrSignature) {
		t.Errorf("signed with an empty secret: error %v, want ErrSignature", err)
	}
}

func TestNewStandardRefusesKeysThatCannotVerify(t *testing.T) {
	encode := func(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("s3cr"), 20)[:n]) }
	tests := []struct {
		name string
		keys []string
		want string
	}{
		{"none", nil, "no key"},
		{"empty", []string{""}, "key 1 of 1: is empty"},
		{"white space", []string{" \n"}, "key 1 of 1: is empty"},
		{"second one empty", []string{"whsec_" + testSecret, ""}, "key 2 of 2: is empty"},
		{"no prefix", []string{encode(32)}, "neither whsec_ nor whpk_"},
		{"prefix in capitals", []string{"WHSEC_" + encode(32)}, "neither whsec_ nor whpk_"},
		{"prefix without underscore", []string{"whsec" + encode(32)}, "neither whsec_ nor whpk_"},
		{"private key", []string{"whsk_" + encode(64)}, "private key"},
		{"secret that is not base64", []string{"whsec_s3cr!" + encode(32)}, "is not base64 after whsec_"},
		{"secret in unpadded base64", []string{"whsec_" + strings.TrimRight(encode(32), "=")}, "is not base64 after whsec_"},
		{"secret with a line break inside", []string{"whsec_" + encode(12) + "\n" + encode(24)}, "is not base64 after whsec_"},
		{"secret with two prefixes", []string{"whsec_whsec_" + encode(32)}, "is not base64 after whsec_"},
		{"secret of nothing", []string{"whsec_"}, "secret of 0 bytes"},
		{"secret of 23 bytes", []string{"whsec_" + encode(23)}, "secret of 23 bytes"},
		{"secret of 65 bytes", []string{"whsec_" + encode(65)}, "secret of 65 bytes"},
		{"public key that is not base64", []string{"whpk_s3cr!" + encode(32)}, "is not base64 after whpk_"},
		{"public key of nothing", []string{"whpk_"}, "public key of 0 bytes"},
		{"public key of 31 bytes", []string{"whpk_" + encode(31)}, "public key of 31 bytes"},
		{"public key of 33 bytes", []string{"whpk_" + encode(33)}, "public key of 33 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := verify.NewStandard(test.keys...)
			if err == nil || s != nil {
				t.Fatalf("got %v and error %v, want an error alone", s, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
			for _, leak := range []string{"s3cr", encode(3), testSecret} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("error %q contains a key", err)
				}
			}
		})
	}
}

func TestNewStandardAcceptsSecretsOfEveryAllowedLength(t *testing.T) {
	for n := 24; n <= 64; n++ {
		secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(n)}, n))
		header := signedHeader(testID, testTimestamp, testBody, signV1(secret))
		if _, err := newStandard(t, "whsec_"+secret).Verify(header, []byte(testBody)); err != nil {
			t.Errorf("a secret of %d bytes: %v", n, err)
		}
	}
}

func TestPrintingAStandardShowsNoSecret(t *testing.T) {
	s := newStandard(t, "whsec_"+testSecret)
	raw, err := base64.StdEncoding.DecodeString(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %#v", *s, s, s, *s)
	for _, leak := range []string{
		testSecret, string(raw), fmt.Sprintf("%x", raw), strings.Trim(fmt.Sprint(raw), "[]"),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}"),
	} {
		if strings.Contains(printed, leak) {
			t.Errorf("%q shows the secret", printed)
		}
	}
}

func TestStandardVerifiesConcurrently(t *testing.T) {
	s := newStandard(t, "whsec_"+testSecret, "whpk_"+testPublic)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			signature := []string{testV1, testV1a}[i%2]
			for range 50 {
				if _, err := s.Verify(testHeader(signature), []byte(testBody)); err != nil {
					t.Errorf("%s: %v", signature, err)
				}
				if _, err := s.Verify(testHeader(signature), []byte("{}")); !errors.Is(err, verify.ErrSignature) {
					t.Errorf("%s over another body: error %v, want ErrSignature", signature, err)
				}
			}
		})
	}
	wg.Wait()
}
