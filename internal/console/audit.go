package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// actionView is something that can be done, in words.
type actionView struct {
	Action audit.Action
	Words  string
}

// actions are those that an application's entries can have, in the order in which
// they can be chosen.
var actions = []actionView{
	{audit.SubscriptionCreated, "Webhook added"},
	{audit.SubscriptionUpdated, "Webhook changed"},
	{audit.SubscriptionEnabled, "Webhook enabled"},
	{audit.SubscriptionDisabled, "Webhook disabled"},
	{audit.SubscriptionDeleted, "Webhook deleted"},
	{audit.SubscriptionSecretRotated, "Webhook's secret rotated"},
	{audit.SubscriptionSecretRevealed, "Webhook's secret shown"},
	{audit.DeliveryRetried, "Delivery retried"},
	{audit.EventBodyExpunged, "Event's body removed"},
	{audit.ReplayCreated, "Replay begun"},
	{audit.ReplayPaused, "Replay paused"},
	{audit.ReplayResumed, "Replay resumed"},
	{audit.ReplayCancelled, "Replay cancelled"},
	{audit.EventTypeRegistered, "Event type registered"},
	{audit.EventTypeArchived, "Event type archived"},
	{audit.KeyCreated, "Key created"},
	{audit.KeyRevoked, "Key revoked"},
	{audit.KeyRolled, "Key rolled"},
	{audit.SettingsChosen, "Dialects changed"},
	{audit.TenantCreated, "Application created"},
	{audit.TenantUpdated, "Application changed"},
}

// actionWords says what was done; what is not known here as it is.
func actionWords(a audit.Action) string {
	at := slices.IndexFunc(actions, func(known actionView) bool { return known.Action == a })
	if at < 0 {
		return visible(string(a))
	}
	return actions[at].Words
}

// entryView is how an audit entry is shown.
type entryView struct {
	At         time.Time
	What       string
	Object     string
	ObjectPath string // "": it has no page
	Who        string
	From       string // an address, and the way in; "": the server itself
	Fields     []audit.Field
}

func viewEntry(t tenant.Tenant, e audit.Entry) entryView {
	return entryView{
		At: e.At, What: actionWords(e.Action), Object: e.ObjectID, ObjectPath: objectPath(t, e), Who: actorWords(e.Actor),
		From: fromWords(e.Actor), Fields: e.Fields,
	}
}

// actorWords says who it was.
func actorWords(a audit.Actor) string {
	switch a.Kind {
	case audit.Operator:
		return "the operator"
	case audit.Key:
		return strings.TrimSpace("key "+a.KeyName) + " (" + a.KeyHint + "…)"
	case audit.Command:
		return "a command on the server's machine"
	case audit.System:
		return "the server itself"
	}
	return string(a.Kind)
}

// fromWords says where an actor came from.
func fromWords(a audit.Actor) string {
	var parts []string
	if a.Address.IsValid() {
		parts = append(parts, a.Address.String())
	}
	switch a.Via {
	case "":
	case audit.ViaAPI:
		parts = append(parts, "by the API")
	case audit.ViaConsole:
		parts = append(parts, "at the console")
	default:
		parts = append(parts, "by the API of "+a.Via)
	}
	return strings.Join(parts, ", ")
}

// objectPath returns where the thing is shown that was changed. What was deleted
// since is not found there.
func objectPath(t tenant.Tenant, e audit.Entry) string {
	if e.Action == audit.SubscriptionDeleted {
		return ""
	}
	switch e.ObjectKind() {
	case "subscription":
		if sub, err := id.Subscription.Parse(e.ObjectID); err == nil {
			return webhookPath(t, sub)
		}
	case "delivery":
		if event, sub, err := id.Delivery.ParsePair(e.ObjectID); err == nil {
			return deliveryPath(t, event, sub)
		}
	case "replay":
		if replay, err := id.Job.Parse(e.ObjectID); err == nil {
			return replayPath(t, replay)
		}
	case "event_type":
		return eventTypePath(t, e.ObjectID)
	}
	return ""
}

// auditPage lists audit entries, the newest first.
type auditPage struct {
	frame
	Action  string // the one that is asked for; "": all
	Entries []entryView
	First   string // the address of the newest ones; "": this is it
	Next    string // "": this is the last page
}

// Actions returns the actions that can be chosen, with the one that is.
func (p auditPage) Actions() []actionView {
	chosen := audit.Action(p.Action)
	if chosen == "" || slices.ContainsFunc(actions, func(known actionView) bool { return known.Action == chosen }) {
		return actions
	}
	return append(slices.Clone(actions), actionView{chosen, actionWords(chosen)})
}

func (c *Console) showAudit(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	page := auditPage{frame: v.frame("Audit").tab("audit"), Action: q.Get("action")}
	var before id.ID
	if cursor := q.Get(cursorParameter); cursor != "" {
		var err error
		if before, err = audit.EntryID.Parse(cursor); err != nil {
			return errNoPage
		}
		page.First = auditPath(v.application) + "?" + url.Values{"action": {page.Action}}.Encode()
	}
	filter := audit.Filter{TenantID: v.application.ID, Action: audit.Action(page.Action)}
	entries, next, err := c.audit.Entries(r.Context(), filter, audit.Page{Limit: entriesShown, Before: before})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Actor.Kind == audit.Operator && !v.principal.Admin {
			e.Actor.Address = audit.Actor{}.Address // no business of a tenant's
		}
		page.Entries = append(page.Entries, viewEntry(v.application, e))
	}
	if !next.IsZero() {
		page.Next = withParameter(r, cursorParameter, audit.EntryID.Format(next))
	}
	return c.render(w, http.StatusOK, "audit", page)
}
