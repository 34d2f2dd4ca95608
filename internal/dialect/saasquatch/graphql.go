package saasquatch

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

//go:embed schema.graphql
var schemaText string

var schema = gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: schemaText})

// Bounds of a query. One that the vendor's client sends has 60 tokens and one field.
const (
	maxTokens = 1000
	maxFields = 10
)

// graphqlBody is a query as it is sent.
type graphqlBody struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// graphqlJSON is its answer, with the status 200 whatever came of it.
type graphqlJSON struct {
	Errors []graphqlError `json:"errors,omitempty"`
	Data   any            `json:"data"`
}

type graphqlError struct {
	Message    string           `json:"message"`
	Locations  []location       `json:"locations,omitempty"`
	Path       []string         `json:"path,omitempty"`
	Extensions *errorExtensions `json:"extensions,omitempty"`
}

type location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

type errorExtensions struct {
	APIErrorCode string `json:"apiErrorCode"`
	RSCode       string `json:"rsCode,omitempty"`
}

// graphql answers the query that the vendor's JavaScript client sends, and any other
// that asks for the same (schema.graphql).
func (a *api) graphql(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body graphqlBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	q, failed := readQuery(body)
	if len(failed) > 0 {
		return dialect.Answer{Status: http.StatusOK, Body: graphqlJSON{Errors: failed}}, nil
	}
	answer := graphqlJSON{}
	var data object
	for _, f := range q.collect(q.operation.SelectionSet) {
		value, err := a.resolve(ctx, c, q, f)
		if err != nil {
			shown, ok := a.graphqlError(c, f, err)
			if !ok {
				return dialect.Answer{}, err
			}
			answer.Errors = append(answer.Errors, shown)
		}
		data = append(data, member{f.key, value})
	}
	answer.Data = data
	return dialect.Answer{Status: http.StatusOK, Body: answer}, nil
}

// query is a query that fits the schema.
type query struct {
	operation *ast.OperationDefinition
	variables map[string]any
}

func readQuery(body graphqlBody) (query, []graphqlError) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: body.Query}, maxTokens)
	if err != nil {
		return query{}, refusedQuery("can't be read", err)
	}
	if failed := validator.ValidateWithRules(schema, doc, rules.NewDefaultRules()); len(failed) > 0 {
		return query{}, refusedQuery("asks for what is not served here, or not in this way", failed[0])
	}
	operation := doc.Operations.ForName(body.OperationName)
	if operation == nil {
		return query{}, refusedQuery("has no operation of that name, or several and none is named", nil)
	}
	variables, err := validator.VariableValues(schema, operation, body.Variables)
	if err != nil {
		return query{}, refusedQuery("has variables that are missing, or of another type", err)
	}
	q := query{operation, variables}
	if len(q.collect(operation.SelectionSet)) > maxFields {
		return query{}, refusedQuery(fmt.Sprintf("asks for more than %d things at once", maxFields), nil)
	}
	return q, nil
}

// refusedQuery says what is wrong with a query, and where, without a word of it.
func refusedQuery(what string, err error) []graphqlError {
	shown := graphqlError{Message: "the query " + what, Extensions: &errorExtensions{APIErrorCode: codeBadRequest}}
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		for _, l := range e.Locations {
			shown.Locations = append(shown.Locations, location{l.Line, l.Column})
		}
	}
	return []graphqlError{shown}
}

// selected is a field of an answer, with all that is asked of it.
type selected struct {
	key    string
	field  *ast.Field
	within ast.SelectionSet
}

// collect returns what a selection asks for, in its order, each once, with what
// fragments add.
func (q query) collect(set ast.SelectionSet) []*selected {
	var found []*selected
	seen := make(map[string]bool) // fragments, of which each counts once
	var walk func(set ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				if !q.skips(s.Directives) {
					found = merged(found, s)
				}
			case *ast.InlineFragment:
				if !q.skips(s.Directives) {
					walk(s.SelectionSet)
				}
			case *ast.FragmentSpread:
				if !q.skips(s.Directives) && !seen[s.Name] {
					seen[s.Name] = true
					walk(s.Definition.SelectionSet)
				}
			}
		}
	}
	walk(set)
	return found
}

