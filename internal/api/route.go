package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// route is a path with a method, and who may use it.
type route struct {
	id, method, path string
	tag              string
	summary          string // a few words
	description      string
	access           access
	status           int             // of success; zero: 200
	errors           []*problem.Code // besides those that any route of its kind gives
	example          string          // of the body, JSON
	answer           string          // an example of what comes back, JSON
	bytes            int             // of the body; zero: edge.MaxBody
}

// namesOne reports whether the path names a single thing.
func (rt route) namesOne() bool { return strings.Contains(rt.path, "{") }

// request is what a handler gets: the call, its parameters and its body.
type request[P, B any] struct {
	*call
	params P
	body   B
}

// statused is an answer that knows its status, where there are several of success.
type statused interface{ status() int }

// none stands for no parameters, no body and no content.
type none struct{}

// register adds a route to the API and to its document.
func register[P, B, T any](s *server, rt route, handle func(ctx context.Context, r request[P, B]) (T, error)) {
	result := reflect.TypeFor[T]()
	empty := result == reflect.TypeFor[none]()
	if empty {
		rt.status = http.StatusNoContent
	}
	rt.status = cmp.Or(rt.status, http.StatusOK)
	op := s.operation(rt)
	if !empty {
		op.Responses = s.describeAnswer(rt, result)
	}
	var body *huma.RequestBody
	var schema *huma.Schema
	if takesBody(rt.method) {
		body, schema = s.describeBody(rt, reflect.TypeFor[B]())
	}
	huma.Register(s.huma, op, func(ctx context.Context, params *P) (*answer, error) {
		r := request[P, B]{call: callOf(ctx), params: *params}
		if err := s.fillBody(body, schema, r.call, &r.body); err != nil {
			return nil, s.show(ctx, err)
		}
		result, err := handle(audit.WithActor(ctx, r.actor()), r)
		if err != nil {
			return nil, s.show(ctx, err)
		}
		switch result := any(result).(type) {
		case none:
			return nil, nil // the status alone
		case statused:
			return &answer{result.status(), result}, nil
		default:
			return &answer{rt.status, result}, nil
		}
	})
	// What the library would read and check by itself, or say of an answer of any
	// type, is put right in the document afterwards.
	documented := s.documented(rt)
	if body != nil {
		documented.RequestBody = body
	}
	if empty {
		documented.Responses[strconv.Itoa(rt.status)].Content = nil
	}
}

// answer is what the library is told of every answer. It writes a function for
// each type that it is told of, which was an eighth of the program.
type answer struct {
	Status int
	Body   any
}

// describeAnswer returns what the document says of success.
func (s *server) describeAnswer(rt route, body reflect.Type) map[string]*huma.Response {
	schema := s.huma.OpenAPI().Components.Schemas.Schema(body, true, "")
	return map[string]*huma.Response{strconv.Itoa(rt.status): {Content: jsonContent(schema, rt.answer)}}
}

func takesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// fillBody decodes the body of a call. One that is empty counts as an object
// without fields where none is required; where the route takes none, any field
// is one too many.
func (s *server) fillBody(described *huma.RequestBody, schema *huma.Schema, c *call, into any) error {
	switch {
	case schema == nil:
		return nil
	case len(c.body) > 0:
		return decode(s.huma.OpenAPI().Components.Schemas, schema, c.body, into)
	case described != nil && described.Required:
		return errNoBody
	}
	return nil
}

const (
	bearer        = "bearer"
	jsonType      = "application/json"
	operatorScope = "operator" // in the document, of what only the operator may do
	// metadataRoute is where an operation keeps its route.
	metadataRoute = "route"
)

