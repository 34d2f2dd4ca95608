package rehook

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// pageSize is how many webhooks a page of the list has.
const pageSize = 50

// webhookJSON is how a subscription is shown: with its secrets masked.
type webhookJSON struct {
	ID        string            `json:"id"` // as in the native API
	URL       string            `json:"url"`
	Events    []string          `json:"events"`     // or "*" alone
	BasicAuth *basicAuthJSON    `json:"basic_auth"` // null: none
	Headers   map[string]string `json:"headers"`
	Enabled   bool              `json:"enabled"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
}

type basicAuthJSON struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func show(sub *webhook.Subscription) webhookJSON {
	shown := webhookJSON{
		ID: id.Subscription.Format(sub.ID), URL: sub.URL, Events: sub.EventTypes, Headers: make(map[string]string, len(sub.Headers)),
		Enabled: sub.Enabled, CreatedAt: sub.CreatedAt, UpdatedAt: sub.UpdatedAt,
	}
	if sub.Auth.Type == webhook.BasicAuth {
		shown.BasicAuth = &basicAuthJSON{sub.Auth.Username, webhook.Masked}
	}
	for _, h := range sub.Headers {
		shown.Headers[h.Name] = webhook.Masked
	}
	return shown
}

// changeJSON is what a client says of a webhook; nil: nothing was said.
type changeJSON struct {
	URL       *string            `json:"url"`
	Events    *[]string          `json:"events"`
	BasicAuth authJSON           `json:"basic_auth"`
	Headers   *map[string]string `json:"headers"`
}

// authJSON tells a basic_auth that is null, which stands for none, from one that
// is not there.
type authJSON struct{ said *webhook.Auth }

var _ json.Unmarshaler = (*authJSON)(nil)

// UnmarshalJSON reads a basic_auth that is there.
func (a *authJSON) UnmarshalJSON(b []byte) error {
	var pair *basicAuthJSON
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	a.said = &webhook.Auth{}
	if pair != nil {
		*a.said = webhook.Auth{Type: webhook.BasicAuth, Username: pair.Username, Password: pair.Password}
	}
	return nil
}

// draft is a subscription of what was said.
func (c changeJSON) draft(confirm webhook.ConfirmFunc) webhook.Draft {
	d := webhook.Draft{Dialect: name, Confirm: confirm}
	if c.URL != nil {
		d.URL = *c.URL
	}
	if c.Events != nil {
		d.EventTypes = *c.Events
	}
	if c.BasicAuth.said != nil {
		d.Auth = *c.BasicAuth.said
	}
	if c.Headers != nil {
		d.Headers = *c.Headers
	}
	return d
}

// patch is a change to a subscription.
func (c changeJSON) patch(confirm webhook.ConfirmFunc) webhook.Patch {
	return webhook.Patch{URL: c.URL, EventTypes: c.Events, Headers: c.Headers, Auth: c.BasicAuth.said, Confirm: confirm}
}

// testJSON is what came of a test. It succeeds with 200 only, which is what
// Rehook's own test asks for.
type testJSON struct {
	Success bool    `json:"success"`
	Status  int     `json:"status"` // 0: there was no answer
	TimeMS  float64 `json:"time_ms"`
	Body    string  `json:"body"`  // its first KiB
	Error   string  `json:"error"` // why it did not succeed
}

const maxTestBody = 1 << 10

func showTest(a webhook.Attempt) testJSON {
	shown := testJSON{
		Success: a.ResponseStatus == http.StatusOK && a.Verdict == wire.Delivered,
		Status:  a.ResponseStatus,
		TimeMS:  edge.Milliseconds(a.Timing.Total),
		Body:    strings.ToValidUTF8(string(a.Body[:min(len(a.Body), maxTestBody)]), "\uFFFD"),
	}
	if !shown.Success {
		shown.Error = cmp.Or(a.Error, "the endpoint did not answer with 200")
	}
	return shown
}

// list answers with one page, the oldest first, so that what is made meanwhile
// moves nothing from one page to another.
func (a *api) list(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	number := 1
	if text := c.Request.URL.Query().Get("page"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 1 {
			return dialect.Answer{}, problem.InvalidField("page", "must be a whole number from 1")
		}
	}
	subs, err := a.subs.All(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return dialect.Answer{}, err
	}
	from := min(number-1, len(subs)/pageSize+1) * pageSize // a product that can't overflow
	page := subs[min(from, len(subs)):min(from+pageSize, len(subs))]
	shown := make([]webhookJSON, len(page))
	for i, sub := range page {
		shown[i] = show(sub)
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

func (a *api) create(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var said changeJSON
	if err := c.Decode(&said); err != nil {
		return dialect.Answer{}, err
	}
	sub, err := a.subs.CreateSubscription(ctx, c.Principal.Tenant.ID, said.draft(c.Confirm))
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusCreated, Body: show(sub)}, nil
}

func (a *api) get(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.named(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: show(sub)}, nil
}

func (a *api) update(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.named(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	var said changeJSON
	if err := c.Decode(&said); err != nil {
		return dialect.Answer{}, err
	}
	if sub, err = a.subs.UpdateSubscription(ctx, sub.TenantID, sub.ID, said.patch(c.Confirm)); err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: show(sub)}, nil
}

func (a *api) delete(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.named(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if err := a.subs.DeleteSubscription(ctx, sub.TenantID, sub.ID); err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusNoContent}, nil
}

// test sends the dialect's test event to a webhook that is not saved. It is tried
// before its events are chosen, so it need not have any.
func (a *api) test(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var said changeJSON
	if err := c.Decode(&said); err != nil {
		return dialect.Answer{}, err
	}
	draft := said.draft(c.Confirm)
	if said.Events == nil {
		draft.EventTypes = []string{webhook.AllTypes}
	}
	attempt, err := a.subs.TestDraft(ctx, c.Principal.Tenant.ID, draft)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: showTest(attempt)}, nil
}

// named returns the subscription whose id is in the path.
func (a *api) named(ctx context.Context, c *dialect.Call) (*webhook.Subscription, error) {
	sub, err := id.Subscription.Parse(c.Path["id"])
	if err != nil {
		return nil, dialect.NoSubscription()
	}
	return a.subs.Own(ctx, c.Principal.Tenant.ID, sub)
}
