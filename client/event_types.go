package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// NewEventType is what a tenant says of a type of event in the standard dialect.
// Name is required.
type NewEventType struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"` // JSON Schema (2020-12) of the data; nil: any data fits
	Sample      json.RawMessage `json:"sample,omitempty"` // of the data
}

// EventTypeVersion is a version of a type that the tenant registered.
type EventTypeVersion struct {
	Name        string          `json:"name"`
	Version     int             `json:"version"` // from 1; the newest holds
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema,omitempty"` // nil: any data fits
	Sample      json.RawMessage `json:"sample,omitempty"`
	CreatedAt   time.Time       `json:"created_at"`
}

// EventTypeVersions are all versions of a type.
type EventTypeVersions struct {
	Name       string             `json:"name"`
	ArchivedAt time.Time          `json:"archived_at,omitzero"` // zero: it is registered
	Versions   []EventTypeVersion `json:"versions"`             // the newest first
}

// RegisterEventType registers a type, or a new version of one. What is said of it
// already makes no new version: then that one is returned. Whether events are
// checked by it is the setting "event_types" of the dialect "standard".
func (c *Client) RegisterEventType(ctx context.Context, n NewEventType) (EventTypeVersion, error) {
	var t EventTypeVersion
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/event-types", body: n}, &t)
	return t, err
}

// EventType returns a type that the tenant registered, with all its versions.
func (c *Client) EventType(ctx context.Context, name string) (EventTypeVersions, error) {
	var t EventTypeVersions
	_, err := c.do(ctx, call{method: http.MethodGet, path: path("/v1/event-types/", name)}, &t)
	return t, err
}

// ArchiveEventType makes a type count as one that is not registered.
func (c *Client) ArchiveEventType(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/event-types/", name)}, nil)
	return err
}
