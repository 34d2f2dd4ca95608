package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// ReferralJSON is how a referral is shown.
type ReferralJSON struct {
	ID          string         `json:"id" example:"ref_019a9c1d2f3b5e8d7c6a4f10"`
	Version     int64          `json:"version" doc:"Counts the changes."`
	ProgramID   string         `json:"program_id"`
	ProgramKey  string         `json:"program_key" example:"give-and-get"`
	ReferrerID  string         `json:"referrer_id" example:"per_019a9c1d2f3b5e8d7c6a4f10"`
	ReferredID  string         `json:"referred_id"`
	Code        string         `json:"code,omitempty" doc:"By which the referred person came." example:"ANNAADAMS"`
	Engagement  string         `json:"engagement,omitempty" doc:"Where the share link was shown; absent: it was none." example:"HOSTED"`
	Share       string         `json:"share,omitempty" doc:"By which way the link was sent." example:"EMAIL"`
	Method      string         `json:"method" doc:"How it is known who sent the person: code, cookie, link or manual."`
	State       string         `json:"state" doc:"started, converted or ended."`
	StartedAt   time.Time      `json:"started_at"`
	ConvertedAt *time.Time     `json:"converted_at,omitempty" doc:"Absent: it has not converted."`
	EndedAt     *time.Time     `json:"ended_at,omitempty" doc:"Absent: it has not ended."`
	EndReason   string         `json:"end_reason,omitempty" doc:"cancelled, account_cancelled, person_blocked or person_deleted."`
	Moderation  moderationJSON `json:"moderation"`
	Signals     []signalJSON   `json:"signals" doc:"What makes one look twice."`
}

type moderationJSON struct {
	Referrer string     `json:"referrer" doc:"pending: what this side is rewarded waits; approved; or denied: it is taken back."`
	Referred string     `json:"referred"`
	ByHand   bool       `json:"by_hand" doc:"Whether somebody has decided."`
	At       *time.Time `json:"at,omitempty" doc:"When it was last decided."`
}

type signalJSON struct {
	Name     string       `json:"name" example:"device"`
	Action   string       `json:"action" doc:"What the settings ask for: flag, hold or block."`
	Score    int          `json:"score" doc:"How much it counts on its own, from 1 to 100."`
	Message  string       `json:"message" doc:"The same in a sentence."`
	Evidence evidenceJSON `json:"evidence"`
}

type evidenceJSON struct {
	People     []string `json:"people,omitempty" doc:"With whom the referred person has something in common, or who form the ring."`
	Referrals  []string `json:"referrals,omitempty" doc:"Others of the same referrer that it is about as much."`
	Domain     string   `json:"domain,omitempty"`
	Similarity int      `json:"similarity,omitempty" doc:"Of the names, in percent."`
	Threshold  int      `json:"threshold,omitempty"`
	Count      int      `json:"count,omitempty"`
	Limit      int      `json:"limit,omitempty"`
	Window     int64    `json:"window,omitempty" doc:"In seconds."`
	Entry      string   `json:"entry,omitempty" doc:"Of the block list; absent too once one of both people was forgotten." example:"blk_019a9c1d2f3b5e8d7c6a4f10"`
	EntryKind  string   `json:"entry_kind,omitempty" doc:"email, domain, ip or device."`
	Side       string   `json:"side,omitempty" doc:"Who is on the block list: referred or referrer."`
}

type fullReferralJSON struct {
	ReferralJSON
	Referrer PersonJSON   `json:"referrer"`
	Referred PersonJSON   `json:"referred"`
	Rewards  []RewardJSON `json:"rewards" doc:"What it led to, the oldest first."`
}

type referralPath struct {
	ID string `path:"id" doc:"The referral's id."`
}

type referralList struct {
	Paging
	Program    string `query:"program" maxLength:"100" doc:"Those of this program, named by its id or key."`
	Referrer   string `query:"referrer" maxLength:"512" doc:"Those whom this person has referred, named by id or external id."`
	Referred   string `query:"referred" maxLength:"512" doc:"By which this person came."`
	State      string `query:"state" enum:"started,converted,ended"`
	Moderation string `query:"moderation" enum:"pending,approved,denied" doc:"Those of which either side stands so."`
}

