package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// messageID stands before the ids of messages.
const messageID id.Kind = "msg"

// WrittenJSON is a message that somebody was written.
type WrittenJSON struct {
	ID        string    `json:"id" example:"msg_019a9c1d2f3b5e8d7c6a4f10"`
	PersonID  string    `json:"person_id"`
	Type      string    `json:"type" example:"referral_paid"`
	Subject   string    `json:"subject"`
	Message   string    `json:"message"`
	CreatedAt time.Time `json:"created_at"`
	Cause     string    `json:"cause,omitempty" doc:"The fact that led to it; absent: none."`
}

// ShownTemplateJSON is how messages of one type are made.
type ShownTemplateJSON struct {
	Subject string `json:"subject"`
	Message string `json:"message"`
	Format  string `json:"format" doc:"Of the message: html or text."`
}

type setTemplateJSON struct {
	Subject string `json:"subject" example:"Thank you, {{.user.firstName}}" doc:"Plain text."`
	Message string `json:"message" doc:"Values, such as {{.user.firstName}}, if, range and with: a part of the language of Go's html/template."`
	Format  string `json:"format,omitempty" enum:"html,text" doc:"Of the message: html, in which what is put in is escaped, or text. Absent: html."`
}

type variablesJSON struct {
	Variables json.RawMessage `json:"variables" doc:"An object."`
}

type setVariablesJSON struct {
	Variables json.RawMessage `json:"variables" doc:"An object, with fields of the theme's schema."`
}

type themeSchemaJSON struct {
	Schema json.RawMessage `json:"schema" doc:"What variables the theme has, in words of JSON Schema."`
}

type setThemeSchemaJSON struct {
	Schema json.RawMessage `json:"schema" doc:"What variables the theme has, in words of JSON Schema."`
}

type previewJSON struct {
	Subject string `json:"subject"`
	Message string `json:"message"`
	Format  string `json:"format" doc:"html or text."`
}

type publishingJSON struct {
	Version string `json:"version" doc:"The version that it will be."`
}

type themeStatusJSON struct {
	Version string         `json:"version,omitempty" doc:"Which is in use; absent: the built-in theme."`
	Locales []string       `json:"locales" doc:"For which the draft has something of its own; \"\" is for everybody."`
	Log     []themeLogJSON `json:"log" doc:"What the latest publication has said so far."`
}

type themeLogJSON struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

// LocaleQuery names a locale of the theme.
type LocaleQuery struct {
	Locale string `query:"locale" maxLength:"35" doc:"Such as de or en_GB; absent: what is for everybody." example:"de"`
}

type requiredLocale struct {
	Locale string `query:"locale" required:"true" maxLength:"35" doc:"Such as de or en_GB." example:"de"`
}

type templatePath struct {
	Type string `path:"type" maxLength:"100" doc:"referral_started, referral_paid, referred_reward_earned or reward_limit_reached."`
	LocaleQuery
}

type messageList struct {
	PersonPath
	Paging
}

func (s *server) themeRoutes() {
	const variables, schema, status = "/v1/theme/variables", "/v1/theme/schema", "/v1/theme/status"
	theme := func(rt route) route { rt.tag = tagMessages; return rt }
	register(s, theme(route{
		id: "get-theme-variables", method: http.MethodGet, path: variables, access: canRead,
		summary: "Get the variables of the theme", description: "Those that the draft has set for a locale.",
	}), s.getVariables)
	register(s, theme(route{
		id: "set-theme-variables", method: http.MethodPut, path: variables, access: canManage,
		summary: "Replace the variables of the theme", description: "Of the draft, for a locale.", example: `{"variables":{"companyName":"Acme"}}`,
	}), s.setVariables)
	register(s, theme(route{
		id: "change-theme-variables", method: http.MethodPatch, path: variables, access: canManage,
		summary: "Change variables of the theme", description: "Those that are given; null removes one.", example: `{"variables":{"companyName":"Acme"}}`,
	}), s.changeVariables)
	register(s, theme(route{
		id: "delete-theme-locale", method: http.MethodDelete, path: variables, access: canManage,
		summary: "Remove a locale from the theme", description: "Its variables and templates, from the draft.",
	}), s.deleteLocale)
	register(s, theme(route{
		id: "get-theme-schema", method: http.MethodGet, path: schema, access: canRead, summary: "Get the schema of the theme's variables",
	}), s.getThemeSchema)
	register(s, theme(route{
		id: "set-theme-schema", method: http.MethodPut, path: schema, access: canManage, summary: "Replace the schema of the theme's variables",
		description: "What variables have by then is checked when the theme is published.",
		example:     `{"schema":{"type":"object","properties":{"companyName":{"type":"string","default":"Acme"}}}}`,
	}), s.setThemeSchema)
	s.templateRoutes()
	register(s, theme(route{
		id: "publish-theme", method: http.MethodPost, path: "/v1/theme/publish", access: canManage, status: http.StatusAccepted,
		summary:     "Publish the theme",
		description: "The draft as it is now becomes a version, and comes into use once every message was made with sample values. If one fails the version in use stays; the status says which.",
		errors:      []*problem.Code{problem.Conflict},
	}), s.publishTheme)
	register(s, theme(route{
		id: "get-theme-status", method: http.MethodGet, path: status, access: canRead, summary: "Get which theme is in use, and how the latest publication goes",
	}), s.getThemeStatus)
	register(s, theme(route{
		id: "list-messages", method: http.MethodGet, path: "/v1/people/{id}/messages", access: canRead,
		summary: "List what a person was written", description: "The newest first.",
	}), s.listMessages)
}

