package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// draft is a webhook that is being typed.
type draft struct {
	Dialect  string
	URL      string
	User     string
	Password string // never sent back to the page
	Headers  []headerRow
	All      bool            // every event of the dialect
	Chosen   map[string]bool // of the catalogue
	Own      string          // further event types, one a line

	// Only is what events are restricted to, by the field of the envelope; "":
	// they are not. By the field, since that of one dialect is none of another's.
	Only map[string]string
}

// headerRow is a line of the headers. An empty one counts as none.
type headerRow struct{ Name, Value string }

// onlyParameter begins the name of the value that a field is restricted to.
const onlyParameter = "only."

// maxHeaderRows is as many as a webhook may have.
const maxHeaderRows = 20

// readDraft reads the form as it was sent.
func readDraft(form url.Values) draft {
	d := draft{
		Dialect: form.Get("dialect"), URL: strings.TrimSpace(form.Get("url")),
		User: form.Get("user"), Password: form.Get("password"),
		All: form.Get("scope") == "all", Chosen: make(map[string]bool), Own: form.Get("own"), Only: make(map[string]string),
	}
	for name := range form {
		if field, ok := strings.CutPrefix(name, onlyParameter); ok {
			d.Only[field] = strings.TrimSpace(form.Get(name))
		}
	}
	for _, name := range form["event"] {
		d.Chosen[name] = true
	}
	values := form["header_value"]
	for i, name := range form["header_name"] {
		row := headerRow{Name: strings.TrimSpace(name)}
		if i < len(values) {
			row.Value = strings.TrimSpace(values[i])
		}
		if i < maxHeaderRows {
			d.Headers = append(d.Headers, row)
		}
	}
	return d
}

// ownTypes returns the lines of the further event types that have one.
func (d draft) ownTypes() []string {
	var types []string
	for line := range strings.Lines(d.Own) {
		if line = strings.TrimSpace(line); line != "" {
			types = append(types, line)
		}
	}
	return types
}

// eventTypes returns what is subscribed to, in the order of the catalogue, then
// of the lines. So a mistake can be told by its place.
func (d draft) eventTypes(catalogue []wire.EventType) []string {
	if d.All {
		return []string{webhook.AllTypes}
	}
	var types []string
	for _, t := range catalogue {
		if d.Chosen[t.Name] {
			types = append(types, t.Name)
		}
	}
	return append(types, d.ownTypes()...)
}

// mistakes are what is wrong with a form, by the name of the field.
type mistakes map[string]string

// headers returns the headers by their names. A name that stands there twice is
// a mistake, which the map would hide.
func (d draft) headers(wrong mistakes) map[string]string {
	headers := make(map[string]string)
	for i, row := range d.Headers {
		if row == (headerRow{}) {
			continue
		}
		if _, ok := headers[row.Name]; ok {
			wrong[headerField(i)] = "This header is there twice."
		}
		headers[row.Name] = row.Value
	}
	return headers
}

func headerField(i int) string { return "header-" + strconv.Itoa(i) }

// auth returns basic authentication if anything of it was typed.
func (d draft) auth() webhook.Auth {
	if d.User == "" && d.Password == "" {
		return webhook.Auth{}
	}
	return webhook.Auth{Type: webhook.BasicAuth, Username: d.User, Password: d.Password}
}

// noteRefusal sorts what the service found wrong to the fields of the form.
func (p dialogPage) noteRefusal(refusal *problem.Error) {
	d, wrong, chosen := p.Draft, p.Wrong, p.chosen()
	for _, f := range refusal.Fields {
		field, label := "form", f.Name
		switch {
		case f.Name == "url":
			field, label = "url", "The URL"
			if !startsLower(f.Message) { // the guard says a whole sentence
				label = ""
			}
		case f.Name == "dialect":
			field, label = "dialect", "The dialect"
		case f.Name == "auth.username":
			field, label = "user", "The user id"
		case f.Name == "auth.password":
			field, label = "password", "The password"
		case f.Name == "filter":
			field, label = "only", "The "+p.Only.Field
		case f.Name == "event_types":
			field, label = "events", "The choice"
		case strings.HasPrefix(f.Name, "event_types["):
			field, label = eventField(f.Name, chosen)
		case f.Name == "headers":
			field, label = "headers", "One header"
		case strings.HasPrefix(f.Name, "headers."):
			field, label = d.headerOf(strings.TrimPrefix(f.Name, "headers.")), "This header"
		}
		if _, ok := wrong[field]; !ok {
			wrong[field] = sentence(strings.TrimSpace(label + " " + f.Message))
		}
	}
}

