package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

type eventTypeJSON struct {
	Dialect     string          `json:"dialect" example:"standard"`
	Name        string          `json:"name" example:"webhook.test"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema" doc:"JSON Schema of the event's data."`
	Sample      json.RawMessage `json:"sample" doc:"An example of the event's data."`
}

type eventTypeList struct {
	Paging
	Dialect string `query:"dialect" maxLength:"64" doc:"The types of this dialect; absent: of all."`
}

func (s *server) eventTypeRoutes() {
	register(s, route{
		id: "list-event-types", method: http.MethodGet, path: "/v1/event-types", tag: tagEventTypes, access: canRead,
		summary: "List event types", description: "The types that the dialects define, dialect by dialect. The standard dialect takes any others besides.",
	}, s.listEventTypes)
}

func (s *server) listEventTypes(_ context.Context, r request[eventTypeList, none]) (page[eventTypeJSON], error) {
	chosen := dialects.All
	if r.params.Dialect != "" {
		dialect, ok := dialects.Get(r.params.Dialect)
		if !ok {
			return page[eventTypeJSON]{}, problem.InvalidField("query.dialect", "is not a dialect that is spoken here")
		}
		chosen = []wire.Dialect{dialect}
	}
	var types []eventTypeJSON
	for _, dialect := range chosen {
		for _, t := range dialect.Catalogue() {
			types = append(types, eventTypeJSON{dialect.Name(), t.Name, t.Description, t.Schema, t.Sample})
		}
	}
	return pageOfTypes(types, r.params.Paging)
}

// pageOfTypes returns a part of a list of types. A cursor names the last type of
// the part before, so that it holds its place when the catalogues grow.
func pageOfTypes(types []eventTypeJSON, p Paging) (page[eventTypeJSON], error) {
	if p.Cursor != "" {
		last := slices.IndexFunc(types, func(t eventTypeJSON) bool { return t.cursor() == p.Cursor })
		if last < 0 {
			return page[eventTypeJSON]{}, problem.InvalidField("query.cursor", "is not a cursor that this list returned")
		}
		types = types[last+1:]
	}
	if len(types) <= p.Limit {
		return page[eventTypeJSON]{Data: append([]eventTypeJSON{}, types...)}, nil
	}
	types = types[:p.Limit]
	return page[eventTypeJSON]{Data: types, NextCursor: types[p.Limit-1].cursor()}, nil
}

func (t eventTypeJSON) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(t.Dialect + "/" + t.Name))
}