// maxTemplateBody bounds the body of a template, which is as long as its escapes.
const maxTemplateBody = 1 << 20

func (s *server) templateRoutes() {
	const path = "/v1/theme/templates/{type}"
	register(s, route{
		id: "get-template", method: http.MethodGet, path: path, tag: tagMessages, access: canRead,
		summary: "Get a template", description: "Of the draft. Where it has none for the locale, that for everybody or the built-in one makes the messages, and is returned.",
	}, s.getTemplate)
	register(s, route{
		id: "set-template", method: http.MethodPut, path: path, tag: tagMessages, access: canManage, bytes: maxTemplateBody,
		summary: "Replace a template", description: "Of the draft. Whether it can be rendered is found out by a preview, or when the theme is published.",
		example: `{"subject":"Thank you, {{default \"you\" .user.firstName}}","message":"<p>Your friend has signed up.</p>"}`,
	}, s.setTemplate)
	register(s, route{
		id: "reset-template", method: http.MethodDelete, path: path, tag: tagMessages, access: canManage,
		summary: "Remove a template", description: "From the draft: that for everybody, or the built-in one, is used there.",
	}, s.resetTemplate)
	register(s, route{
		id: "preview-template", method: http.MethodPost, path: path + "/preview", tag: tagMessages, access: canRead,
		summary: "Preview a message", description: "Made by the draft with sample values. It is sent to nobody.",
	}, s.previewTemplate)
}

func (s *server) getVariables(ctx context.Context, r request[LocaleQuery, none]) (variablesJSON, error) {
	variables, err := s.opts.Messages.Variables(ctx, r.tenant.ID, r.params.Locale)
	return variablesJSON{variables}, byLocale(err)
}

func (s *server) setVariables(ctx context.Context, r request[LocaleQuery, setVariablesJSON]) (variablesJSON, error) {
	if err := checkDepth("variables", r.body.Variables); err != nil {
		return variablesJSON{}, err
	}
	if err := s.opts.Messages.SetVariables(ctx, r.tenant.ID, r.params.Locale, r.body.Variables); err != nil {
		return variablesJSON{}, byLocale(err)
	}
	return s.getVariables(ctx, request[LocaleQuery, none]{call: r.call, params: r.params})
}

func (s *server) changeVariables(ctx context.Context, r request[LocaleQuery, setVariablesJSON]) (variablesJSON, error) {
	if err := checkDepth("variables", r.body.Variables); err != nil {
		return variablesJSON{}, err
	}
	variables, err := s.opts.Messages.PatchVariables(ctx, r.tenant.ID, r.params.Locale, r.body.Variables)
	return variablesJSON{variables}, byLocale(err)
}

func (s *server) deleteLocale(ctx context.Context, r request[requiredLocale, none]) (none, error) {
	return none{}, byLocale(s.opts.Messages.DeleteLocale(ctx, r.tenant.ID, r.params.Locale))
}

func (s *server) getThemeSchema(ctx context.Context, r request[none, none]) (themeSchemaJSON, error) {
	schema, err := s.opts.Messages.Schema(ctx, r.tenant.ID)
	return themeSchemaJSON{schema}, err
}

