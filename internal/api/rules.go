package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// RuleSetJSON is one version of a program's rules.
type RuleSetJSON struct {
	Version   int64           `json:"version" doc:"From 1."`
	Rules     json.RawMessage `json:"rules" doc:"The list."`
	CreatedAt time.Time       `json:"created_at"`
}

type rulesJSON struct {
	Rules json.RawMessage `json:"rules" doc:"The whole list."`
}

type validationJSON struct {
	Valid  bool               `json:"valid"`
	Errors []invalidFieldJSON `json:"errors" doc:"Everything that is wrong, by its path below rules."`
}

type rulesQuery struct {
	ProgramPath
	Version int64 `query:"version" minimum:"1" doc:"Which version; absent: the one that holds."`
}

type dryRunJSON struct {
	Rules      json.RawMessage `json:"rules,omitempty" doc:"Rules to try; absent: those that the program has."`
	ActivityID string          `json:"activity_id,omitempty" minLength:"1" doc:"An activity that was reported; activity is absent then."`
	Activity   *dryRunOnJSON   `json:"activity,omitempty" doc:"Or one that could be."`
}

type dryRunOnJSON struct {
	Person     string          `json:"person" minLength:"1" maxLength:"512" doc:"Who would do it: an id or external id."`
	Type       string          `json:"type" example:"purchase" doc:"Or that of a fact to which rules listen: person.created, referral.started, referral.converted, account.paid and the other states."`
	Fields     json.RawMessage `json:"fields,omitempty" doc:"An object; of a fact absent."`
	OccurredAt *time.Time      `json:"occurred_at,omitempty" doc:"Absent: now."`
}

type dryRunAnswerJSON struct {
	Results []triedJSON `json:"results" doc:"Of each rule that listens to the activity, in their order."`
}

type triedJSON struct {
	Rule       string             `json:"rule" doc:"Its key."`
	Role       string             `json:"role" doc:"As what the person was asked about: referred, referrer or self."`
	Matched    bool               `json:"matched"`
	Reason     string             `json:"reason" doc:"matches, or the first reason for which it does not: wrong_actor, not_active, term_over, not_counted, if_false, no_amount, bad_amount, another_gives." example:"if_false"`
	Detail     string             `json:"detail,omitempty" doc:"The reason in a sentence, where the word does not say all."`
	If         *ruleConditionJSON `json:"if,omitempty" doc:"What came of its condition; absent: it has none, or was not asked."`
	ReferralID string             `json:"referral_id,omitempty" doc:"In which the person is referred."`
	PersonID   string             `json:"person_id,omitempty" doc:"Who would get what it gives; absent: nobody."`
	GaveBefore bool               `json:"gave_before,omitempty" doc:"It gives once, and has: it would not give again."`
	Effect     *ruleEffectJSON    `json:"effect,omitempty" doc:"What it would do; absent: nothing."`
	Limit      *ruleLimitJSON     `json:"limit,omitempty" doc:"The limit that what it gives counts against; absent: there is none."`
}

type ruleLimitJSON struct {
	Per     string `json:"per" example:"person"`
	Window  string `json:"window" example:"month"`
	Used    int64  `json:"used" doc:"In the window, without what this has taken if it was given before."`
	Cap     int64  `json:"cap"`
	Amounts bool   `json:"amounts,omitempty" doc:"Whether amounts are counted, not rewards."`
	Refuses bool   `json:"refuses" doc:"Whether the limit would not allow it."`
}

type ruleEffectJSON struct {
	Convert   bool          `json:"convert,omitempty" doc:"The referral would convert."`
	Kind      string        `json:"kind,omitempty" doc:"Of the reward; absent: none." example:"credit"`
	Amount    int64         `json:"amount,omitempty" doc:"In minor units; of percent in basis points."`
	Unit      string        `json:"unit,omitempty" example:"cents"`
	Name      string        `json:"name,omitempty"`
	DueAt     *time.Time    `json:"due_at,omitempty" doc:"When it would be available; absent: at once."`
	ExpiresAt *time.Time    `json:"expires_at,omitempty"`
	Wait      *ruleWaitJSON `json:"wait,omitempty" doc:"What must not happen before; absent: nothing."`
}

