package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Person is a person as it stands. Methods name people by their ids or by the
// external ids that they were reported under.
type Person struct {
	ID          string          `json:"id"`
	ExternalID  string          `json:"external_id,omitempty"` // "": the person came by a dialect's API
	Scheme      string          `json:"scheme"`                // whose name Key is: "native" or a dialect
	Key         string          `json:"key"`
	Version     int64           `json:"version"`
	Account     string          `json:"account,omitempty"`
	Email       string          `json:"email,omitempty"`
	FirstName   string          `json:"first_name,omitempty"`
	LastName    string          `json:"last_name,omitempty"`
	Locale      string          `json:"locale,omitempty"`
	Country     string          `json:"country,omitempty"`
	ImageURL    string          `json:"image_url,omitempty"`
	Fields      json.RawMessage `json:"fields,omitempty"`
	Unreferable bool            `json:"unreferable,omitempty"` // takes part in no program
	BlockedAt   time.Time       `json:"blocked_at,omitzero"`   // zero: is not blocked
	DeletedAt   time.Time       `json:"deleted_at,omitzero"`   // zero: was not forgotten
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// Profile is a person with what programs know of them.
type Profile struct {
	Person
	Codes     []Code     `json:"codes"`     // of each program the one that is shown
	Referrals []Referral `json:"referrals"` // by which the person came
}

// Code is a code with the program that it is for.
type Code struct {
	Text       string    `json:"code"`
	ProgramID  string    `json:"program_id"`
	ProgramKey string    `json:"program_key"`
	PersonID   string    `json:"person_id"`
	CreatedAt  time.Time `json:"created_at"`
	Disabled   bool      `json:"disabled,omitempty"` // nobody is credited for it any more
}

// Identity is a name that a person has: a scheme, such as "native" or "saasquatch",
// and a key in it.
type Identity struct {
	Scheme string `json:"scheme"`
	Key    string `json:"key"`
}

// PersonReport is what is said about a person. What is nil stays as it is.
type PersonReport struct {
	Account     *string           `json:"account,omitempty"` // to "": none
	Email       *string           `json:"email,omitempty"`
	FirstName   *string           `json:"first_name,omitempty"`
	LastName    *string           `json:"last_name,omitempty"`
	Locale      *string           `json:"locale,omitempty"`
	Country     *string           `json:"country,omitempty"`
	ImageURL    *string           `json:"image_url,omitempty"`
	Fields      json.RawMessage   `json:"fields,omitempty"` // replaces what there is
	Unreferable *bool             `json:"unreferable,omitempty"`
	Codes       map[string]string `json:"codes,omitempty"`       // the codes that the person is to have, by the program's key
	ReferredBy  []string          `json:"referred_by,omitempty"` // the codes by which the person came; one that there is not is refused
	Cookies     []string          `json:"cookies,omitempty"`     // of share links that the browser came by; what there is not is ignored
	Device      string            `json:"device,omitempty"`      // the browser's cookie: its whole value, or an id of your own for the device
	IP          string            `json:"ip,omitempty"`          // where the person's own request came from
	Converted   bool              `json:"converted,omitempty"`   // what the programs ask for was done already
}

// Activity is something that a person did.
type Activity struct {
	ID         string          `json:"id"`
	Key        string          `json:"key,omitempty"` // the reporter's; "": none
	Type       string          `json:"type"`
	PersonID   string          `json:"person_id"`
	Fields     json.RawMessage `json:"fields,omitempty"`
	OccurredAt time.Time       `json:"occurred_at"`
	ReceivedAt time.Time       `json:"received_at"`
	FactID     string          `json:"fact_id,omitempty"`  // that it was reported: undoing that takes back what it led to
	UndoneAt   time.Time       `json:"undone_at,omitzero"` // zero: it counts
}

// NewActivity is an activity to report. Type is required.
type NewActivity struct {
	Key        string          `json:"key,omitempty"` // "": each report is another activity
	Type       string          `json:"type"`
	Fields     json.RawMessage `json:"fields,omitempty"`
	OccurredAt time.Time       `json:"occurred_at,omitzero"` // zero: now
}

// ReportedActivity is what became of a report.
type ReportedActivity struct {
	Activity
	Replayed bool `json:"replayed"` // it was stored before, and nothing has changed
}

// Chapter is something in a person's story. Kind says which of the others is there.
type Chapter struct {
	Kind     string    `json:"kind"` // "fact", "activity", "referral", "reward", "touch" or "message"
	At       time.Time `json:"at"`
	Fact     *Fact     `json:"fact,omitempty"`
	Activity *Activity `json:"activity,omitempty"`
	Referral *Referral `json:"referral,omitempty"`
	Reward   *Reward   `json:"reward,omitempty"`
	Touch    *Touch    `json:"touch,omitempty"`
	Message  *Message  `json:"message,omitempty"`
}

// Touch is a sign that somebody has sent a person.
type Touch struct {
	ID        string    `json:"id"`
	ProgramID string    `json:"program_id"`
	Code      string    `json:"code,omitempty"`
	Method    string    `json:"method"`           // "code", "cookie", "link" or "manual"
	Device    string    `json:"device,omitempty"` // the browser's cookie
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	URL       string    `json:"url,omitempty"` // the referring page
	At        time.Time `json:"at"`
}

// Account is where an account stands.
type Account struct {
	Key      string          `json:"key"`
	State    AccountState    `json:"state"` // "": nothing was said of it
	Currency string          `json:"currency,omitempty"`
	Details  json.RawMessage `json:"details,omitempty"`
	// ReferredBy is the code by which its people came; "": none was said.
	ReferredBy string    `json:"referred_by,omitempty"`
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"created_at,omitzero"`
	UpdatedAt  time.Time `json:"updated_at,omitzero"`
}

// AccountState is where an account stands with you.
type AccountState string

// The states of an account.
const (
	AccountTrial     AccountState = "trial"
	AccountFree      AccountState = "free"
	AccountPaid      AccountState = "paid"
	AccountCancelled AccountState = "cancelled"
)

// AccountReport is what is said about an account. State is required.
type AccountReport struct {
	State      AccountState    `json:"state"`
	Currency   string          `json:"currency,omitempty"`
	Details    json.RawMessage `json:"details,omitempty"`
	ReferredBy string          `json:"referred_by,omitempty"` // a code by which its people came
}

// AccountWithPeople is an account with who belongs to it, at most a thousand.
type AccountWithPeople struct {
	Account
	People []Person `json:"people"`
}

// CodeOwner is a code with whose it is.
type CodeOwner struct {
	Code
	Person Person `json:"person"`
}

// Links are the share links of a code.
type Links struct {
	Code       string            `json:"code"`
	ProgramKey string            `json:"program_key"`
	URL        string            `json:"url"`
	Shares     map[string]string `json:"shares"` // by the way by which they are sent, such as "EMAIL"
}

// ReportPerson creates a person, or changes what is given and differs. Repeating it
// changes nothing.
func (c *Client) ReportPerson(ctx context.Context, person string, r PersonReport) (Profile, error) {
	return one[Profile](ctx, c, call{method: http.MethodPut, path: path("/v1/people/", person), body: r})
}

// People returns a page of the people, the newest first; or of those whose e-mail
// address, first name, last name or whole name begins with the search, or whose code,
// account or id it is.
func (c *Client) People(ctx context.Context, search string, page Page) (List[Profile], error) {
	query := url.Values{}
	set(query, "search", search)
	return list[Profile](ctx, c, "/v1/people", query, page)
}

// AllPeople goes through all people that a search finds; "": all that there are.
func (c *Client) AllPeople(ctx context.Context, search string) iter.Seq2[Profile, error] {
	return all(func(p Page) (List[Profile], error) { return c.People(ctx, search, p) })
}

// Person returns a person.
func (c *Client) Person(ctx context.Context, person string) (Profile, error) {
	return one[Profile](ctx, c, call{method: http.MethodGet, path: path("/v1/people/", person)})
}

// BlockPerson has a person take part in nothing, until UnblockPerson.
func (c *Client) BlockPerson(ctx context.Context, person string) (Person, error) {
	return one[Person](ctx, c, call{method: http.MethodPost, path: path("/v1/people/", person, "/block")})
}

// UnblockPerson takes back what BlockPerson has done.
func (c *Client) UnblockPerson(ctx context.Context, person string) (Person, error) {
	return one[Person](ctx, c, call{method: http.MethodPost, path: path("/v1/people/", person, "/unblock")})
}

// DeletePerson forgets a person, for good. The external id is free afterwards; with
// ForgetPersonForEver it is not.
func (c *Client) DeletePerson(ctx context.Context, person string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/people/", person)}, nil)
	return err
}

// ForgetPersonForEver forgets a person, and has nobody be known by the external id
// again.
func (c *Client) ForgetPersonForEver(ctx context.Context, person string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/people/", person), query: url.Values{"remember": {"true"}}}, nil)
	return err
}

// Identities returns by what a person is known, the first name first.
func (c *Client) Identities(ctx context.Context, person string) ([]Identity, error) {
	return c.identities(ctx, call{method: http.MethodGet, path: path("/v1/people/", person, "/identities")})
}

// AddIdentity has a person be known by a further name, and returns all that there
// are. A name that somebody else has is refused.
func (c *Client) AddIdentity(ctx context.Context, person string, as Identity) ([]Identity, error) {
	return c.identities(ctx, call{method: http.MethodPost, path: path("/v1/people/", person, "/identities"), body: as})
}

func (c *Client) identities(ctx context.Context, of call) ([]Identity, error) {
	answer, err := one[struct {
		Identities []Identity `json:"identities"`
	}](ctx, c, of)
	return answer.Identities, err
}

// RemoveIdentity has a person be known by a name no more.
func (c *Client) RemoveIdentity(ctx context.Context, person string, as Identity) error {
	query := url.Values{"scheme": {as.Scheme}, "key": {as.Key}}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/people/", person, "/identities"), query: query}, nil)
	return err
}

// ReferPerson says by whose code a person came, as you decide it.
func (c *Client) ReferPerson(ctx context.Context, person, code string) (Referral, error) {
	body := map[string]string{"code": code}
	return one[Referral](ctx, c, call{method: http.MethodPost, path: path("/v1/people/", person, "/referral"), body: body})
}

// ReportActivities stores 1 to 100 activities of a person with what follows from
// them, all of them or none. One with a key can be repeated as it is.
func (c *Client) ReportActivities(ctx context.Context, person string, activities []NewActivity) ([]ReportedActivity, error) {
	answer, err := one[struct {
		Activities []ReportedActivity `json:"activities"`
	}](ctx, c, call{
		method: http.MethodPost, path: path("/v1/people/", person, "/activities"), body: map[string]any{"activities": activities},
	})
	return answer.Activities, err
}

// Activities returns a page of what a person did, the latest first.
func (c *Client) Activities(ctx context.Context, person string, page Page) (List[Activity], error) {
	return list[Activity](ctx, c, path("/v1/people/", person, "/activities"), url.Values{}, page)
}

// AllActivities goes through all that a person did.
func (c *Client) AllActivities(ctx context.Context, person string) iter.Seq2[Activity, error] {
	return all(func(p Page) (List[Activity], error) { return c.Activities(ctx, person, p) })
}

// Story returns a page of everything about a person: what was written down last
// comes first.
func (c *Client) Story(ctx context.Context, person string, page Page) (List[Chapter], error) {
	return list[Chapter](ctx, c, path("/v1/people/", person, "/story"), url.Values{}, page)
}

// AllStory goes through everything about a person.
func (c *Client) AllStory(ctx context.Context, person string) iter.Seq2[Chapter, error] {
	return all(func(p Page) (List[Chapter], error) { return c.Story(ctx, person, p) })
}

// Links returns a person's share links, for each code. engagement says where they
// are shown, such as "EMAIL"; "": HOSTED.
func (c *Client) Links(ctx context.Context, person, engagement string) ([]Links, error) {
	query := url.Values{}
	set(query, "engagement", engagement)
	answer, err := one[struct {
		Links []Links `json:"links"`
	}](ctx, c, call{method: http.MethodGet, path: path("/v1/people/", person, "/links"), query: query})
	return answer.Links, err
}

// Code says whose code it is, however it is written.
func (c *Client) Code(ctx context.Context, code string) (CodeOwner, error) {
	return one[CodeOwner](ctx, c, call{method: http.MethodGet, path: path("/v1/codes/", code)})
}

// DisableCode has nobody be credited for a code any more, until EnableCode; its links
// answer 404.
func (c *Client) DisableCode(ctx context.Context, code string) (CodeOwner, error) {
	return one[CodeOwner](ctx, c, call{method: http.MethodPost, path: path("/v1/codes/", code, "/disable")})
}

// EnableCode takes back what DisableCode has done.
func (c *Client) EnableCode(ctx context.Context, code string) (CodeOwner, error) {
	return one[CodeOwner](ctx, c, call{method: http.MethodPost, path: path("/v1/codes/", code, "/enable")})
}

// SetAccount says where an account stands, which converts or ends what its people
// were referred by.
func (c *Client) SetAccount(ctx context.Context, key string, r AccountReport) (Account, error) {
	return one[Account](ctx, c, call{method: http.MethodPut, path: path("/v1/accounts/", key), body: r})
}

// Account returns an account with its people.
func (c *Client) Account(ctx context.Context, key string) (AccountWithPeople, error) {
	return one[AccountWithPeople](ctx, c, call{method: http.MethodGet, path: path("/v1/accounts/", key)})
}
