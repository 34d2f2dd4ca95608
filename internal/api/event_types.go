package api

import (
	"context"
	"encoding/json"
	"net/http"

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
	Dialect string `query:"dialect" maxLength:"64" doc:"The types of this dialect; absent: of all."`
}

func (s *server) eventTypeRoutes() {
	register(s, route{
		id: "list-event-types", method: http.MethodGet, path: "/v1/event-types", tag: tagEvents, access: canRead,
		summary: "List event types", description: "The types that the dialects define. The standard dialect takes any others besides.",
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
	list := page[eventTypeJSON]{Data: []eventTypeJSON{}}
	for _, dialect := range chosen {
		for _, t := range dialect.Catalogue() {
			list.Data = append(list.Data, eventTypeJSON{dialect.Name(), t.Name, t.Description, t.Schema, t.Sample})
		}
	}
	return list, nil
}