type ruleWaitJSON struct {
	Event string    `json:"event"`
	Until time.Time `json:"until"`
}

type ruleConditionJSON struct {
	Operator   string              `json:"operator" example:"gte"`
	Holds      bool                `json:"holds"`
	Left       string              `json:"left,omitempty" example:"event.amount" doc:"What is compared: a path, an aggregate or an age."`
	Wanted     json.RawMessage     `json:"wanted,omitempty" doc:"What it is compared with."`
	Found      json.RawMessage     `json:"found,omitempty" doc:"What is there; absent for lists, objects and what is long."`
	Note       string              `json:"note,omitempty" doc:"Why it can't hold, where that is not plain."`
	Conditions []ruleConditionJSON `json:"conditions,omitempty" doc:"Of all, any and not."`
}

func (s *server) ruleRoutes() {
	register(s, route{
		id: "get-rules", method: http.MethodGet, path: "/v1/programs/{id}/rules", tag: tagPrograms, access: canRead,
		summary: "Get the rules of a program",
	}, s.getRules)
	register(s, route{
		id: "set-rules", method: http.MethodPut, path: "/v1/programs/{id}/rules", tag: tagPrograms, access: canManage,
		summary:     "Replace the rules of a program",
		description: docRules + " The list makes a new version, unless it is the one that holds. What was reported before is judged by the rules of then.",
		example:     `{"rules":` + exampleRules + `}`,
	}, s.setRules)
	register(s, route{
		id: "list-rule-versions", method: http.MethodGet, path: "/v1/programs/{id}/rules/versions", tag: tagPrograms, access: canRead,
		summary: "List the versions of a program's rules", description: "The latest 250, the latest first.",
	}, s.listRuleVersions)
	register(s, route{
		id: "validate-rules", method: http.MethodPost, path: "/v1/programs/{id}/rules/validate", tag: tagPrograms, access: canRead,
		summary: "Check rules", description: "Says everything that is wrong with a list, and keeps nothing.",
		example: `{"rules":` + exampleRules + `}`,
	}, s.validateRules)
	register(s, route{
		id: "dry-run-rules", method: http.MethodPost, path: "/v1/programs/{id}/rules/dry-run", tag: tagPrograms, access: canRead,
		summary: "Try rules on an activity",
		description: "Says what each rule would do and why, and does none of it. Whether the program runs is not asked. What a limit would say is told beside it. " +
			"An activity that was reported is judged with what came in before it.",
		example: `{"activity":{"person":"customer-7","type":"purchase","fields":{"amount":6000}}}`,
	}, s.dryRunRules)
}

func (s *server) getRules(ctx context.Context, r request[rulesQuery, none]) (RuleSetJSON, error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	if err != nil {
		return RuleSetJSON{}, err
	}
	version := p.RulesVersion
	if r.params.Version != 0 {
		version = r.params.Version
	}
	set, err := s.opts.Programs.RulesOf(ctx, p, version)
	return showRuleSet(set), err
}

func (s *server) setRules(ctx context.Context, r request[ProgramPath, rulesJSON]) (RuleSetJSON, error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	if err != nil {
		return RuleSetJSON{}, err
	}
	if p, err = s.opts.Programs.SetRules(ctx, r.tenant.ID, p.ID, r.body.Rules); err != nil {
		return RuleSetJSON{}, err
	}
	set, err := s.opts.Programs.RulesOf(ctx, p, p.RulesVersion)
	return showRuleSet(set), err
}

func (s *server) listRuleVersions(ctx context.Context, r request[ProgramPath, none]) (page[RuleSetJSON], error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	if err != nil {
		return page[RuleSetJSON]{}, err
	}
	sets, err := s.opts.Programs.Versions(ctx, p)
	return pageOf(sets, "", showRuleSet), err
}

func showRuleSet(set program.RuleSet) RuleSetJSON {
	return RuleSetJSON{Version: set.Version, Rules: set.Rules, CreatedAt: set.CreatedAt}
}