// operation is what the document says of a route, all but its body and answer.
func (s *server) operation(rt route) huma.Operation {
	op := huma.Operation{
		OperationID:   rt.id,
		Method:        rt.method,
		Path:          rt.path,
		Summary:       rt.summary,
		Tags:          []string{rt.tag},
		DefaultStatus: rt.status,
		Metadata:      map[string]any{metadataRoute: rt},
		Errors:        []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	}
	scope, needs := operatorScope, "the operator's key."
	if !rt.access.operator {
		scope = string(rt.access.scope)
		needs = "the scope `" + scope + "`."
		named := "Required with the operator's key."
		if rt.access.everywhere {
			named = "With the operator's key, if it is not given, all are."
		}
		op.Errors = append(op.Errors, http.StatusNotFound)
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: tenantHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "The id or the alias of the tenant that is meant. " + named,
		})
	}
	op.Description = strings.TrimSpace(rt.description + "\n\nNeeds " + needs)
	op.Security = []map[string][]string{{bearer: {scope}}}
	if rt.namesOne() {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	if !rt.access.operator || !rt.namesOne() {
		op.Errors = append(op.Errors, http.StatusForbidden)
	}
	if takesBody(rt.method) {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, code := range rt.errors {
		op.Errors = append(op.Errors, code.Status)
	}
	op.Errors = append(op.Errors, http.StatusUnprocessableEntity)
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	return op
}

// describeRefusals documents the refusals of a route that the library does not
// register.
func (s *server) describeRefusals(op *huma.Operation) {
	refusal := s.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problemJSON](), true, "")
	for _, status := range append(op.Errors, http.StatusInternalServerError) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: refusal}},
		}
	}
}

// describeBody returns what the document says of a body, nil if there is none,
// and the schema that bodies are checked with.
func (s *server) describeBody(rt route, body reflect.Type) (*huma.RequestBody, *huma.Schema) {
	if body == reflect.TypeFor[none]() {
		return nil, &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false}
	}
	registry := s.huma.OpenAPI().Components.Schemas
	schema := registry.Schema(body, true, "")
	required := rt.method == http.MethodPatch || len(registry.SchemaFromRef(schema.Ref).Required) > 0
	return &huma.RequestBody{Required: required, Content: jsonContent(schema, rt.example)}, schema
}

// documented returns a route's operation in the document.
func (s *server) documented(rt route) *huma.Operation {
	item := s.huma.OpenAPI().Paths[rt.path]
	switch rt.method {
	case http.MethodGet:
		return item.Get
	case http.MethodDelete:
		return item.Delete
	case http.MethodPatch:
		return item.Patch
	case http.MethodPut:
		return item.Put
	default:
		return item.Post
	}
}

func jsonContent(schema *huma.Schema, example string) map[string]*huma.MediaType {
	media := &huma.MediaType{Schema: schema}
	if example != "" {
		media.Example = exampleValue(example)
	}
	return map[string]*huma.MediaType{jsonType: media}
}

// exampleValue reads an example of the documentation.
func exampleValue(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}

// schemaName names a type in the document: as in Go, without what marks the
// types that are written as JSON.
func schemaName(t reflect.Type, hint string) string {
	name := strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "JSON", "")
	if of, ok := strings.CutPrefix(name, "Page"); ok {
		return of + "Page"
	}
	return name
}

// enter is the last gate before the parameters of a route are read.
func (s *server) enter(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	r.Header.Del("Accept") // every answer is JSON, whatever was asked for
	rt, _ := ctx.Operation().Metadata[metadataRoute].(route)
	if err := s.prepare(w, r, rt); err != nil {
		s.refuse(w, r, err)
		return
	}
	next(ctx)
}

func (s *server) prepare(w http.ResponseWriter, r *http.Request, rt route) error {
	c := callOf(r.Context())
	if err := s.authorize(r, c, rt); err != nil {
		return err
	}
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if !takesBody(rt.method) {
		return nil
	}
	var err error
	c.body, err = s.readBody(w, r, edge.SizeLimit{Bytes: cmp.Or(rt.bytes, edge.MaxBody)})
	return err
}

// checkQuery refuses parameters that are there twice or empty, where the caller
// would not know which is meant.
func checkQuery(raw string) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return problem.Malformed.New("the query is not well-formed")
	}
	var fields fieldErrors
	for name, values := range query {
		at := fieldName("query." + name)
		switch {
		case len(values) > 1:
			fields.add(at, "is there %s times", strconv.Itoa(len(values)))
		case values[0] == "":
			fields.add(at, "must not be empty")
		case !utf8.ValidString(values[0]):
			fields.add(at, "is not valid UTF-8")
		}
	}
	return fields.err()
}

// page is a part of a list.
type page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Where the list goes on; absent at its end."`
}

// Paging is how a list is asked for.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"250" default:"50" doc:"How many to return at most."`
	Cursor string `query:"cursor" maxLength:"200" doc:"The next_cursor of the part before."`
}

// pageOf shows the rows of a part of a list.
func pageOf[R, T any](rows []R, next string, show func(R) T) page[T] {
	p := page[T]{Data: make([]T, len(rows)), NextCursor: next}
	for i, row := range rows {
		p.Data[i] = show(row)
	}
	return p
}
