package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

//go:embed docs.html
var docsHTML string

var docsTemplate = template.Must(template.New("docs").Parse(docsHTML))

// docsStyle names the one style that the page may have, by its hash.
var docsStyle = func() string {
	_, style, _ := strings.Cut(docsHTML, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	hash := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}()

// docsPage is what the documentation shows.
type docsPage struct {
	Version, Description string
	Groups               []docsGroup
	Codes                []*problem.Code
}

type docsGroup struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary string
	Paragraphs                []string
	Parameters                []docsField
	Body                      []docsField
	Answers                   []docsAnswer
	Refusals                  []int
	Curl                      string
}

// docsField is a parameter or a field of a body, by its path.
type docsField struct {
	Name, Type, Description string
	Required                bool
}

type docsAnswer struct {
	Status, Description string
	Fields              []docsField
}

// docs renders the documentation from the OpenAPI document.
func (s *server) docs() ([]byte, error) {
	doc := s.huma.OpenAPI()
	page := docsPage{Version: doc.Info.Version, Description: doc.Info.Description, Codes: problem.Codes}
	for _, tag := range doc.Tags {
		group := docsGroup{Name: tag.Name, Description: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			item := doc.Paths[path]
			for _, op := range []*huma.Operation{item.Post, item.Get, item.Put, item.Patch, item.Delete} {
				if op != nil && slices.Contains(op.Tags, tag.Name) {
					group.Operations = append(group.Operations, describe(doc.Components.Schemas, op))
				}
			}
		}
		page.Groups = append(page.Groups, group)
	}
	var buf bytes.Buffer
	if err := docsTemplate.Execute(&buf, page); err != nil {
		return nil, fmt.Errorf("api: render the documentation: %w", err)
	}
	return buf.Bytes(), nil
}

func describe(registry huma.Registry, op *huma.Operation) docsOperation {
	d := docsOperation{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary,
		Paragraphs: strings.Split(strings.ReplaceAll(op.Description, "`", ""), "\n\n"),
	}
	for _, p := range op.Parameters {
		d.Parameters = append(d.Parameters, docsField{
			Name: p.Name, Type: p.In + ", " + typeOf(registry, p.Schema), Description: p.Description, Required: p.Required,
		})
	}
	if op.RequestBody != nil {
		d.Body = fieldsOf(registry, op.RequestBody.Content[jsonType].Schema, "", nil)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		if status[0] != '2' {
			var code int
			_, _ = fmt.Sscan(status, &code) // the keys are numbers
			d.Refusals = append(d.Refusals, code)
			continue
		}
		answer := docsAnswer{Status: status, Description: response.Description}
		if content := response.Content[jsonType]; content != nil {
			answer.Fields = fieldsOf(registry, content.Schema, "", nil)
		}
		d.Answers = append(d.Answers, answer)
	}
	d.Curl = curl(op)
	return d
}

// fieldsOf lists the fields of an object with those of the objects inside. Those of
// an object that stands within one of its kind have been listed.
func fieldsOf(registry huma.Registry, s *huma.Schema, prefix string, within []*huma.Schema) []docsField {
	s, _ = resolve(registry, s)
	if slices.Contains(within, s) {
		return nil
	}
	within = append(slices.Clip(within), s)
	var list []docsField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		inner, _ := resolve(registry, property)
		description := property.Description
		if description == "" {
			description = inner.Description
		}
		list = append(list, docsField{
			Name: prefix + name, Type: typeOf(registry, property), Description: description, Required: slices.Contains(s.Required, name),
		})
		if inner.Type == huma.TypeArray {
			list = append(list, fieldsOf(registry, inner.Items, prefix+name+"[].", within)...)
			continue
		}
		list = append(list, fieldsOf(registry, inner, prefix+name+".", within)...)
	}
	return list
}

// resolve returns the schema that is meant by one that refers to it, and whether
// null is valid too. The alternatives of a schema are those of nullable.
func resolve(registry huma.Registry, s *huma.Schema) (*huma.Schema, bool) {
	mayBeNull := len(s.AnyOf) > 0
	if mayBeNull {
		s = s.AnyOf[0]
	}
	for s.Ref != "" {
		s = registry.SchemaFromRef(s.Ref)
	}
	return s, mayBeNull || s.Nullable
}

// typeOf says in words what a value may be.
func typeOf(registry huma.Registry, s *huma.Schema) string {
	s, mayBeNull := resolve(registry, s)
	text := s.Type
	switch {
	case s.Type == huma.TypeArray:
		text = "list of " + typeOf(registry, s.Items)
	case s.Type == "":
		text = "any JSON"
	case s.Format == "date-time":
		text = "time"
	}
	if len(s.Enum) > 0 {
		text += ": " + strings.ReplaceAll(alternatives(s.Enum), `"`, "")
	}
	if s.Minimum != nil && s.Maximum != nil {
		text += fmt.Sprintf(" from %s to %s", decimal(*s.Minimum), decimal(*s.Maximum))
	}
	if s.Default != nil {
		text += fmt.Sprintf(", default %v", s.Default)
	}
	if mayBeNull {
		text += " or null"
	}
	return text
}

// curl is an example of a call that works as pasted, once the ids are filled in.
func curl(op *huma.Operation) string {
	key := "$GRAPEVINE_KEY"
	if op.Security[0][bearer][0] == operatorScope {
		key = "$GRAPEVINE_ADMIN_KEY"
	}
	var b strings.Builder
	b.WriteString("curl ")
	if op.Method != http.MethodGet {
		b.WriteString("-X " + op.Method + " ")
	}
	path := strings.NewReplacer("{id}", "$ID", "{key_id}", "$KEY_ID", "{dialect}", "$DIALECT", "{name}", "$NAME",
		"{key}", "$KEY", "{code}", "$CODE", "{type}", "$TYPE").Replace(op.Path)
	b.WriteString(`"$GRAPEVINE_URL` + path + `"`)
	b.WriteString(" \\\n  -H \"Authorization: Bearer " + key + `"`)
	if op.RequestBody != nil {
		if example, err := json.Marshal(op.RequestBody.Content[jsonType].Example); err == nil {
			b.WriteString(" \\\n  -H 'Content-Type: application/json' \\\n  -d '" + string(example) + "'")
		}
	}
	if answer := op.Responses["200"]; answer != nil {
		switch {
		case answer.Content[fileType] != nil:
			b.WriteString(" \\\n  -f -o backup.db")
		case answer.Content[csvType] != nil:
			b.WriteString(" \\\n  -f -o export.csv")
		}
	}
	return b.String()
}
