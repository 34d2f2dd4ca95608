package verify_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/verify"
)

// testRequest returns the test's delivery, its body read from body. Where that
// is not a strings.Reader its length is not announced.
func testRequest(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhooks", body)
	r.Header = testHeader(testV1)
	return r
}

func unannounced(body string) io.Reader { return io.MultiReader(strings.NewReader(body)) }

func TestRequestReadsNoMoreThanAllowed(t *testing.T) {
	megabyte := strings.Repeat("x", 1<<20)
	tests := []struct {
		name    string
		body    string
		maxBody int64
		want    error
	}{
		{"a small body", testBody, 0, nil},
		{"one mebibyte, the default", megabyte, 0, nil},
		{"one byte over the default", megabyte + "x", 0, verify.ErrTooLarge},
		{"as long as the setting", testBody, int64(len(testBody)), nil},
		{"one byte over the setting", testBody, int64(len(testBody)) - 1, verify.ErrTooLarge},
		{"over the default, within the setting", megabyte + "x", 2 << 20, nil},
		{"with the largest setting there is", testBody, math.MaxInt64, nil},
		{"with a negative setting, which means the default", testBody, -1, nil},
		{"empty", "", 0, nil},
	}
	for _, test := range tests {
		for kind, body := range map[string]io.Reader{
			"length announced": strings.NewReader(test.body), "length unknown": unannounced(test.body),
		} {
			t.Run(test.name+", "+kind, func(t *testing.T) {
				s := newStandard(t, "whsec_"+testSecret)
				s.MaxBody = test.maxBody
				r := testRequest(body)
				r.Header = signedHeader(testID, testTimestamp, test.body, signV1(testSecret))
				m, err := s.Request(r)
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want %v", err, test.want)
				}
				if err != nil {
					return
				}
				if string(m.Body) != test.body {
					t.Errorf("the message has %d bytes of body, want the %d sent", len(m.Body), len(test.body))
				}
				again, err := io.ReadAll(r.Body)
				if err != nil || string(again) != test.body {
					t.Errorf("reading the body again gave %d bytes and error %v, want the %d sent", len(again), err, len(test.body))
				}
			})
		}
	}
}

func TestRequestReadsNothingWhereTheHeaderIsEnoughToRefuse(t *testing.T) {
	s := newStandard(t, "whsec_"+testSecret)
	for name, want := range map[string]error{
		"Webhook-Id": verify.ErrMissingHeader, "Webhook-Timestamp": verify.ErrTimestamp,
	} {
		r := testRequest(iotest.ErrReader(errors.New("read")))
		r.Header.Del(name)
		if errors.Is(want, verify.ErrTimestamp) {
			r.Header.Set(name, "1")
		}
		if _, err := s.Request(r); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
}

func TestRequestWithoutABodyIsAnEmptyBody(t *testing.T) {
	r := testRequest(nil)
	r.Body = nil
	r.Header = signedHeader(testID, testTimestamp, "", signV1(testSecret))
	m, err := newStandard(t, "whsec_"+testSecret).Request(r)
	if err != nil || m.ID != testID || len(m.Body) != 0 {
		t.Errorf("got %+v and error %v, want an empty message %s", m, err, testID)
	}
}

func TestHandlerAnswersWhatItRefuses(t *testing.T) {
	broken := errors.New("read tcp 10.0.0.1:443: connection reset")
	tests := []struct {
		name   string
		body   io.Reader
		change func(*http.Request)
		status int
		says   string
	}{
		{"verified", strings.NewReader(testBody), nil, http.StatusAccepted, "done"},
		{
			"no signature", strings.NewReader(testBody),
			func(r *http.Request) { r.Header.Del("Webhook-Signature") },
			http.StatusBadRequest, "verify: missing header: Webhook-Signature",
		},
		{
			"two ids", strings.NewReader(testBody),
			func(r *http.Request) { r.Header.Add("Webhook-Id", "evt_2") },
			http.StatusBadRequest, "verify: invalid header: Webhook-Id is there 2 times",
		},
		{
			"old", strings.NewReader(testBody),
			func(r *http.Request) { r.Header.Set("Webhook-Timestamp", "1770091146") },
			http.StatusUnauthorized, "verify: timestamp out of tolerance: too old (6m0s ago, allowed 5m0s)",
		},
		{
			"changed", strings.NewReader(testBody + " "), nil,
			http.StatusUnauthorized, "verify: no valid signature",
		},
		{
			"too large, as announced", strings.NewReader(testBody + strings.Repeat(" ", 100)), nil,
			http.StatusRequestEntityTooLarge, "verify: body too large: 194 bytes, allowed 100",
		},
		{
			"too large, unannounced", unannounced(testBody + strings.Repeat(" ", 100)), nil,
			http.StatusRequestEntityTooLarge, "verify: body too large: allowed 100 bytes",
		},
		{
			"too large for a limit around it", unannounced(testBody),
			func(r *http.Request) { r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 10) },
			http.StatusRequestEntityTooLarge, "verify: body too large: http: request body too large",
		},
		{
			"broken off", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken)), nil,
			http.StatusBadRequest, "verify: the body could not be read",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStandard(t, "whsec_"+testSecret)
			s.MaxBody = 100
			var got []string
			handler := s.Handler(func(w http.ResponseWriter, _ *http.Request, m verify.Message) {
				got = append(got, m.ID)
				http.Error(w, "done", http.StatusAccepted)
			})
			r := testRequest(test.body)
			if test.change != nil {
				test.change(r)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.status || strings.TrimSpace(w.Body.String()) != test.says {
				t.Errorf("answered %d %q, want %d %q", w.Code, w.Body, test.status, test.says)
			}
			var want []string
			if test.status == http.StatusAccepted {
				want = []string{testID}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("messages handed on (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestSaysWhatWentWrongInReading(t *testing.T) {
	broken := errors.New("connection reset")
	_, err := newStandard(t, "whsec_"+testSecret).Request(testRequest(iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("error %v does not wrap %v", err, broken)
	}
}

// answered returns the status by which a handler answers.
func answered(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
