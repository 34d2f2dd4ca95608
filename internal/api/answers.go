package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// openAnswers lets answers have fields that the document does not know, so that
// a client that was generated from it goes on working when one is added. Bodies
// of requests stay closed: there an unknown field is a mistake.
func (s *server) openAnswers() {
	document := s.huma.OpenAPI()
	schemas := document.Components.Schemas.Map()
	sent := make(map[string]bool) // by callers
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Post, item.Patch} {
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
