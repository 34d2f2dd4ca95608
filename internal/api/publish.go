package api

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// publicationJSON documents what publication reads.
type publicationJSON struct {
	Type           string         `json:"type" maxLength:"128" doc:"Words of letters, digits, _ or -, joined by full stops; in another dialect than standard one of its catalogue." example:"invoice.paid"`
	Data           map[string]any `json:"data" doc:"What receivers get, kept as it is but for white space and needless escapes; in another dialect than standard it has to fit the catalogue's schema."`
	Timestamp      time.Time      `json:"timestamp,omitzero" doc:"When it happened; absent: now. At most a day in the future."`
	Dialect        string         `json:"dialect,omitempty" minLength:"1" doc:"Whose event it is; absent: standard."`
	SubjectVersion int64          `json:"subject_version,omitempty" minimum:"1" doc:"Counts the changes of what the event is about. Receivers get it in a header, and can tell which of two events is the later."`
}

var _ huma.SchemaTransformer = publicationJSON{}

// TransformSchema adds what the dialects' envelopes have besides.
func (publicationJSON) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	addEnvelopeFields(s)
	return s
}

func addEnvelopeFields(s *huma.Schema) {
	for _, dialect := range dialects.All {
		for _, field := range dialect.Fields() {
			s.Properties[field.Name] = &huma.Schema{
				Type: huma.TypeString, Description: fmt.Sprintf("Of the dialect %s: %s", dialect.Name(), field.Description),
			}
		}
	}
}

type batchJSON struct {
	Events []publicationJSON `json:"events" minItems:"1" maxItems:"1000"`
}

// publishedJSON documents what appendPublished writes.
type publishedJSON struct {
	ID         string    `json:"id" example:"evt_019a9c1d2f3b5e8d7c6a4f10"`
	Type       string    `json:"type" example:"invoice.paid"`
	Timestamp  time.Time `json:"timestamp"`
	Deliveries int       `json:"deliveries" doc:"To how many subscriptions it goes."`
}

type publishedBatchJSON struct {
	Events []publishedJSON `json:"events" doc:"In the order of the request."`
}

const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"
)

func (s *server) publishRoutes() {
	const replay = "\n\nThe same Idempotency-Key with the same body publishes nothing more: the answer is the first one, with status 200 and `Idempotency-Replayed: true`."
	s.publishRoute(route{
		id: "publish-event", method: http.MethodPost, path: "/v1/events", tag: tagEvents, access: canPublish,
		summary: "Publish an event", status: http.StatusAccepted, errors: []*problem.Code{problem.IdempotencyConflict},
		description: "When this returns, the event and its deliveries are on disk." + replay,
		example:     `{"type":"invoice.paid","data":{"invoice":"inv_1","amount":4200}}`,
		answer:      `{"id":"evt_019a9c1d2f3b5e8d7c6a4f10","type":"invoice.paid","timestamp":"2026-01-31T15:04:05.123456Z","deliveries":1}`,
	}, publishing{
		limit: edge.SizeLimit{Bytes: s.opts.MaxEventBytes + maxEnvelope, Refuse: dataTooLarge("data", s.opts.MaxEventBytes)},
		read:  readEvent, write: appendEvent,
		body: reflect.TypeFor[publicationJSON](), answer: reflect.TypeFor[publishedJSON](),
	})
	s.publishRoute(route{
		id: "publish-batch", method: http.MethodPost, path: "/v1/events/batch", tag: tagEvents, access: canPublish,
		summary: "Publish up to 1,000 events", status: http.StatusAccepted, errors: []*problem.Code{problem.IdempotencyConflict},
		description: "All of them or none." + replay,
		example:     `{"events":[{"type":"invoice.paid","data":{"invoice":"inv_1"}},{"type":"invoice.paid","data":{"invoice":"inv_2"}}]}`,
	}, publishing{
		limit: edge.SizeLimit{Bytes: max(maxBatch, s.opts.MaxEventBytes+maxEnvelope)},
		read:  readBatch, write: appendBatch,
		body: reflect.TypeFor[batchJSON](), answer: reflect.TypeFor[publishedBatchJSON](),
	})
}

// publishing is how events are read and answered for.
type publishing struct {
	limit        edge.SizeLimit
	read         func(body []byte, errs *fieldErrors) webhook.Publishing
	write        func(b []byte, published []webhook.Published) []byte
	body, answer reflect.Type // what documents the two
}

