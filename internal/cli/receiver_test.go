package cli

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
	"github.com/grapevine-hq/grapevine/verify"
)

const receiverSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// signed returns a request that Grapevine could have sent.
func signed(id, body string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(receiverSecret, "whsec_"))
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, id+"."+at+"."+body)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	req.Header.Set("X-Grapevine-Attempt", "1")
	return req
}

// newReceiver returns a receiver that is ready, and what it has shown.
func newReceiver(t *testing.T, forward *forwarder) (*receiver, *[]arrival) {
	t.Helper()
	var shown []arrival
	r := &receiver{how: standardReception(t), ready: make(chan struct{}), forward: forward, show: func(a arrival) { shown = append(shown, a) }}
	verifier, err := verify.NewStandard(receiverSecret)
	if err != nil {
		t.Fatal(err)
	}
	r.begin(verifier)
	return r, &shown
}

func serve(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func TestWhatCanNotBeVerifiedIsRefusedShownAndNotForwarded(t *testing.T) {
	local := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was forwarded") }))
	defer local.Close()
	r, shown := newReceiver(t, newForwarder(local.URL))
	forged := signed("evt_1", `{"type":"a","data":{}}`)
	forged.Body = io.NopCloser(strings.NewReader(`{"type":"b","data":{}}`))
	if w := serve(r, forged); w.Code != http.StatusUnauthorized {
		t.Errorf("answered %d", w.Code)
	}
	if w := serve(r, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))); w.Code != http.StatusUnauthorized {
		t.Errorf("answered %d", w.Code)
	}
	if len(*shown) != 2 || !errors.Is((*shown)[0].invalid, verify.ErrSignature) || !errors.Is((*shown)[1].invalid, verify.ErrMissingHeader) {
		t.Fatalf("shown %+v", *shown)
	}
	if line := (*shown)[0].json(); line.Verified || line.Body != nil || line.Type != "" || line.Reason == "" {
		t.Errorf("of a forged event it tells %+v", line)
	}
	if w := serve(r, httptest.NewRequest(http.MethodGet, "/", nil)); w.Code != http.StatusMethodNotAllowed || len(*shown) != 2 {
		t.Errorf("a browser is answered %d, and shown: %+v", w.Code, *shown)
	}
}

func TestAnEventThatComesAgainIsMarked(t *testing.T) {
	r, shown := newReceiver(t, nil)
	for _, id := range []string{"evt_1", "evt_2", "evt_1"} {
		if w := serve(r, signed(id, `{"type":"a","data":{}}`)); w.Code != http.StatusNoContent {
			t.Errorf("answered %d", w.Code)
		}
	}
	var marks []bool
	for _, a := range *shown {
		marks = append(marks, a.duplicate)
	}
	if diff := cmp.Diff([]bool{false, false, true}, marks); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAForwardedEventArrivesAsItCame(t *testing.T) {
	const body = `{"type":"a","data":{"html":"<b>"}}`
	var got *http.Request
	var text []byte
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		text, _ = io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "gone fishing")
	}))
	defer local.Close()
	r, shown := newReceiver(t, newForwarder(local.URL+"/hooks?team=1"))
	req := signed("evt_1", body)
	req.Header.Set("User-Agent", "Grapevine/test")
	req.Header.Set("Connection", "keep-alive")
	want := req.Header.Clone()
	want.Del("Connection")
	w := serve(r, req)
	if string(text) != body || got.URL.String() != "/hooks?team=1" {
		t.Errorf("%s received %s", got.URL, text)
	}
	got.Header.Del("Content-Length")
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers (-sent +received):\n%s", diff)
	}
	if w.Code != http.StatusFound || w.Body.String() != "gone fishing" || w.Header().Get("Retry-After") != "7" {
		t.Errorf("answered %d %s %v", w.Code, w.Body, w.Header())
	}
	if a := (*shown)[0]; !a.forwarded || a.answer != http.StatusFound {
		t.Errorf("shown %+v", a)
	}
}

func TestWhereNobodyAnswersTheSenderIsToldToTryAgain(t *testing.T) {
	local := httptest.NewServer(nil)
	local.Close()
	r, shown := newReceiver(t, newForwarder(local.URL))
	if w := serve(r, signed("evt_1", `{"type":"a","data":{}}`)); w.Code != http.StatusBadGateway || (*shown)[0].failure == nil {
		t.Errorf("answered %d, shown %+v", w.Code, *shown)
	}
}

func TestTheTestEventIsTakenQuietlyOnlyWhileItIsExpected(t *testing.T) {
	r, shown := newReceiver(t, nil)
	const test = `{"type":"webhook.test","data":{}}`
	r.testing.Store(true)
	serve(r, signed("evt_1", `{"type":"a","data":{}}`))
	if len(*shown) != 1 || r.tested.Load() {
		t.Errorf("an event was taken for the test: %+v", *shown)
	}
	serve(r, signed("evt_2", test))
	if len(*shown) != 1 || !r.tested.Load() {
		t.Errorf("the test was shown: %+v", *shown)
	}
	r.testing.Store(false)
	serve(r, signed("evt_3", test))
	if len(*shown) != 2 {
		t.Errorf("a test by somebody else is not shown: %+v", *shown)
	}
}

func TestAnEventThatIsFasterThanTheSecretWaitsForIt(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var shown []arrival
		r := &receiver{how: standardReception(t), ready: make(chan struct{}), show: func(a arrival) { shown = append(shown, a) }}
		verifier, err := verify.NewStandard(receiverSecret)
		if err != nil {
			t.Fatal(err)
		}
		go serve(r, signed("evt_1", `{"type":"a","data":{}}`))
		synctest.Wait()
		if len(shown) > 0 {
			t.Errorf("shown before there was a secret: %+v", shown)
		}
		r.begin(verifier)
		synctest.Wait()
		if len(shown) != 1 || shown[0].invalid != nil {
			t.Errorf("shown %+v", shown)
		}
	})
}

func standardReception(t *testing.T) reception {
	t.Helper()
	how, err := receiveStandard(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return how
}

func TestEveryDialectCanBeListenedTo(t *testing.T) {
	for _, d := range dialects.All {
		if receptions[d.Name()] == nil {
			t.Errorf("%s can't be received", d.Name())
		}
	}
}
