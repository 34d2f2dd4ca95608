package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// FactJSON is something that changed.
type FactJSON struct {
	ID         string          `json:"id" example:"fct_019a9c1d2f3b5e8d7c6a4f10"`
	Type       string          `json:"type" example:"referral.converted"`
	Subject    subjectJSON     `json:"subject" doc:"What has changed."`
	Version    int64           `json:"version,omitempty" doc:"Of the subject, after the change."`
	Cause      string          `json:"cause,omitempty" doc:"The fact that led to it; absent: somebody outside did."`
	Actor      string          `json:"actor" doc:"Who brought it about: key, person, rule, timer or job."`
	Data       json.RawMessage `json:"data,omitempty" doc:"The subject as it was then; absent: it was to be forgotten."`
	At         time.Time       `json:"at" doc:"When it took effect."`
	RecordedAt time.Time       `json:"recorded_at" doc:"When it was written down."`
	UndoneBy   string          `json:"undone_by,omitempty" doc:"The fact that took it back; absent: it holds."`
}

type subjectJSON struct {
	Kind string `json:"kind" example:"referral"`
	ID   string `json:"id" example:"ref_019a9c1d2f3b5e8d7c6a4f10"`
}

type traceJSON struct {
	FactJSON
	Effects []traceJSON `json:"effects" doc:"What it led to."`
	More    bool        `json:"more,omitempty" doc:"Whether it led to more than is shown: 500 facts are, those that are nearest."`
}

type factPath struct {
	ID string `path:"id" doc:"The fact's id."`
}

type factList struct {
	Paging
	Subject string `query:"subject" maxLength:"100" doc:"Facts about this person, referral, reward or activity, named by its id."`
}

type undoJSON struct {
	Reason string `json:"reason,omitempty" maxLength:"500" example:"The order was a test."`
	Depth  int    `json:"depth,omitempty" minimum:"1" maximum:"1000" doc:"How far down it goes: 1 takes back the fact alone, 2 also what it led to at once, and so on; absent: everything that it led to."`
}

func (s *server) factRoutes() {
	register(s, route{
		id: "list-facts", method: http.MethodGet, path: "/v1/facts", tag: tagFacts, access: canRead,
		summary: "List facts", description: "What changed in programs, the latest first.",
	}, s.listFacts)
	register(s, route{
		id: "get-fact", method: http.MethodGet, path: "/v1/facts/{id}", tag: tagFacts, access: canRead,
		summary: "Get a fact", description: "With what it led to.",
	}, s.getFact)
	register(s, route{
		id: "undo-fact", method: http.MethodPost, path: "/v1/facts/{id}/undo", tag: tagFacts, access: canManage,
		summary:     "Undo a fact",
		description: "Takes back what it led to, the latest first, and has happen what would have happened without it. The answer is the fact that says so; undoing that brings everything about again.",
		errors:      []*problem.Code{problem.Conflict}, example: `{"reason":"The order was a test."}`,
	}, s.undoFact)
}

func (s *server) listFacts(ctx context.Context, r request[factList, none]) (page[FactJSON], error) {
	p, err := r.params.before(fact.FactID)
	if err != nil {
		return page[FactJSON]{}, err
	}
	var about id.ID
	if r.params.Subject != "" {
		if about, err = parseSubject(r.params.Subject); err != nil || about.IsZero() {
			return page[FactJSON]{}, problem.InvalidField("query.subject", "is not the id of a person, a referral, a reward or an activity")
		}
	}
	facts, next, err := s.opts.Referrals.Facts(ctx, r.tenant.ID, about, p)
	return pageOf(facts, cursorOf(next, fact.FactID), showFact), err
}

// subjects are the kinds of ids of what facts are about.
var subjects = map[string]id.Kind{
	person.Subject: person.Kind, reward.WalletSubject: person.Kind, referral.Subject: referral.ReferralID, reward.Subject: reward.RewardID,
	activity.Subject: activity.ActivityID, "fact": fact.FactID, referral.MessageSubject: messageID, export.Subject: export.ExportID,
	message.ThemeSubject: id.Tenant,
}

func parseSubject(text string) (id.ID, error) {
	prefix, _, _ := strings.Cut(text, "_")
	for _, kind := range subjects {
		if string(kind) == prefix {
			return kind.Parse(text)
		}
	}
	return id.ID{}, problem.NotFound.New("there is no such thing")
}

func (s *server) getFact(ctx context.Context, r request[factPath, none]) (traceJSON, error) {
	of, err := r.params.parse()
	if err != nil {
		return traceJSON{}, err
	}
	trace, err := s.opts.Referrals.Trace(ctx, r.tenant.ID, of)
	if err != nil {
		return traceJSON{}, err
	}
	return showTrace(trace), nil
}

