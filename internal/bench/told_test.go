package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// envelope is an event as SaaSquatch's subscribers get it.
func envelope(eventType, data string) []byte {
	return []byte(`{"id":"577303ece4b066c5cb171835","type":"` + eventType + `","tenantAlias":"bench","live":true,"created":1467155436449,"data":{` + data + `}}`)
}

func TestAnEventOfAProgramSaysWhomItIsAbout(t *testing.T) {
	for _, c := range []struct {
		name string
		body []byte
		want told
	}{
		{"a user", envelope("user.created", `"id":"u1","accountId":"a1","referralCode":"ADA"`), told{"user.created", "u1"}},
		{"a code", envelope("coupon.created", `"codeString":"ADA","discountPercentage":"0"`), told{"coupon.created", "ADA"}},
		{"a referral", envelope("referral.started", `"id":"r1","referredUser":"b2","referrerUser":"a1"`), told{"referral.started", "b2"}},
		{"a referral, in another order", envelope("referral.started", `"referrerUser":"a1","referredUser":"b2"`), told{"referral.started", "b2"}},
		{"a moderation", envelope("referral.automoderation.complete", `"id":"r1","referredUser":"b2"`), told{"referral.automoderation.complete", "b2"}},
		{"an e-mail", envelope("email.referral.started", `"recipientUserId":"u1","recipientAccountId":"a1"`), told{"email.referral.started", "u1"}},
		{"another type", envelope("reward.created", `"id":"w1","userId":"u1"`), told{"reward.created", ""}},
		{"another body", []byte(`{"type":"bench.event"}`), told{}},
		{"nothing", nil, told{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parseProgramEvent(c.body); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEachSignUpHasToBeToldByItsOwnEvents(t *testing.T) {
	done := []signUp{
		{member: member{1, "ONE"}},
		{member: member{2, "TWO"}, referrer: newcomer(1).user()},
		{member: member{3, "TRI"}, referrer: newcomer(1).user()},
	}
	all := []Arrival{
		{ID: "1", Type: userCreated, About: "u00000001"},
		{ID: "2", Type: couponCreated, About: "ONE"},
		{ID: "3", Type: userCreated, About: "u00000002"},
		{ID: "4", Type: couponCreated, About: "TWO"},
		{ID: "5", Type: referralStarted, About: "b2"},
		{ID: "6", Type: autoModeration, About: "b2"},
		{ID: "7", Type: startedEmail, About: "u00000001"},
		{ID: "8", Type: userCreated, About: "u00000003"},
		{ID: "9", Type: couponCreated, About: "TRI"},
		{ID: "10", Type: referralStarted, About: "b3"},
		{ID: "11", Type: autoModeration, About: "b3"},
		{ID: "12", Type: startedEmail, About: "u00000001"},
	}
	changed := func(i int, to Arrival) []Arrival {
		some := append([]Arrival(nil), all...)
		some[i] = to
		return some
	}
	const accepted = 12
	for _, c := range []struct {
		name    string
		arrived []Arrival
		want    Integrity
	}{
		{"all of them", all, Integrity{Arrived: 12}},
		{"none", nil, Integrity{Lost: 12}},
		{"one is missing", all[1:], Integrity{Arrived: 11, Lost: 1}},
		{"one came twice", append(all[:12:12], all[4]), Integrity{Arrived: 13, Duplicated: 1}},
		{"one was stored twice", append(all[:12:12], Arrival{ID: "13", Type: couponCreated, About: "TWO"}), Integrity{Arrived: 13, Foreign: 1}},
		{"a user's event is another's", changed(0, Arrival{ID: "1", Type: userCreated, About: "u00000009"}), Integrity{Arrived: 12, Lost: 1, Foreign: 1}},
		{"the e-mail is to another one", changed(6, Arrival{ID: "7", Type: startedEmail, About: "u00000002"}), Integrity{Arrived: 12, Lost: 1, Foreign: 1}},
		{"one referral was told twice, another not at all", changed(9, Arrival{ID: "10", Type: referralStarted, About: "b2"}), Integrity{Arrived: 12, Lost: 1, Foreign: 1}},
		{"a referral of nobody", changed(4, Arrival{ID: "5", Type: referralStarted}), Integrity{Arrived: 12, Lost: 1, Foreign: 1}},
		{"something else came too", append(all[:12:12], Arrival{ID: "13", Type: "reward.created"}), Integrity{Arrived: 13, Foreign: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Accepted = accepted
			if diff := cmp.Diff(c.want, compareSignUps(done, Noted{Arrivals: c.arrived})); diff != "" {
				t.Errorf("integrity (-want +got):\n%s", diff)
			}
		})
	}
}
