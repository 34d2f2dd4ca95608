package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// sourceTenant is the source of the types that the tenant registered.
const sourceTenant = "tenant"

type newEventTypeJSON struct {
	Name        string          `json:"name" minLength:"1" maxLength:"128" doc:"Words of letters, digits, _ or -, joined by full stops." example:"invoice.paid"`
	Description string          `json:"description,omitempty" doc:"When it is sent; at most 1,000 characters."`
	Schema      json.RawMessage `json:"schema,omitempty" doc:"JSON Schema (2020-12) of the data, which refers to nothing outside of itself; at most 64 KiB. Absent: any data fits."`
	Sample      json.RawMessage `json:"sample,omitempty" doc:"An example of the data, which fits the schema."`
}

// OwnEventTypeJSON is a version of a type that the tenant registered.
type OwnEventTypeJSON struct {
	Name        string          `json:"name" example:"invoice.paid"`
	Version     int             `json:"version" doc:"From 1; the newest holds."`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema,omitempty" doc:"JSON Schema of the data; absent: any data fits."`
	Sample      json.RawMessage `json:"sample,omitempty" doc:"An example of the data."`
	CreatedAt   time.Time       `json:"created_at"`
}

type registeredTypeJSON struct {
	OwnEventTypeJSON
	made bool
}

var _ statused = registeredTypeJSON{}

func (r registeredTypeJSON) status() int {
	if r.made {
		return http.StatusCreated
	}
	return http.StatusOK
}

type eventTypeVersionsJSON struct {
	Name       string             `json:"name" example:"invoice.paid"`
	ArchivedAt *time.Time         `json:"archived_at,omitempty" doc:"Absent: it is registered."`
	Versions   []OwnEventTypeJSON `json:"versions" doc:"The newest, which holds, first."`
}

type eventTypePath struct {
	Name string `path:"name" maxLength:"128" doc:"The type's name."`
}

func (s *server) ownEventTypeRoutes() {
	register(s, route{
		id: "register-event-type", method: http.MethodPost, path: "/v1/event-types", tag: tagEventTypes, access: canManage,
		summary: "Register an event type",
		description: "One of the tenant's own, in the standard dialect, or a new version of it. What is said of it already makes no new version and is answered with 200. " +
			"Whether events are checked by it is the setting `event_types` of the dialect `standard`: any, checked or registered.",
		status: http.StatusCreated, errors: []*problem.Code{problem.Conflict},
		example: `{"name":"invoice.paid","description":"An invoice was paid in full.","schema":{"type":"object","required":["amount"],"properties":{"amount":{"type":"integer"}}},"sample":{"amount":4200}}`,
		answer:  `{"name":"invoice.paid","version":1,"description":"An invoice was paid in full.","schema":{"type":"object","required":["amount"],"properties":{"amount":{"type":"integer"}}},"sample":{"amount":4200},"created_at":"2026-01-31T15:04:05.123456Z"}`,
	}, s.registerEventType)
	responses := s.documented(route{path: "/v1/event-types", method: http.MethodPost}).Responses
	responses["200"] = &huma.Response{Description: "Registered so already", Content: responses["201"].Content, Headers: responses["201"].Headers}
	register(s, route{
		id: "get-event-type", method: http.MethodGet, path: "/v1/event-types/{name}", tag: tagEventTypes, access: canRead,
		summary: "Get an event type", description: "One that the tenant registered, with all its versions, also if it is archived.",
	}, s.getEventType)
	register(s, route{
		id: "archive-event-type", method: http.MethodDelete, path: "/v1/event-types/{name}", tag: tagEventTypes, access: canManage,
		summary: "Archive an event type", description: "It counts as not registered from now on. Its versions are kept, and registering it again makes the next one.",
	}, s.archiveEventType)
}

func (s *server) registerEventType(ctx context.Context, r request[none, newEventTypeJSON]) (registeredTypeJSON, error) {
	t, made, err := s.opts.Webhooks.RegisterEventType(ctx, r.tenant.ID, webhook.NewEventType{
		Name: r.body.Name, Description: r.body.Description, Schema: r.body.Schema, Sample: r.body.Sample,
	})
	return registeredTypeJSON{showOwnEventType(t), made}, err
}

func (s *server) getEventType(ctx context.Context, r request[eventTypePath, none]) (eventTypeVersionsJSON, error) {
	versions, err := s.opts.Webhooks.EventTypeVersions(ctx, r.tenant.ID, r.params.Name)
	if err != nil {
		return eventTypeVersionsJSON{}, err
	}
	return eventTypeVersionsJSON{
		Name: versions[0].Name, ArchivedAt: optionalTime(versions[0].ArchivedAt), Versions: pageOf(versions, "", showOwnEventType).Data,
	}, nil
}

func (s *server) archiveEventType(ctx context.Context, r request[eventTypePath, none]) (none, error) {
	return none{}, s.opts.Webhooks.ArchiveEventType(ctx, r.tenant.ID, r.params.Name)
}

func showOwnEventType(t webhook.EventType) OwnEventTypeJSON {
	return OwnEventTypeJSON{
		Name: t.Name, Version: t.Version, Description: t.Description, Schema: t.Schema, Sample: t.Sample, CreatedAt: t.CreatedAt,
	}
}

// ownTypeNames lists the tenant's own types by their names alone, for a list of
// which only a part will be shown.
func (s *server) ownTypeNames(ctx context.Context, tenant id.ID) ([]eventTypeJSON, error) {
	names, err := s.opts.Webhooks.EventTypeNames(ctx, tenant)
	types := make([]eventTypeJSON, len(names))
	for i, name := range names {
		types[i] = eventTypeJSON{Dialect: standard.Dialect{}.Name(), Name: name, Source: sourceTenant}
	}
	return types, err
}

// fillOwnTypes adds to the tenant's own types in a list what is to be shown of
// them.
func (s *server) fillOwnTypes(ctx context.Context, tenant id.ID, types []eventTypeJSON) error {
	var names []string
	for _, t := range types {
		if t.Source == sourceTenant {
			names = append(names, t.Name)
		}
	}
	own, err := s.opts.Webhooks.EventTypes(ctx, tenant, names)
	if err != nil {
		return err
	}
	for i := range types {
		at := slices.IndexFunc(own, func(t webhook.EventType) bool { return t.Name == types[i].Name })
		if types[i].Source != sourceTenant || at < 0 {
			continue
		}
		types[i].Version, types[i].Description = own[at].Version, own[at].Description
		types[i].Schema, types[i].Sample = own[at].Schema, own[at].Sample
	}
	return nil
}
