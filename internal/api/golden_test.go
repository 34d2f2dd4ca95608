package api_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with the file that is committed.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is out of date: run the test with -update (-committed +now):\n%s", path, diff)
	}
}

func TestTheDocumentOfTheAPIIsTheCommittedOne(t *testing.T) {
	a := MustWorld(t, nil).send(http.MethodGet, "/openapi.yaml", "", "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/openapi+yaml" {
		t.Fatalf("%d %s", a.status, a.header)
	}
	golden(t, filepath.Join("testdata", "openapi.yaml"), a.body)
}

func TestTheReferenceOfErrorsIsTheCommittedOne(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Errors\n\nGenerated from the table in `internal/problem`. " +
		"Every refusal of the native API is a problem document (RFC 9457) whose `code` is one of these. " +
		"`errors` names the fields that are not valid, and `request_id` is the id of the request, under which errors are logged.\n\n" +
		"| code | status | meaning | what to do |\n|---|---|---|---|\n")
	for _, c := range problem.Codes {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", c.Name, c.Status, c.Title, c.Hint)
	}
	golden(t, filepath.Join("..", "..", "docs", "errors.md"), b.String())
}
