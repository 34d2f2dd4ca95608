package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// eventTypeView is how a version of an application's own event type is shown.
type eventTypeView struct {
	Name        string
	Path        string
	Version     int
	Description string
	Schema      string // "": any data fits
	Sample      string // "": none
	CreatedAt   time.Time
}

func viewEventType(t tenant.Tenant, of webhook.EventType) eventTypeView {
	return eventTypeView{
		Name: of.Name, Path: eventTypePath(t, of.Name), Version: of.Version, Description: of.Description,
		Schema: indented(of.Schema), Sample: indented(of.Sample), CreatedAt: of.CreatedAt,
	}
}

// indented returns JSON in a form to be read, and anything else as it is.
func indented(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// eventTypesPage lists an application's own event types by their names.
type eventTypesPage struct {
	frame
	Types []eventTypeView
	First string // the address of the first ones; "": this is it
	Next  string // "": this is the last page
}

func (c *Console) showEventTypes(w http.ResponseWriter, r *http.Request, v *visit) error {
	names, err := c.webhooks.EventTypeNames(r.Context(), v.application.ID)
	if err != nil {
		return err
	}
	page := eventTypesPage{frame: v.frame("Event types").tab("event-types")}
	if after := r.URL.Query().Get(cursorParameter); after != "" {
		names = slices.DeleteFunc(names, func(name string) bool { return name <= after })
		page.First = eventTypesPath(v.application)
	}
	if len(names) > eventTypesShown {
		names = names[:eventTypesShown]
		page.Next = withParameter(r, cursorParameter, names[eventTypesShown-1])
	}
	types, err := c.webhooks.EventTypes(r.Context(), v.application.ID, names)
	if err != nil {
		return err
	}
	for _, t := range types {
		page.Types = append(page.Types, viewEventType(v.application, t))
	}
	return c.render(w, http.StatusOK, "event-types", page)
}

// maxVersionsShown is how many versions of a type are shown: a schema may be long.
const maxVersionsShown = 10

// eventTypePage shows one type with its versions, the newest first.
type eventTypePage struct {
	frame
	Name       string
	ArchivedAt time.Time // zero: it is registered
	Versions   []eventTypeView
	Earlier    int // versions that are not shown
}

func (c *Console) showEventType(w http.ResponseWriter, r *http.Request, v *visit) error {
	versions, err := c.webhooks.EventTypeVersions(r.Context(), v.application.ID, r.PathValue("type"))
	if err != nil {
		return err
	}
	page := eventTypePage{
		frame: v.frame("Event type").tab("event-types"), Name: versions[0].Name, ArchivedAt: versions[0].ArchivedAt,
		Earlier: max(len(versions)-maxVersionsShown, 0),
	}
	for _, t := range versions[:len(versions)-page.Earlier] {
		page.Versions = append(page.Versions, viewEventType(v.application, t))
	}
	return c.render(w, http.StatusOK, "event-type", page)
}
