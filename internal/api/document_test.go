package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/netguard"
)

// schema is a part of a JSON Schema.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 any                `json:"type"`
	Enum                 []any              `json:"enum"`
	MaxLength            *int               `json:"maxLength"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties json.RawMessage    `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	AnyOf                []*schema          `json:"anyOf"`
}

type content map[string]struct {
	Schema  *schema
	Example json.RawMessage
}

// document is the part of the OpenAPI document that these tests read.
type document struct {
	Paths map[string]map[string]struct {
		RequestBody struct{ Content content }
		Responses   map[string]struct {
			Content content
			Headers map[string]schema
		}
	}
	Components struct {
		Schemas map[string]*schema
		Headers map[string]any
	}
}

func (w *world) MustDocument() document {
	w.t.Helper()
	var doc document
	if err := json.Unmarshal([]byte(w.send(http.MethodGet, "/openapi.json", "", "").body), &doc); err != nil {
		w.t.Fatal(err)
	}
	return doc
}

// walk visits a schema and all that can be reached from it, each once.
func (d document) walk(at string, s *schema, seen map[*schema]bool, visit func(at string, s *schema)) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	visit(at, s)
	if s.Ref != "" {
		name := path.Base(s.Ref)
		d.walk(name, d.Components.Schemas[name], seen, visit)
	}
	for name, property := range s.Properties {
		d.walk(at+"."+name, property, seen, visit)
	}
	for _, alternative := range s.AnyOf {
		d.walk(at, alternative, seen, visit)
	}
	d.walk(at+"[]", s.Items, seen, visit)
	var values schema
	if json.Unmarshal(s.AdditionalProperties, &values) == nil {
		d.walk(at+".*", &values, seen, visit)
	}
}

func TestAnswersMayGrowWithoutBreakingGeneratedClients(t *testing.T) {
	doc := MustWorld(t, nil).MustDocument()
	seen := make(map[*schema]bool)
	for _, operations := range doc.Paths {
		for _, op := range operations {
			for _, response := range op.Responses {
				for _, media := range response.Content {
					doc.walk("", media.Schema, seen, func(at string, s *schema) {
						if string(s.AdditionalProperties) == "false" {
							t.Errorf("%s takes no further fields", at)
						}
						if len(s.Enum) > 0 {
							t.Errorf("%s takes no further words", at)
						}
					})
				}
			}
		}
	}
	for _, name := range []string{"Problem", "InvalidField", "ShownAuth", "ShownPolicy", "TestResult", "AttemptResponse", "ResponseHeader", "PublishedBatch"} {
		if s := doc.Components.Schemas[name]; s == nil || !seen[s] {
			t.Errorf("no answer has the schema %s", name)
		}
	}
}

func TestRequestsTakeNoFieldThatTheDocumentDoesNotHave(t *testing.T) {
	doc := MustWorld(t, nil).MustDocument()
	seen := make(map[*schema]bool)
	for _, operations := range doc.Paths {
		for _, op := range operations {
			for _, media := range op.RequestBody.Content {
				doc.walk("", media.Schema, seen, func(at string, s *schema) {
					if s.Type == "object" && len(s.AdditionalProperties) == 0 {
						t.Errorf("%s takes any field", at)
					}
				})
			}
		}
	}
	for _, name := range []string{"Auth", "Policy", "Publication", "KeyRoll", "SecretRotation", "ChangeSubscription"} {
		if s := doc.Components.Schemas[name]; s == nil || !seen[s] {
			t.Errorf("no request has the schema %s", name)
		}
	}
}

func TestTheDocumentedLengthOfAURLIsThatOfTheGuard(t *testing.T) {
	doc := MustWorld(t, nil).MustDocument()
	for _, name := range []string{"NewSubscription", "ChangeSubscription"} {
		if most := doc.Components.Schemas[name].Properties["url"].MaxLength; most == nil || *most != netguard.MaxURLLength {
			t.Errorf("%s: %v", name, most)
		}
	}
}

func TestTheDocumentSaysWhichHeadersAnswersHave(t *testing.T) {
	doc := MustWorld(t, nil).MustDocument()
	for at, operations := range doc.Paths {
		for method, op := range operations {
			for status, response := range op.Responses {
				want := []string{"X-Request-Id"}
				switch {
				case status == "429":
					want = []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-Id"}
				case status == "503":
					want = []string{"Retry-After", "X-Request-Id"}
				case status == "200" && method == "post" && strings.HasPrefix(at, "/v1/events"):
					want = []string{"Idempotency-Replayed", "X-Request-Id"}
				case status == "200" && at == "/v1/backup":
					want = []string{"Content-Digest", "X-Request-Id"}
				}
				if diff := cmp.Diff(want, slices.Sorted(maps.Keys(response.Headers))); diff != "" {
					t.Errorf("%s %s %s (-want +got):\n%s", method, at, status, diff)
				}
				for name, h := range response.Headers {
					if doc.Components.Headers[path.Base(h.Ref)] == nil {
						t.Errorf("%s %s %s: the header %s is nowhere described", method, at, status, name)
					}
				}
			}
		}
	}
}

func TestTheExamplesOfAnswersAreWhatTheExamplesOfRequestsGet(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	doc := w.MustDocument()
	for _, c := range []struct {
		path, status string
		vary         []string // these differ each time
	}{
		{"/v1/subscriptions", "201", []string{"id", "secret", "created_at", "updated_at"}},
		{"/v1/events", "202", []string{"id", "timestamp"}},
	} {
		op := doc.Paths[c.path]["post"]
		var want, got map[string]any
		if err := json.Unmarshal(op.Responses[c.status].Content["application/json"].Example, &want); err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		sent := w.send(http.MethodPost, c.path, a.Key, string(op.RequestBody.Content["application/json"].Example))
		if err := json.Unmarshal([]byte(sent.body), &got); err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		for _, name := range c.vary {
			if want[name] != nil && got[name] != nil {
				want[name] = got[name]
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-example +answer):\n%s", c.path, diff)
		}
	}
}
