package dialect_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// files is an API with one call, which answers with a file.
type files struct{ file *dialect.File }

func (files) Name() string               { return "files" }
func (files) Challenge() string          { return "Basic" }
func (files) Refusals() dialect.Refusals { return dialect.Refusals{} }

func (f files) Routes() []dialect.Route {
	return []dialect.Route{{Method: http.MethodGet, Pattern: "/file", Handle: func(context.Context, *dialect.Call) (dialect.Answer, error) {
		return dialect.Answer{Status: http.StatusOK, File: f.file}, nil
	}}}
}

func (files) Authenticate(context.Context, *dialect.Call) (tenant.Principal, error) {
	return tenant.Principal{Admin: true}, nil
}

func (files) Body(_ *dialect.Call, r dialect.Refusal) any { return r.Message }

// get returns the head and the body of the answer.
func get(t *testing.T, f *dialect.File, method string) (http.Header, string, error) {
	t.Helper()
	server := httptest.NewServer(dialect.New(files{f}, dialect.Options{}))
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/file", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.Header, string(body), err
}

// pieces are those of a file; an error ends them.
func pieces(end error, texts ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, text := range texts {
			if !yield([]byte(text), nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

func TestAFileIsSentAsItIs(t *testing.T) {
	f := &dialect.File{Type: "text/csv", Name: "people.csv", Bytes: 5, Pieces: pieces(nil, "a,b", "\r\n")}
	head, body, err := get(t, f, http.MethodGet)
	if body != "a,b\r\n" || err != nil || head.Get("Content-Type") != "text/csv" || head.Get("Content-Length") != "5" ||
		head.Get("Content-Disposition") != `attachment; filename="people.csv"` {
		t.Errorf("got %q, %v, %v", body, err, head)
	}
	if head, body, err := get(t, f, http.MethodHead); err != nil || body != "" || head.Get("Content-Length") != "5" {
		t.Errorf("its head: %q, %v, %v", body, err, head)
	}
	head, body, err = get(t, dialect.OnePiece("text/html", "<p>"), http.MethodGet)
	if err != nil || body != "<p>" || head.Get("Content-Disposition") != "" {
		t.Errorf("one piece: %q, %v, %v", body, err, head)
	}
}

func TestAFileThatBreaksOffIsNotTakenForAWholeOne(t *testing.T) {
	_, body, err := get(t, &dialect.File{Type: "text/csv", Bytes: 10, Pieces: pieces(errors.New("the disk is gone"), "a,b\r\n")}, http.MethodGet)
	if err == nil {
		t.Errorf("got %q without an error", body)
	}
}
