package referral

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Chapter is something in a person's story: one of its fields is set.
type Chapter struct {
	ID       id.ID // of what it is
	At       time.Time
	Fact     *fact.Fact // about the person, what can be spent, a code, or what became of a referral
	Activity *activity.Activity
	Referral *Referral // in which the person is on either side
	Reward   *reward.Reward
	Touch    *Touch
	Message  *message.Message
}

// Story returns everything about a person, the latest first, and behind what it goes
// on. Of referrals that the person brought it tells what became of the latest hundred. Its order is that in which things were written down, which their ids have.
func (s *Service) Story(ctx context.Context, tenant, of id.ID, p Page) ([]Chapter, id.ID, error) {
	return readPage(ctx, s.db, func(q db.Queryer) sifting[Chapter] {
		return sifting[Chapter]{
			part: func(p Page) ([]Chapter, error) { return s.chapters(q, tenant, of, p) },
			keep: all[Chapter], at: func(c Chapter) id.ID { return c.ID }, page: p,
		}
	})
}

// maxJudged is of how many referrals that somebody brought a story tells what became
// of them: the latest.
const maxJudged = 100

// chapters merges the first of each kind.
func (s *Service) chapters(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	var merged []Chapter
	for _, read := range []func(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error){
		told, did, given, sent, written, s.coded, referring,
	} {
		found, err := read(q, tenant, of, p)
		if err != nil {
			return nil, err
		}
		merged = append(merged, found...)
	}
	slices.SortFunc(merged, func(a, b Chapter) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	return merged[:min(len(merged), p.Limit)], nil
}

// chaptersOf makes chapters of what was read.
func chaptersOf[T any](all []T, err error, chapter func(T) Chapter) ([]Chapter, error) {
	if err != nil {
		return nil, err
	}
	chapters := make([]Chapter, len(all))
	for i, one := range all {
		chapters[i] = chapter(one)
	}
	return chapters, nil
}

func factChapter(f *fact.Fact) Chapter { return Chapter{ID: f.ID, At: f.At, Fact: f} }

// told are the facts about somebody.
func told(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	facts, err := fact.Of(q, tenant, of, fact.Page{Before: p.Before, Limit: p.Limit})
	return chaptersOf(facts, err, factChapter)
}

func did(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	activities, err := activity.Latest(q, tenant, of, p.Before, p.Limit)
	return chaptersOf(activities, err, func(a *activity.Activity) Chapter { return Chapter{ID: a.ID, At: a.OccurredAt, Activity: a} })
}

func given(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	rewards, err := reward.OfPerson(q, tenant, of, reward.Page{Before: p.Before, Limit: p.Limit})
	return chaptersOf(rewards, err, func(r *reward.Reward) Chapter { return Chapter{ID: r.ID, At: r.GivenAt, Reward: r} })
}

// sent are the signs that somebody was sent.
func sent(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	found, err := attribution.Latest(q, tenant, of, p.before(), p.Limit)
	if err != nil {
		return nil, err
	}
	touches, err := withCodes(q, tenant, found)
	return chaptersOf(touches, err, func(t Touch) Chapter { return Chapter{ID: t.ID, At: t.At, Touch: &t} })
}

// Touch is a sign that somebody was sent, with the code of who did.
type Touch struct {
	attribution.Touch

	Code string // as codes are compared, or what is left of one that was forgotten
}

// withCodes returns touches with their codes.
func withCodes(q db.Queryer, tenant id.ID, found []attribution.Touch) ([]Touch, error) {
	shorts := make([]string, len(found))
	for i, t := range found {
		shorts[i] = t.Short
	}
	codes, err := code.ByShort(q, tenant, shorts)
	if err != nil {
		return nil, err
	}
	touches := make([]Touch, len(found))
	for i, t := range found {
		touches[i] = Touch{t, codes[t.Short].Folded}
	}
	return touches, nil
}

// written are the messages to somebody.
func written(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	messages, err := message.List(q, tenant, of, message.Page{Before: p.Before, Limit: p.Limit})
	return chaptersOf(messages, err, func(m message.Message) Chapter { return Chapter{ID: m.ID, At: m.CreatedAt, Message: &m} })
}

// coded are the facts about somebody's codes, which are about memberships.
func (s *Service) coded(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	programs, err := s.programs.List(q, tenant)
	if err != nil {
		return nil, err
	}
	var all []Chapter
	for _, in := range programs {
		m, err := program.MembershipOf(q, tenant, in.ID, of)
		if problem.NotFound.Has(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := told(q, tenant, m.ID, p)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// referring are the referrals with somebody on either side, and what became of them.
// Of those that the person brought the latest ones are followed, whatever the page,
// since what became of one is later than it.
func referring(q db.Queryer, tenant, of id.ID, p Page) ([]Chapter, error) {
	var all []Chapter
	followed, err := OfReferrer(q, tenant, of, Page{Limit: maxJudged})
	if err != nil {
		return nil, err
	}
	by, err := OfReferred(q, tenant, of)
	if err != nil {
		return nil, err
	}
	for _, r := range append(followed, by...) {
		facts, err := told(q, tenant, r.ID, p)
		if err != nil {
			return nil, err
		}
		for _, c := range facts {
			if c.Fact.Type != Started { // the referral itself says that
				all = append(all, c)
			}
		}
	}
	for _, read := range []func(db.Queryer, id.ID, id.ID, Page) ([]*Referral, error){OfReferrer, referredBefore} {
		found, err := read(q, tenant, of, p)
		chapters, err := chaptersOf(found, err, func(r *Referral) Chapter { return Chapter{ID: r.ID, At: r.StartedAt, Referral: r} })
		if err != nil {
			return nil, err
		}
		all = append(all, chapters...)
	}
	return all, nil
}