func merged(found []*selected, f *ast.Field) []*selected {
	for _, other := range found {
		if other.key == f.Alias {
			other.within = append(slices.Clip(other.within), f.SelectionSet...)
			return found
		}
	}
	return append(found, &selected{f.Alias, f, f.SelectionSet})
}

// skips reports whether @skip or @include leaves something out.
func (q query) skips(directives ast.DirectiveList) bool {
	for _, d := range directives {
		on, _ := d.ArgumentMap(q.variables)["if"].(bool)
		if d.Name == "skip" && on || d.Name == "include" && !on {
			return true
		}
	}
	return false
}

// resolve answers one field of a query.
func (a *api) resolve(ctx context.Context, c *dialect.Call, q query, f *selected) (any, error) {
	switch f.field.Name {
	case "__typename":
		return "Query", nil
	case "renderWidget":
		shown, err := a.queriedWidget(ctx, c, f.field.ArgumentMap(q.variables))
		if err != nil {
			return nil, err
		}
		return q.shape(f.within, shown), nil
	default:
		return nil, problem.InvalidField("query", "asks for the schema, which is not served")
	}
}

// shape returns of an object what a selection asks for.
func (q query) shape(set ast.SelectionSet, of object) object {
	var shown object
	for _, f := range q.collect(set) {
		var value any
		for _, m := range of {
			if m.name == f.field.Name {
				value = m.value
			}
		}
		if f.field.Name == "__typename" {
			value = f.field.ObjectDefinition.Name
		}
		if inner, ok := value.(object); ok && len(f.within) > 0 {
			value = q.shape(f.within, inner)
		}
		shown = append(shown, member{f.key, value})
	}
	return shown
}

// queriedWidget is the widget of the user that the arguments name, or else the token.
func (a *api) queriedWidget(ctx context.Context, c *dialect.Call, args map[string]any) (object, error) {
	text := func(name string) string {
		value, _ := args[name].(string)
		return value
	}
	at, err := widgetPlace{text("widgetType"), code.Engagement(text("engagementMedium")), text("locale")}.check()
	if err != nil {
		return nil, err
	}
	p, err := a.queriedUser(ctx, c, args["user"])
	if err != nil {
		return nil, err
	}
	shown, err := a.widget(ctx, c, p, at)
	if err != nil {
		return nil, err
	}
	return object{
		{"template", shown.Template},
		{"user", shown.User},
		{"jsOptions", shown.JSOptions},
		{"widgetConfig", object{{"values", map[string]any{}}}},
	}, nil
}

// queriedUser returns the user that a query names. The vendor's client escapes the ids
// there as if they stood in a path, so both readings are tried.
func (a *api) queriedUser(ctx context.Context, c *dialect.Call, named any) (referral.Profile, error) {
	ids, _ := named.(map[string]any)
	user, _ := ids["id"].(string)
	account, _ := ids["accountId"].(string)
	t, hasToken := c.Token.(token)
	if ids == nil && !hasToken {
		return referral.Profile{}, problem.InvalidField("user", "is required where no token names one")
	}
	if ids == nil {
		user, account = t.user, t.account
	}
	own := false // whether one of the readings is whom the token names
	for _, read := range []func(string) (string, error){func(s string) (string, error) { return s, nil }, url.PathUnescape} {
		u, errUser := read(user)
		acc, errAccount := read(account)
		if errUser != nil || errAccount != nil || u == "" || acc == "" {
			continue
		}
		if hasToken && identityOf(acc, u).Key != c.Person {
			continue
		}
		own = true
		p, err := a.calledPerson(ctx, c, userRef{ID: u, AccountID: acc})
		if !problem.NotFound.Has(err) {
			return p, err
		}
	}
	if hasToken && !own {
		return referral.Profile{}, errAnotherUser
	}
	return referral.Profile{}, errNoUser
}

// graphqlError shows an error of a field. It reports false for one that says nothing
// of itself.
func (a *api) graphqlError(c *dialect.Call, f *selected, err error) (graphqlError, bool) {
	r, ok := a.Refusals().Tell(err)
	if !ok {
		return graphqlError{}, false
	}
	shown, _ := a.Body(c, r).(errorJSON)
	return graphqlError{
		Message: shown.Message, Path: []string{f.key},
		Locations:  []location{{f.field.Position.Line, f.field.Position.Column}},
		Extensions: &errorExtensions{APIErrorCode: shown.APIErrorCode, RSCode: shown.RSCode},
	}, true
}