type moderateJSON struct {
	Actions []moderationActionJSON `json:"actions" minItems:"1" maxItems:"1000" doc:"1 to 1,000."`
}

type moderationActionJSON struct {
	ReferralID string `json:"referral_id"`
	Side       string `json:"side,omitempty" enum:"referrer,referred,both" doc:"Absent: both."`
	To         string `json:"to" enum:"pending,approved,denied"`
}

type moderatedJSON struct {
	Referrals []ReferralJSON `json:"referrals" doc:"In the order of the request."`
}

func (s *server) referralRoutes() {
	register(s, route{
		id: "list-referrals", method: http.MethodGet, path: "/v1/referrals", tag: tagReferrals, access: canRead,
		summary: "List referrals", description: "The newest first. Where filters choose few of many, a part of the list may be short, or empty, and the list still go on.",
	}, s.listReferrals)
	register(s, route{
		id: "get-referral", method: http.MethodGet, path: "/v1/referrals/{id}", tag: tagReferrals, access: canRead,
		summary: "Get a referral", description: "With both people, and what it led to.",
	}, s.getReferral)
	register(s, route{
		id: "moderate-referrals", method: http.MethodPost, path: "/v1/referrals/moderate", tag: tagReferrals, access: canManage,
		summary:     "Decide about referrals",
		description: "All of the decisions are made or none, whatever was decided before. A side that is denied loses its rewards; one that is approved gets those that waited, or that it had lost so.",
		errors:      []*problem.Code{problem.NotFound},
		example:     `{"actions":[{"referral_id":"ref_019a9c1d2f3b5e8d7c6a4f10","side":"referrer","to":"denied"}]}`,
	}, s.moderateReferrals)
	register(s, route{
		id: "convert-referral", method: http.MethodPost, path: "/v1/referrals/{id}/convert", tag: tagReferrals, access: canManage,
		summary: "Convert a referral by hand", errors: []*problem.Code{problem.Conflict},
	}, s.convertReferral)
	register(s, route{
		id: "end-referral", method: http.MethodPost, path: "/v1/referrals/{id}/end", tag: tagReferrals, access: canManage,
		summary: "End a referral", description: "What is pending of its rewards is cancelled, and nothing more follows from it. Undoing its fact resumes it.",
	}, s.endReferral)
}

func (s *server) listReferrals(ctx context.Context, r request[referralList, none]) (page[ReferralJSON], error) {
	q := r.params
	of := referral.Choice{State: referral.State(q.State), Moderation: referral.Moderation(q.Moderation)}
	var err error
	if of.Page, err = q.before(referral.ReferralID); err != nil {
		return page[ReferralJSON]{}, err
	}
	if of.Program, err = s.programOf(ctx, r.call, q.Program); err != nil {
		return page[ReferralJSON]{}, err
	}
	if of.Referrer, err = s.personOf(ctx, r.call, "query.referrer", q.Referrer); err != nil {
		return page[ReferralJSON]{}, err
	}
	if of.Referred, err = s.personOf(ctx, r.call, "query.referred", q.Referred); err != nil {
		return page[ReferralJSON]{}, err
	}
	referrals, next, err := s.opts.Referrals.ReferralPage(ctx, r.tenant.ID, of)
	return pageOf(referrals, cursorOf(next, referral.ReferralID), showReferral), err
}

// programOf returns which program a parameter names; zero: none.
func (s *server) programOf(ctx context.Context, c *call, named string) (id.ID, error) {
	if named == "" {
		return id.ID{}, nil
	}
	p, err := s.opts.Programs.Named(ctx, c.tenant.ID, named)
	if problem.NotFound.Has(err) {
		return id.ID{}, problem.InvalidField("query.program", "is not the id or key of a program")
	}
	if err != nil {
		return id.ID{}, err
	}
	return p.ID, nil
}

// personOf returns whom a parameter names; zero: nobody.
func (s *server) personOf(ctx context.Context, c *call, field, named string) (id.ID, error) {
	if named == "" {
		return id.ID{}, nil
	}
	p, err := s.opts.Referrals.Named(ctx, c.tenant.ID, named)
	if problem.NotFound.Has(err) {
		return id.ID{}, problem.InvalidField(field, "is nobody's id or external id")
	}
	if err != nil {
		return id.ID{}, err
	}
	return p.ID, nil
}

