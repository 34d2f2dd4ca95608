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
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

type eventTypeJSON struct {
	Dialect     string          `json:"dialect" example:"standard"`
	Name        string          `json:"name" example:"webhook.test"`
	Description string          `json:"description"`
	Source      string          `json:"source" doc:"Where that is written; tenant: it is a type that the tenant registered." example:"Grapevine"`
	Version     int             `json:"version,omitempty" doc:"Of a type that the tenant registered."`
	Schema      json.RawMessage `json:"schema,omitempty" doc:"JSON Schema of the event's data; absent: any data fits."`
	Sample      json.RawMessage `json:"sample,omitempty" doc:"An example of the event's data."`
	Variants    []variantJSON   `json:"variants,omitempty" doc:"Examples of the other forms that the data may have."`
	Remarks     []remarkJSON    `json:"remarks,omitempty" doc:"How the type differs from its source."`
}

type variantJSON struct {
	Name   string          `json:"name"`
	Sample json.RawMessage `json:"sample"`
}

type remarkJSON struct {
	Kind string `json:"kind" doc:"corrected: the source has a slip; added: it leaves something out; ours: it shows no sample."`
	Text string `json:"text"`
}

type eventTypeList struct {
	Paging
	Dialect string `query:"dialect" maxLength:"64" doc:"The types of this dialect; absent: of all."`
}

func (s *server) eventTypeRoutes() {
	register(s, route{
		id: "list-event-types", method: http.MethodGet, path: "/v1/event-types", tag: tagEventTypes, access: canRead,
		summary: "List event types", description: "The types that the dialects define, dialect by dialect, as the tenant's settings have them, and in the standard dialect those that the tenant has registered. It takes any others besides, unless the tenant's setting `event_types` says otherwise.",
	}, s.listEventTypes)
	s.ownEventTypeRoutes()
}

func (s *server) listEventTypes(ctx context.Context, r request[eventTypeList, none]) (page[eventTypeJSON], error) {
	chosen := dialects.All
	if r.params.Dialect != "" {
		dialect, ok := dialects.Get(r.params.Dialect)
		if !ok {
			return page[eventTypeJSON]{}, problem.InvalidField("query.dialect", "must be one of %s", dialects.Names())
		}
		chosen = []wire.Dialect{dialect}
	}
	var types []eventTypeJSON
	for _, dialect := range chosen {
		settings, err := s.opts.Tenants.Settings(ctx, r.tenant.ID, dialect.Name())
		if err != nil {
			return page[eventTypeJSON]{}, err
		}
		for _, t := range dialect.Catalogue(settings) {
			types = append(types, showEventType(dialect.Name(), t))
		}
		if dialect != (standard.Dialect{}) {
			continue
		}
		own, err := s.ownTypeNames(ctx, r.tenant.ID)
		if err != nil {
			return page[eventTypeJSON]{}, err
		}
		// A type that the tenant has registered under a name of ours stands for both.
		types = slices.DeleteFunc(types, func(t eventTypeJSON) bool {
			return slices.ContainsFunc(own, func(o eventTypeJSON) bool { return o.Name == t.Name && o.Dialect == t.Dialect })
		})
		types = append(types, own...)
	}
	list, err := pageOfTypes(types, r.params.Paging)
	if err != nil {
		return page[eventTypeJSON]{}, err
	}
	return list, s.fillOwnTypes(ctx, r.tenant.ID, list.Data)
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

func showEventType(dialect string, t wire.EventType) eventTypeJSON {
	shown := eventTypeJSON{Dialect: dialect, Name: t.Name, Description: t.Description, Source: t.Source, Schema: t.Schema, Sample: t.Sample}
	for _, v := range t.Variants {
		shown.Variants = append(shown.Variants, variantJSON{v.Name, v.Data})
	}
	for _, r := range t.Remarks {
		shown.Remarks = append(shown.Remarks, remarkJSON{string(r.Kind), r.Text})
	}
	return shown
}
