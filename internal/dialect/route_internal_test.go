package dialect

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPatternFitsSegmentBySegment(t *testing.T) {
	named := func(pairs ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		pattern, path string
		want          map[string]string // nil: it does not fit
	}{
		{"/webhooks", "/webhooks", named()},
		{"/webhooks", "/webhooks/", named()},
		{"/webhooks", "/webhook%73", named()},
		{"/webhooks", "/webhooks//", nil},
		{"/webhooks", "//webhooks", nil},
		{"/webhooks", "/webhooks/x", nil},
		{"/webhooks", "webhooks", nil},
		{"/webhooks", "", nil},
		{"/webhooks", "/", nil},
		{"/webhooks", "*", nil},
		{"/webhooks/{id}", "/webhooks/x", named("id", "x")},
		{"/webhooks/{id}", "/webhooks/x/", named("id", "x")},
		{"/webhooks/{id}", "/webhooks/a%2Fb", named("id", "a/b")},
		{"/webhooks/{id}", "/webhooks/%252F", named("id", "%2F")},
		{"/webhooks/{id}", "/webhooks/..", named("id", "..")},
		{"/webhooks/{id}", "/webhooks/", nil},
		{"/webhooks/{id}", "/webhooks", nil},
		{"/webhooks/{id}", "/webhooks/%zz", nil},
		{"/webhooks/{id}/test", "/webhooks/x/test", named("id", "x")},
		{"/webhooks/{id}/test", "/webhooks/x%2Ftest", nil},
		{"/webhooks/{id}/test", "/webhooks//test", nil},
		{"/{t}/s/{url...}", "/acme/s/https%3A%2F%2Fx", named("t", "acme", "url", "https%3A%2F%2Fx")},
		{"/{t}/s/{url...}", "/acme/s/https://x/a%20b/", named("t", "acme", "url", "https://x/a%20b/")},
		{"/{t}/s/{url...}", "/acme/s//", named("t", "acme", "url", "/")},
		{"/{t}/s/{url...}", "/acme/s/", nil},
		{"/{t}/s/{url...}", "/acme/s", nil},
	} {
		got, ok := parsePattern(c.pattern).match(c.path)
		if ok != (c.want != nil) {
			t.Errorf("%s and %s: fits is %t", c.pattern, c.path, ok)
			continue
		}
		if diff := cmp.Diff(c.want, got); ok && diff != "" {
			t.Errorf("%s and %s: %s", c.pattern, c.path, diff)
		}
	}
}