func (s *server) undoFact(ctx context.Context, r request[factPath, undoJSON]) (FactJSON, error) {
	of, err := r.params.parse()
	if err != nil {
		return FactJSON{}, err
	}
	undone, err := s.opts.Referrals.Undo(ctx, r.tenant.ID, fact.Undoing{Fact: of, Reason: r.body.Reason, Depth: r.body.Depth})
	if err != nil {
		return FactJSON{}, err
	}
	return showFact(undone), nil
}

func (p factPath) parse() (id.ID, error) {
	of, err := fact.FactID.Parse(p.ID)
	if err != nil {
		return id.ID{}, problem.NotFound.New("there is no such fact")
	}
	return of, nil
}

func showTrace(t *referral.Trace) traceJSON {
	return traceJSON{showFact(t.Fact), pageOf(t.Effects, "", showTrace).Data, t.More}
}

// showSubject names what a fact is about.
func showSubject(of fact.Ref) subjectJSON {
	if kind, ok := subjects[of.Kind]; ok {
		return subjectJSON{of.Kind, kind.Format(of.ID)}
	}
	return subjectJSON{of.Kind, of.ID.String()}
}

func showFact(f *fact.Fact) FactJSON {
	return FactJSON{
		ID: fact.FactID.Format(f.ID), Type: f.Type, Subject: showSubject(f.Subject), Version: f.Version,
		Cause: shownID(fact.FactID, f.Cause), Actor: string(f.Actor), Data: factData(f), At: f.At, RecordedAt: f.RecordedAt,
		UndoneBy: shownID(fact.FactID, f.UndoneBy),
	}
}

// factData shows the data of a fact as the API shows such things. What was to be
// forgotten is nil.
func factData(f *fact.Fact) json.RawMessage {
	raw, err := f.Raw()
	if err != nil || string(raw) == "{}" {
		return nil
	}
	kind, _, _ := strings.Cut(f.Type, ".")
	switch {
	case f.Type == reward.LimitReached:
		return reshaped(raw, showLimit)
	case kind == "person":
		return reshaped(raw, showPerson)
	case kind == "account":
		return reshaped(raw, showAccount)
	case kind == "activity":
		return reshaped(raw, showActivity)
	case kind == "referral":
		return reshaped(raw, showReferral)
	case kind == "reward":
		return reshaped(raw, showReward)
	case kind == "wallet":
		return reshaped(raw, showWalletChange)
	case kind == "code":
		return reshaped(raw, func(c *referral.Code) CodeJSON { return showCode(*c) })
	case kind == export.Subject:
		return reshaped(raw, showExport)
	case kind == "message":
		return reshaped(raw, showMessage)
	}
	return raw
}

// reshaped reads stored data and writes it as it is shown.
func reshaped[R, T any](raw json.RawMessage, show func(*R) T) json.RawMessage {
	of := new(R)
	if json.Unmarshal(raw, of) != nil {
		return nil
	}
	shown, err := json.Marshal(show(of))
	if err != nil {
		return nil
	}
	return shown
}

type walletChangeJSON struct {
	PersonID string `json:"person_id"`
	Unit     string `json:"unit"`
	Change   int64  `json:"change"`
	Balance  int64  `json:"balance"`
	RewardID string `json:"reward_id,omitempty"`
	Reason   string `json:"reason"`
}

func showWalletChange(c *reward.WalletChange) walletChangeJSON {
	return walletChangeJSON{shownPerson(c.PersonID), c.Unit, c.Change, c.Balance, shownID(reward.RewardID, c.RewardID), c.Reason}
}

type limitJSON struct {
	PersonID  string `json:"person_id"`
	ProgramID string `json:"program_id"`
	Rule      string `json:"rule"`
	Count     int64  `json:"count,omitempty"`
	Amount    int64  `json:"amount,omitempty"`
	Window    string `json:"window"`
	RewardID  string `json:"reward_id"`
	Notify    string `json:"notify,omitempty"`
}

func showLimit(l *reward.Limit) limitJSON {
	return limitJSON{shownPerson(l.PersonID), shownID(program.ProgramID, l.ProgramID), l.Rule, l.Count, l.Amount, l.Window, shownID(reward.RewardID, l.RewardID), l.Notify}
}

type messageJSON struct {
	ID       string `json:"id"`
	PersonID string `json:"person_id"`
	Type     string `json:"type"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
	Fallback string `json:"fallback,omitempty"`
}

func showMessage(m *referral.Message) messageJSON {
	return messageJSON{messageID.Format(m.ID), shownPerson(m.PersonID), m.Type, m.Subject, m.Message, m.Fallback}
}
