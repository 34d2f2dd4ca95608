package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/edge"
)

// openAnswers lets answers have fields that the document does not know, so that
// a client that was generated from it goes on working when one is added. Bodies
// of requests stay closed: there an unknown field is a mistake.
func (s *server) openAnswers() {
	document := s.huma.OpenAPI()
	schemas := document.Components.Schemas.Map()
	sent := make(map[string]bool) // by callers
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch} {
			if op == nil || op.RequestBody == nil {
				continue
			}
			for _, media := range op.RequestBody.Content {
				markSent(schemas, media.Schema, sent)
			}
		}
	}
	for name, schema := range schemas {
		if !sent[name] {
			open(schema)
		}
	}
}

// markSent marks the schemas that a schema refers to.
func markSent(schemas map[string]*huma.Schema, schema *huma.Schema, sent map[string]bool) {
	if schema == nil {
		return
	}
	if name := schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]; name != "" && !sent[name] {
		sent[name] = true
		markSent(schemas, schemas[name], sent)
	}
	for _, property := range schema.Properties {
		markSent(schemas, property, sent)
	}
	markSent(schemas, schema.Items, sent)
	for _, alternative := range schema.AnyOf {
		markSent(schemas, alternative, sent)
	}
	if values, ok := schema.AdditionalProperties.(*huma.Schema); ok {
		markSent(schemas, values, sent)
	}
}

// open opens a schema and what stands inside it.
func open(schema *huma.Schema) {
	if schema == nil {
		return
	}
	if schema.AdditionalProperties == false {
		schema.AdditionalProperties = nil
	}
	for _, property := range schema.Properties {
		open(property)
	}
	open(schema.Items)
}

// headers documents the headers of answers.
func (s *server) headers() {
	text := func(typ, description string) *huma.Header {
		return &huma.Header{Description: description, Schema: &huma.Schema{Type: typ}}
	}
	document := s.huma.OpenAPI()
	document.Components.Headers = map[string]*huma.Header{
		edge.RequestIDHeader:  text(huma.TypeString, "The id of the request, under which errors are logged: the caller's own, if it sent one of at most 64 letters, digits and ._-"),
		"Retry-After":         text(huma.TypeInteger, "How many seconds to wait before trying again."),
		"RateLimit-Limit":     text(huma.TypeInteger, "How many requests the key may make at once. Where requests are limited, every answer to a valid key has it."),
		"RateLimit-Remaining": text(huma.TypeInteger, "How many it may make now. Where requests are limited, every answer to a valid key has it."),
		"RateLimit-Reset":     text(huma.TypeInteger, "In how many seconds it may make all of them again. Where requests are limited, every answer to a valid key has it."),
		replayedHeader:        text(huma.TypeString, "True: this is the answer to an earlier request."),
		digestHeader:          text(huma.TypeString, "The SHA-256 of the body (RFC 9530), to check what has arrived with."),
	}
	references := make(map[string]*huma.Header)
	for name := range document.Components.Headers {
		references[name] = &huma.Header{Ref: "#/components/headers/" + name}
	}
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for status, response := range op.Responses {
				response.Headers = make(map[string]*huma.Header)
				for _, name := range headersOf(op, status) {
					response.Headers[name] = references[name]
				}
			}
		}
	}
}

// headersOf names the headers that an answer has besides those of its content.
func headersOf(op *huma.Operation, status string) []string {
	names := []string{edge.RequestIDHeader}
	switch status {
	case "200":
		if op.Responses["202"] != nil { // it repeats the answer to a publication
			names = append(names, replayedHeader)
		}
		if op.Responses["200"].Content[fileType] != nil {
			names = append(names, digestHeader)
		}
	case "429":
		names = append(names, "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
	case "503":
		names = append(names, "Retry-After")
	}
	return names
}