// publishRoute adds a route that publishes. It is in the document like any
// other, and on the mux directly, since the library's way takes longer than all
// else that is done here.
func (s *server) publishRoute(rt route, how publishing) {
	op := s.operation(rt)
	op.RequestBody, _ = s.describeBody(rt, how.body)
	op.Parameters = append(op.Parameters,
		&huma.Param{
			Name: idempotencyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(255)},
			Description: "Publishes once, however often the request is sent. Printable ASCII without spaces.",
		},
		&huma.Param{
			Name: "traceparent", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "W3C Trace Context; passed on to the receivers.",
		},
	)
	s.describeAnswers(&op, rt, how.answer)
	s.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
		if err := s.publish(w, r, rt, how); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// describeAnswers documents both answers to publishing, and the refusals.
func (s *server) describeAnswers(op *huma.Operation, rt route, answer reflect.Type) {
	registry := s.huma.OpenAPI().Components.Schemas
	content := jsonContent(registry.Schema(answer, true, ""), rt.answer)
	op.Responses = map[string]*huma.Response{
		"202": {Description: "Accepted", Content: content},
		"200": {Description: "The answer to an earlier request with the same Idempotency-Key", Content: content},
	}
	s.describeRefusals(op)
	s.huma.OpenAPI().AddOperation(op)
}

func (s *server) publish(w http.ResponseWriter, r *http.Request, rt route, how publishing) error {
	c := callOf(r.Context())
	if err := s.authorize(r, c, rt); err != nil {
		return err
	}
	if r.URL.RawQuery != "" {
		return problem.InvalidField("query", "this call takes no parameters")
	}
	body, err := s.readBody(w, r, how.limit)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return errNoBody
	}
	var errs fieldErrors
	p := how.read(body, &errs)
	if keys := r.Header[idempotencyHeader]; len(keys) > 0 {
		if len(keys) > 1 || keys[0] == "" {
			errs.add(idempotencyHeader, "must be given once and not be empty")
		}
		p.IdempotencyKey = keys[0]
	}
	p.Traceparent = r.Header.Get("Traceparent")
	if err := s.checkSizes(p); err != nil {
		return err
	}
	if err := errs.err(); err != nil {
		return err
	}
	published, replayed, err := s.opts.Webhooks.Publish(r.Context(), c.tenant.ID, p)
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if replayed {
		status = http.StatusOK
		w.Header().Set(replayedHeader, "true")
	}
	answer := how.write(make([]byte, 0, 160*len(published)+16), published)
	answer = append(answer, '\n')
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(status)
	_, _ = w.Write(answer) // fails only if the caller has gone
	return nil
}

// checkSizes refuses data that is too large, whatever else is wrong with the
// request: as where the body as a whole is, and so is not looked at.
func (s *server) checkSizes(p webhook.Publishing) error {
	for i, pub := range p.Publications {
		switch {
		case len(pub.Data) <= s.opts.MaxEventBytes:
		case p.Batch:
			return dataTooLarge("events["+strconv.Itoa(i)+"].data", s.opts.MaxEventBytes)
		default:
			return dataTooLarge("data", s.opts.MaxEventBytes)
		}
	}
	return nil
}

func dataTooLarge(field string, most int) error {
	message := fmt.Sprintf("must have at most %d bytes", most)
	e := problem.TooLarge.New("%s: %s", field, message)
	e.Fields = []problem.Field{{Name: field, Message: message}}
	return e
}

func readEvent(body []byte, errs *fieldErrors) webhook.Publishing {
	return webhook.Publishing{Publications: []webhook.Publication{publication(body, "", errs)}}
}

func readBatch(body []byte, errs *fieldErrors) webhook.Publishing {
	return webhook.Publishing{Publications: publications(body, errs), Batch: true}
}

func appendEvent(b []byte, published []webhook.Published) []byte {
	return appendPublished(b, published[0])
}

func appendBatch(b []byte, published []webhook.Published) []byte {
	b = append(b, `{"events":[`...)
	for i, p := range published {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPublished(b, p)
	}
	return append(b, `]}`...)
}

func appendPublished(b []byte, p webhook.Published) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, id.Event.Format(p.ID)...)
	b = append(b, `","type":`...)
	b = wire.AppendQuoted(b, p.Type)
	b = append(b, `,"timestamp":"`...)
	b = p.OccurredAt.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","deliveries":`...)
	b = strconv.AppendInt(b, int64(p.Deliveries), 10)
	return append(b, '}')
}
