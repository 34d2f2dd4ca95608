package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

const copied = "the bytes of a database"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// mustBackUp asks a server that answers so for a backup, with a client whose
// timeout is over at once.
func mustBackUp(t *testing.T, ctx context.Context, header http.Header, body string) (*client.Backup, error) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/backup" || r.Header.Get("Authorization") != "Bearer gv_admin_k" {
			t.Errorf("it was asked %s %s", r.Method, r.URL)
		}
		maps.Copy(w.Header(), header)
		_, _ = io.WriteString(w, body)
		if w.Header().Get("Content-Length") == "" {
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "gv_admin_k", client.WithHTTPClient(&http.Client{Timeout: time.Nanosecond}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Backup(ctx)
	if err == nil {
		t.Cleanup(func() { b.Close() })
	}
	return b, err
}

func TestABackupIsReadToItsEndAndVerified(t *testing.T) {
	b, err := mustBackUp(t, t.Context(), http.Header{
		"Content-Length": {strconv.Itoa(len(copied))},
		"Content-Digest": {"sha-512=:AAAA:, " + digest(copied)},
	}, copied)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(b)
	if err != nil || string(text) != copied {
		t.Errorf("%q, %v", text, err)
	}
	sum := sha256.Sum256([]byte(copied))
	if b.Size != int64(len(copied)) || b.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%d bytes, %s", b.Size, b.SHA256)
	}
}

func TestABackupThatDidNotArriveWholeIsAnError(t *testing.T) {
	length := strconv.Itoa(len(copied))
	for name, c := range map[string]struct {
		header http.Header
		body   string
		says   string
	}{
		"changed":          {http.Header{"Content-Length": {length}, "Content-Digest": {digest(copied)}}, strings.ToUpper(copied), "changed"},
		"broken off":       {http.Header{"Content-Length": {length}, "Content-Digest": {digest(copied)}}, copied[:10], "broke off"},
		"without a digest": {http.Header{"Content-Length": {length}}, copied, "no digest"},
		"an odd digest":    {http.Header{"Content-Length": {length}, "Content-Digest": {"sha-256=:AAAA:"}}, copied, "no digest"},
		"without a length": {http.Header{"Content-Digest": {digest(copied)}}, copied, "how long"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := mustBackUp(t, t.Context(), c.header, c.body)
			if err == nil {
				_, err = io.ReadAll(b)
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABackupThatIsRefusedOrCancelledIsAnError(t *testing.T) {
	c, _ := MustServe(t, http.StatusConflict, nil, `{"code":"conflict","detail":"a backup is being made already"}`)
	_, err := c.Backup(t.Context())
	if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Code != "conflict" {
		t.Errorf("refused: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mustBackUp(t, ctx, nil, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