func startsLower(text string) bool { return text != "" && text[0] >= 'a' && text[0] <= 'z' }

// headerOf returns the field of the header's row.
func (d draft) headerOf(lower string) string {
	i := slices.IndexFunc(d.Headers, func(row headerRow) bool { return strings.ToLower(row.Name) == lower })
	if i < 0 {
		return "headers"
	}
	return headerField(i)
}

// eventField returns the field of an event type by its place, of which so many
// are chosen from the catalogue.
func eventField(name string, chosen int) (string, string) {
	place, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "event_types["), "]"))
	if err != nil || place < chosen {
		return "events", "One of them"
	}
	return "own", fmt.Sprintf("Number %d", place-chosen+1)
}

// dialogPage is the page on which a webhook is made.
type dialogPage struct {
	frame
	Draft    draft
	Dialects []string
	Manner   manner
	Only     restriction
	Families []family
	TakesOwn bool
	Wrong    mistakes
	Retype   bool // a password was typed, and has to be once more
	Outcome  *outcome
	Focus    string // what is looked at first
}

// Lines returns the mistakes in the order of the form.
func (p dialogPage) Lines() []mistake {
	var lines []mistake
	add := func(field string) {
		if text := p.Wrong[field]; text != "" {
			lines = append(lines, mistake{field, text})
		}
	}
	for _, field := range []string{"form", "dialect", "url", "user", "password", "headers"} {
		add(field)
	}
	for i := range p.Draft.Headers {
		add(headerField(i))
	}
	add("only")
	add("events")
	add("own")
	return lines
}

// chosen counts the events that are chosen from the catalogue.
func (p dialogPage) chosen() int {
	n := 0
	for _, f := range p.Families {
		for _, e := range f.Events {
			if e.Chosen {
				n++
			}
		}
	}
	return n
}

type mistake struct{ Field, Text string }

// HeaderWrong returns what is wrong with a row of the headers.
func (p dialogPage) HeaderWrong(i int) string { return p.Wrong[headerField(i)] }

// LastHeader reports whether the row is the last one.
func (p dialogPage) LastHeader(i int) bool { return i == len(p.Draft.Headers)-1 }

// dialog returns the page for what was typed, and the dialect that it means.
func (c *Console) dialog(ctx context.Context, v *visit, d draft) (dialogPage, wire.Dialect, error) {
	spoken := dialectsOf(v.application)
	dialect := spoken[0]
	page := dialogPage{frame: v.frame("Add a webhook").tab("webhooks"), Wrong: make(mistakes), Focus: "url"}
	for _, known := range spoken {
		page.Dialects = append(page.Dialects, known.Name())
		if known.Name() == d.Dialect {
			dialect = known
		}
	}
	if d.Dialect != "" && d.Dialect != dialect.Name() {
		page.Wrong["dialect"] = "This is not a dialect that is spoken here."
	}
	d.Dialect = dialect.Name()
	if len(d.Headers) == 0 {
		d.Headers = []headerRow{{}}
	}
	page.Retype, d.Password = d.Password != "", ""
	page.Draft = d
	page.Only = restrictionOf(dialect, d.Only)
	page.Families = familiesOf(catalogueOf(dialect), d.Chosen)
	page.TakesOwn = takesOwnTypes(dialect)
	var err error
	page.Manner, err = c.mannerOf(ctx, v, dialect)
	return page, dialect, err
}

func (c *Console) showDialog(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, _, err := c.dialog(r.Context(), v, draft{Dialect: r.URL.Query().Get("dialect")})
	if err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "dialog", page)
}