func (s *server) setThemeSchema(ctx context.Context, r request[none, setThemeSchemaJSON]) (themeSchemaJSON, error) {
	if err := checkDepth("schema", r.body.Schema); err != nil {
		return themeSchemaJSON{}, err
	}
	if err := s.opts.Messages.SetSchema(ctx, r.tenant.ID, r.body.Schema); err != nil {
		return themeSchemaJSON{}, err
	}
	return s.getThemeSchema(ctx, request[none, none]{call: r.call})
}

// place is where in the theme the template stands that a path names.
func (p templatePath) place() (message.Place, error) {
	of, err := message.ParseType(p.Type)
	if err != nil {
		return message.Place{}, problem.NotFound.New("there is no such type of messages")
	}
	return message.Place{Locale: p.Locale, Type: of}, nil
}

func (s *server) getTemplate(ctx context.Context, r request[templatePath, none]) (ShownTemplateJSON, error) {
	at, err := r.params.place()
	if err != nil {
		return ShownTemplateJSON{}, err
	}
	t, err := s.opts.Messages.TemplateAt(ctx, r.tenant.ID, at)
	return ShownTemplateJSON{t.Subject, t.Message, string(t.Format)}, byLocale(err)
}

func (s *server) setTemplate(ctx context.Context, r request[templatePath, setTemplateJSON]) (ShownTemplateJSON, error) {
	at, err := r.params.place()
	if err != nil {
		return ShownTemplateJSON{}, err
	}
	b := r.body
	set := message.Template{Subject: b.Subject, Message: b.Message, Format: message.Format(b.Format)}
	if err := s.opts.Messages.SetTemplate(ctx, r.tenant.ID, at, set); err != nil {
		return ShownTemplateJSON{}, byLocale(err)
	}
	return s.getTemplate(ctx, request[templatePath, none]{call: r.call, params: r.params})
}

func (s *server) resetTemplate(ctx context.Context, r request[templatePath, none]) (none, error) {
	at, err := r.params.place()
	if err != nil {
		return none{}, err
	}
	return none{}, byLocale(s.opts.Messages.ResetTemplate(ctx, r.tenant.ID, at))
}

func (s *server) previewTemplate(ctx context.Context, r request[templatePath, none]) (previewJSON, error) {
	at, err := r.params.place()
	if err != nil {
		return previewJSON{}, err
	}
	made, err := s.opts.Messages.Preview(ctx, r.tenant.ID, at)
	return previewJSON{made.Subject, made.Message, string(made.Format)}, byLocale(err)
}

func (s *server) publishTheme(ctx context.Context, r request[none, none]) (publishingJSON, error) {
	version, err := s.opts.Messages.Publish(ctx, r.tenant.ID)
	return publishingJSON{version}, err
}

func (s *server) getThemeStatus(ctx context.Context, r request[none, none]) (themeStatusJSON, error) {
	version, err := s.opts.Messages.Version(ctx, r.tenant.ID)
	if err != nil {
		return themeStatusJSON{}, err
	}
	locales, err := s.opts.Messages.Locales(ctx, r.tenant.ID)
	if err != nil {
		return themeStatusJSON{}, err
	}
	said, err := s.opts.Messages.PublishStatus(ctx, r.tenant.ID)
	return themeStatusJSON{
		version, append([]string{}, locales...), pageOf(said, "", func(e message.LogEntry) themeLogJSON { return themeLogJSON{e.At, e.Message} }).Data,
	}, err
}

// byLocale says of a refused locale where the caller has written it.
func byLocale(err error) error {
	return renamed(err, func(name string) string {
		if name == "locale" {
			return "query.locale"
		}
		return name
	})
}

func (s *server) listMessages(ctx context.Context, r request[messageList, none]) (page[WrittenJSON], error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return page[WrittenJSON]{}, err
	}
	at, err := r.params.before(messageID)
	if err != nil {
		return page[WrittenJSON]{}, err
	}
	messages, err := s.opts.Messages.Messages(ctx, r.tenant.ID, p.ID, message.Page{Before: at.Before, Limit: at.Limit + 1})
	var next id.ID
	if len(messages) > at.Limit {
		messages = messages[:at.Limit]
		next = messages[at.Limit-1].ID
	}
	return pageOf(messages, cursorOf(next, messageID), showWritten), err
}

func showWritten(m message.Message) WrittenJSON {
	return WrittenJSON{
		messageID.Format(m.ID), shownPerson(m.PersonID), string(m.Type), m.Subject, m.Message, m.CreatedAt, shownID(fact.FactID, m.Cause),
	}
}
