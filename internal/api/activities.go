package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

type newActivityJSON struct {
	Key        string          `json:"key,omitempty" doc:"Yours, such as an order's number: what was reported under it is stored once, for ever. Absent: each report is another activity." example:"order-4711"`
	Type       string          `json:"type" doc:"What rules listen to." example:"purchase"`
	Fields     json.RawMessage `json:"fields,omitempty" doc:"An object, which conditions see as event."`
	OccurredAt *time.Time      `json:"occurred_at,omitempty" doc:"Absent: now. At most a day in the future."`
}

type reportActivitiesJSON struct {
	Activities []newActivityJSON `json:"activities" minItems:"1" maxItems:"100" doc:"1 to 100, in their order."`
}

type reportedActivityJSON struct {
	ActivityJSON
	Replayed bool `json:"replayed" doc:"Whether it was stored under its key before, and nothing has changed."`
}

type reportedActivitiesJSON struct {
	Activities []reportedActivityJSON `json:"activities" doc:"In the order of the request."`
}

type personList struct {
	PersonPath
	Paging
}

// chapterKind marks where a story goes on.
const chapterKind id.Kind = "pos"

// chapterJSON is something in a person's story.
type chapterJSON struct {
	Kind     string        `json:"kind" doc:"Which of the others is there: fact, activity, referral, reward, touch or message."`
	At       time.Time     `json:"at" doc:"When it happened."`
	Fact     *FactJSON     `json:"fact,omitempty" doc:"That the person, what can be spent, a code or a referral has changed."`
	Activity *ActivityJSON `json:"activity,omitempty"`
	Referral *ReferralJSON `json:"referral,omitempty" doc:"As it stands; the person is on either side."`
	Reward   *RewardJSON   `json:"reward,omitempty" doc:"As it stands."`
	Touch    *TouchJSON    `json:"touch,omitempty" doc:"A sign that somebody has sent the person."`
	Message  *WrittenJSON  `json:"message,omitempty" doc:"That the person was written."`
}

// TouchJSON is a sign that somebody was sent.
type TouchJSON struct {
	ID        string    `json:"id" example:"tch_019a9c1d2f3b5e8d7c6a4f10"`
	ProgramID string    `json:"program_id"`
	Code      string    `json:"code,omitempty" doc:"As codes are compared." example:"ANNAADAMS"`
	Method    string    `json:"method" doc:"code, cookie, link or manual: somebody decided it by hand."`
	Device    string    `json:"device,omitempty" doc:"The browser's cookie."`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	URL       string    `json:"url,omitempty" doc:"The referring page."`
	At        time.Time `json:"at"`
}

func showTouch(t *referral.Touch) TouchJSON {
	shown := TouchJSON{
		ID: touchID.Format(t.ID), ProgramID: shownID(program.ProgramID, t.ProgramID), Code: t.Code, Method: string(t.Method), Device: t.CookieID,
		UserAgent: t.UserAgent, URL: t.URL, At: t.At,
	}
	if t.IP.IsValid() {
		shown.IP = t.IP.String()
	}
	return shown
}

func (s *server) activityRoutes() {
	register(s, route{
		id: "report-activities", method: http.MethodPost, path: "/v1/people/{id}/activities", tag: tagPeople, access: canPublish,
		summary:     "Report what a person did",
		description: "All of the activities or none, with what follows from each by the rules. One whose key was used for the same before changes nothing and is shown as it was stored.",
		errors:      []*problem.Code{problem.IdempotencyConflict},
		example:     `{"activities":[{"key":"order-4711","type":"purchase","fields":{"amount":6000,"order_id":"4711"}}]}`,
	}, s.reportActivities)
	register(s, route{
		id: "list-activities", method: http.MethodGet, path: "/v1/people/{id}/activities", tag: tagPeople, access: canRead,
		summary: "List what a person did", description: "The latest first, what was undone too.",
	}, s.listActivities)
	register(s, route{
		id: "get-story", method: http.MethodGet, path: "/v1/people/{id}/story", tag: tagPeople, access: canRead,
		summary: "Read a person's story", description: "How the person and their codes changed, by what they were sent, what they did, whom they referred or were referred by and what became of that (of those whom they referred, of the latest hundred), what they were given and written: what was written down last comes first.",
	}, s.getStory)
}

func (s *server) reportActivities(ctx context.Context, r request[PersonPath, reportActivitiesJSON]) (reportedActivitiesJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return reportedActivitiesJSON{}, err
	}
	report := referral.Report{Person: p.ID}
	var checks problem.Checks
	for i, a := range r.body.Activities {
		field := fmt.Sprintf("activities[%d].fields", i)
		checks.AddError(field, checkDepth(field, a.Fields))
		report.Activities = append(report.Activities, activity.New{Key: a.Key, Type: a.Type, Fields: a.Fields, OccurredAt: timeOf(a.OccurredAt)})
	}
	if err := checks.Err(); err != nil {
		return reportedActivitiesJSON{}, err
	}
	results, err := s.opts.Referrals.Track(ctx, r.tenant.ID, report)
	return reportedActivitiesJSON{pageOf(results, "", func(r activity.Result) reportedActivityJSON {
		return reportedActivityJSON{showActivity(r.Activity), r.Replayed}
	}).Data}, err
}

func (s *server) listActivities(ctx context.Context, r request[personList, none]) (page[ActivityJSON], error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return page[ActivityJSON]{}, err
	}
	part, err := r.params.before(activity.ActivityID)
	if err != nil {
		return page[ActivityJSON]{}, err
	}
	activities, next, err := s.opts.Referrals.Activities(ctx, r.tenant.ID, p.ID, part)
	return pageOf(activities, cursorOf(next, activity.ActivityID), showActivity), err
}

func (s *server) getStory(ctx context.Context, r request[personList, none]) (page[chapterJSON], error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return page[chapterJSON]{}, err
	}
	part, err := r.params.before(chapterKind)
	if err != nil {
		return page[chapterJSON]{}, err
	}
	chapters, next, err := s.opts.Referrals.Story(ctx, r.tenant.ID, p.ID, part)
	return pageOf(chapters, cursorOf(next, chapterKind), showChapter), err
}

func showChapter(c referral.Chapter) chapterJSON {
	shown := chapterJSON{At: c.At}
	switch {
	case c.Fact != nil:
		shown.Kind, shown.Fact = "fact", new(showFact(c.Fact))
	case c.Activity != nil:
		shown.Kind, shown.Activity = "activity", new(showActivity(c.Activity))
	case c.Referral != nil:
		shown.Kind, shown.Referral = "referral", new(showReferral(c.Referral))
	case c.Reward != nil:
		shown.Kind, shown.Reward = "reward", new(showReward(c.Reward))
	case c.Touch != nil:
		shown.Kind, shown.Touch = "touch", new(showTouch(c.Touch))
	case c.Message != nil:
		shown.Kind, shown.Message = "message", new(showWritten(*c.Message))
	}
	return shown
}