// submitDialog does what the button that was pressed says, and shows the form
// again with what was typed, unless the webhook is made.
func (c *Console) submitDialog(w http.ResponseWriter, r *http.Request, v *visit) error {
	typed := readDraft(r.PostForm)
	page, dialect, err := c.dialog(r.Context(), v, typed)
	if err != nil {
		return err
	}
	switch r.PostForm.Get("do") {
	case "events":
		page.Focus = "events"
		return c.render(w, http.StatusOK, "dialog", page)
	case "header":
		if len(page.Draft.Headers) < maxHeaderRows {
			page.Draft.Headers = append(page.Draft.Headers, headerRow{})
		}
		page.Focus = "header"
		return c.render(w, http.StatusOK, "dialog", page)
	case "test":
		return c.testDraft(w, r, v, submission{page, typed, dialect})
	default:
		return c.saveDraft(w, r, v, submission{page, typed, dialect})
	}
}

// submission is a form that is to be tested or saved.
type submission struct {
	page    dialogPage
	typed   draft
	dialect wire.Dialect
}

// build returns what the service is asked with; what only the form can get wrong
// is noted on the page.
func (s submission) build(confirm webhook.ConfirmFunc, eventTypes []string) webhook.Draft {
	return webhook.Draft{
		Dialect: s.dialect.Name(), URL: s.typed.URL, EventTypes: eventTypes, Filter: s.page.Only.filter(),
		Headers: s.typed.headers(s.page.Wrong), Auth: s.typed.auth(), Confirm: confirm,
	}
}

// testDraft sends the dialect's test event to what was typed, whatever events
// are chosen.
func (c *Console) testDraft(w http.ResponseWriter, r *http.Request, v *visit, s submission) error {
	asked := s.build(c.confirm(v), []string{webhook.AllTypes})
	if len(s.page.Wrong) > 0 {
		return c.showMistakes(w, r, s.page, nil)
	}
	attempt, err := c.webhooks.TestDraft(r.Context(), v.application.ID, asked)
	if err != nil {
		return c.showMistakes(w, r, s.page, err)
	}
	s.page.Outcome, s.page.Focus = outcomeOf(attempt, s.dialect), "outcome"
	return c.render(w, http.StatusOK, "dialog", s.page)
}

func (c *Console) saveDraft(w http.ResponseWriter, r *http.Request, v *visit, s submission) error {
	types := s.typed.eventTypes(catalogueOf(s.dialect))
	asked := s.build(c.confirm(v), types)
	if len(types) == 0 {
		s.page.Wrong["events"] = "Choose at least one event, or all events."
		asked.EventTypes = []string{webhook.AllTypes} // to hear of all other mistakes at once
		asked.Confirm = func(context.Context) error { return errIncomplete }
	}
	if len(s.page.Wrong) > 0 {
		asked.Confirm = func(context.Context) error { return errIncomplete }
	}
	sub, err := c.webhooks.CreateSubscription(r.Context(), v.application.ID, asked)
	if err != nil {
		return c.showMistakes(w, r, s.page, err)
	}
	_ = c.sessions.Made(r.Context(), v.session, sub.ID) // else its secret is a button away
	seeOther(w, r, webhookPath(v.application, sub.ID))
	return nil
}

// errIncomplete keeps a webhook from being made that the form alone refuses.
var errIncomplete = problem.Invalid.New("some of the form is not valid")

// showMistakes shows the form with what is wrong. Every refusal is shown in it,
// so that nothing that was typed is lost, unless the session or the application
// has ended.
func (c *Console) showMistakes(w http.ResponseWriter, r *http.Request, page dialogPage, err error) error {
	if errors.Is(err, errSignedOut) || problem.NotFound.Has(err) {
		return err
	}
	status := problem.Invalid.Status
	if err != nil {
		refusal := c.refusal(r, err)
		status = refusal.Code.Status
		page.noteRefusal(refusal)
		if len(page.Wrong) == 0 {
			page.Wrong["form"] = sentence(refusal.Detail)
		}
	}
	page.Title, page.Focus = "Mistakes: "+page.Title, "mistakes"
	return c.render(w, status, "dialog", page)
}