func (s *server) getReferral(ctx context.Context, r request[referralPath, none]) (fullReferralJSON, error) {
	of, err := r.params.parse()
	if err != nil {
		return fullReferralJSON{}, err
	}
	d, err := s.opts.Referrals.ReferralByID(ctx, r.tenant.ID, of)
	if err != nil {
		return fullReferralJSON{}, err
	}
	return fullReferralJSON{
		showReferral(d.Referral), showPerson(d.ReferrerPerson.Person), showPerson(d.ReferredPerson.Person), pageOf(d.Rewards, "", showReward).Data,
	}, nil
}

func (s *server) moderateReferrals(ctx context.Context, r request[none, moderateJSON]) (moderatedJSON, error) {
	decisions := make([]referral.Decision, len(r.body.Actions))
	for i, a := range r.body.Actions {
		of, err := referral.ReferralID.Parse(a.ReferralID)
		if err != nil { // names nothing, as the zero id does
			of = id.ID{}
		}
		decisions[i] = referral.Decision{Referral: of, Side: referral.Side(a.Side), To: referral.Moderation(a.To)}
		if a.Side == "" {
			decisions[i].Side = referral.BothSides
		}
	}
	moderated, err := s.opts.Referrals.Moderate(ctx, r.tenant.ID, decisions)
	return moderatedJSON{pageOf(moderated, "", showReferral).Data}, err
}

func (s *server) convertReferral(ctx context.Context, r request[referralPath, none]) (ReferralJSON, error) {
	return s.withReferral(ctx, r, s.opts.Referrals.Convert)
}

func (s *server) endReferral(ctx context.Context, r request[referralPath, none]) (ReferralJSON, error) {
	return s.withReferral(ctx, r, s.opts.Referrals.End)
}

// withReferral does something with the referral that a path names, and shows how it
// then stands.
func (s *server) withReferral(ctx context.Context, r request[referralPath, none],
	do func(ctx context.Context, tenant, of id.ID) (*referral.Referral, error),
) (ReferralJSON, error) {
	of, err := r.params.parse()
	if err != nil {
		return ReferralJSON{}, err
	}
	changed, err := do(ctx, r.tenant.ID, of)
	if err != nil {
		return ReferralJSON{}, err
	}
	return showReferral(changed), nil
}

func (p referralPath) parse() (id.ID, error) {
	of, err := referral.ReferralID.Parse(p.ID)
	if err != nil {
		return id.ID{}, problem.NotFound.New("there is no such referral")
	}
	return of, nil
}

func showReferral(r *referral.Referral) ReferralJSON {
	return ReferralJSON{
		ID: referral.ReferralID.Format(r.ID), Version: r.Version, ProgramID: program.ProgramID.Format(r.ProgramID), ProgramKey: r.ProgramKey,
		ReferrerID: shownPerson(r.ReferrerID), ReferredID: shownPerson(r.ReferredID), Code: r.Code,
		Engagement: string(r.Link.Engagement), Share: string(r.Link.Share), Method: string(r.Method), State: string(r.State),
		StartedAt: r.StartedAt, ConvertedAt: optionalTime(r.ConvertedAt), EndedAt: optionalTime(r.EndedAt), EndReason: r.EndReason,
		Moderation: moderationJSON{string(r.Referrer), string(r.Referred), r.ByHand, optionalTime(r.ModeratedAt)},
		Signals:    pageOf(r.Signals, "", showSignal).Data,
	}
}

func showSignal(s fraud.Signal) signalJSON {
	d := s.Details
	shown := signalJSON{
		Name: string(s.Kind), Action: string(s.Action), Score: s.Score, Message: s.Message,
		Evidence: evidenceJSON{
			People: shownPeople(d.People), Domain: d.Domain, Similarity: d.Similarity, Threshold: d.Threshold,
			Count: d.Count, Limit: d.Limit, Window: int64(d.Window), EntryKind: d.EntryKind, Side: d.Side,
		},
	}
	if !d.Entry.IsZero() {
		shown.Evidence.Entry = blocklist.EntryID.Format(d.Entry)
	}
	for _, of := range d.Referrals {
		shown.Evidence.Referrals = append(shown.Evidence.Referrals, referral.ReferralID.Format(of))
	}
	return shown
}