func (s *server) validateRules(ctx context.Context, r request[ProgramPath, rulesJSON]) (validationJSON, error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	if err != nil {
		return validationJSON{}, err
	}
	shown := validationJSON{Errors: []invalidFieldJSON{}}
	_, err = s.opts.Programs.ReadRules(p, r.body.Rules)
	refusal, refused := errors.AsType[*problem.Error](err)
	switch {
	case err == nil:
		shown.Valid = true
		return shown, nil
	case !refused || len(refusal.Fields) == 0:
		return validationJSON{}, err
	}
	for _, f := range refusal.Fields {
		shown.Errors = append(shown.Errors, invalidFieldJSON(f))
	}
	return shown, nil
}

func (s *server) dryRunRules(ctx context.Context, r request[ProgramPath, dryRunJSON]) (dryRunAnswerJSON, error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	if err != nil {
		return dryRunAnswerJSON{}, err
	}
	t := referral.Tryout{Program: p, Rules: r.body.Rules}
	if err := s.tryOn(ctx, r, &t); err != nil {
		return dryRunAnswerJSON{}, err
	}
	tried, err := s.opts.Referrals.Try(ctx, t)
	if problem.NotFound.Has(err) {
		return dryRunAnswerJSON{}, problem.InvalidField("activity_id", "is not the id of an activity")
	}
	return dryRunAnswerJSON{pageOf(tried, "", showTried).Data}, under(err, "activity", "rules", "activity_id")
}

// tryOn reads what rules are tried on.
func (s *server) tryOn(ctx context.Context, r request[ProgramPath, dryRunJSON], t *referral.Tryout) error {
	a := r.body.Activity
	if (a == nil) == (r.body.ActivityID == "") {
		return problem.InvalidField("activity", "must be given, or activity_id, and not both")
	}
	var err error
	if a == nil {
		if t.Activity, err = activity.ActivityID.Parse(r.body.ActivityID); err != nil || t.Activity.IsZero() {
			return problem.InvalidField("activity_id", "is not the id of an activity")
		}
		return nil
	}
	if err := checkDepth("activity.fields", a.Fields); err != nil {
		return err
	}
	who, err := s.opts.Referrals.Named(ctx, r.tenant.ID, a.Person)
	if problem.NotFound.Has(err) {
		return problem.InvalidField("activity.person", "is nobody's id or external id")
	}
	if err != nil {
		return err
	}
	t.Person, t.New = who.ID, activity.New{Type: a.Type, Fields: a.Fields, OccurredAt: timeOf(a.OccurredAt)}
	return nil
}

func showTried(t referral.Tried) triedJSON {
	shown := triedJSON{
		Rule: t.Rule.Key, Role: string(t.Role), Matched: t.Matched, Reason: string(t.Reason), Detail: t.Detail, GaveBefore: t.GaveBefore,
		ReferralID: shownID(referral.ReferralID, t.ReferralID), PersonID: shownPerson(t.PersonID),
	}
	if refusal, ok := errors.AsType[*problem.Error](t.Err); ok && shown.Detail == "" {
		shown.Detail = refusal.Detail
	}
	if t.If != nil {
		shown.If = new(showRuleCondition(*t.If))
	}
	if e := t.Effect; e != nil {
		shown.Effect = &ruleEffectJSON{
			Convert: e.Convert, Kind: string(e.Kind), Amount: e.Amount, Unit: e.Unit, Name: e.Name,
			DueAt: optionalTime(e.DueAt), ExpiresAt: optionalTime(e.ExpiresAt),
		}
		if e.Wait != nil {
			shown.Effect.Wait = &ruleWaitJSON{e.Wait.Event, e.Wait.Until}
		}
	}
	if l := t.Rule.Limit; l != nil && t.Limit != nil {
		shown.Limit = &ruleLimitJSON{
			Per: string(l.Per), Window: l.Window.String(), Used: t.Limit.Used, Cap: t.Limit.Cap, Amounts: t.Limit.Amount, Refuses: t.Limit.Refuses,
		}
	}
	return shown
}

func showRuleCondition(x rule.Explanation) ruleConditionJSON {
	shown := ruleConditionJSON{Operator: x.Operator, Holds: x.Holds, Left: x.Left, Wanted: x.Wanted, Found: x.Found, Note: x.Note}
	for _, part := range x.Parts {
		shown.Conditions = append(shown.Conditions, showRuleCondition(part))
	}
	return shown
}
