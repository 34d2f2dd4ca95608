package bench

import "bytes"

// What SaaSquatch's subscribers are told when somebody signs up, and, from the third
// on, when it was by somebody's code.
const (
	userCreated     = "user.created"
	couponCreated   = "coupon.created"
	referralStarted = "referral.started"
	autoModeration  = "referral.automoderation.complete"
	startedEmail    = "email.referral.started"

	toldOfEach     = 2 // events of a sign-up
	toldOfReferred = 5 // of one by a code
)

// aboutWhom are the marks after which the data of each event says whom it is about.
var aboutWhom = map[string]string{
	userCreated:     `"id":"`,              // the user
	couponCreated:   `"codeString":"`,      // the code
	referralStarted: `"referredUser":"`,    // the one who came, by an id of the server's own
	autoModeration:  `"referredUser":"`,    // the same
	startedEmail:    `"recipientUserId":"`, // the referrer
}

// told is what an event says: its type, and whom it is about.
type told struct{ eventType, about string }

// parseProgramEvent returns what an event in SaaSquatch's envelope says; what is not
// in it is "".
func parseProgramEvent(body []byte) told {
	envelope, data, found := bytes.Cut(body, []byte(`"data":{`))
	if !found {
		return told{}
	}
	var t told
	t.eventType, _ = textAfter(envelope, `"type":"`)
	if mark, known := aboutWhom[t.eventType]; known {
		t.about, _ = textAfter(data, mark)
	}
	return t
}

// expectedOf is how many events there have to be of each kind after sign-ups. The
// ids by which events about referrals name people are the server's own: of those
// only the number is known, under the empty name.
func expectedOf(done []signUp) (map[told]int, int) {
	expected, sum := make(map[told]int, 2*len(done)), 0
	for _, s := range done {
		expected[told{userCreated, s.user()}]++
		expected[told{couponCreated, s.code}]++
		sum += toldOfEach
		if s.referrer == "" {
			continue
		}
		expected[told{startedEmail, s.referrer}]++
		expected[told{referralStarted, ""}]++
		expected[told{autoModeration, ""}]++
		sum += toldOfReferred - toldOfEach
	}
	return expected, sum
}

// compareSignUps finds out whether exactly the events have arrived that had to come
// of sign-ups: of each person the two of a user, of each that was referred the three
// of a referral, and the e-mail for the very referrer whose code it was.
func compareSignUps(done []signUp, noted Noted) Integrity {
	missing, sum := expectedOf(done)
	i := Integrity{Accepted: sum, Arrived: len(noted.Arrivals)}
	seen := make(map[string]bool, len(noted.Arrivals)) // events, by their ids
	referred := make(map[told]bool)
	for _, a := range noted.Arrivals {
		if seen[a.ID] {
			i.Duplicated++
			continue
		}
		seen[a.ID] = true
		what := told{a.Type, a.About}
		if a.Type == referralStarted || a.Type == autoModeration {
			if a.About == "" || referred[what] {
				i.Foreign++
				continue
			}
			referred[what] = true
			what.about = ""
		}
		if missing[what] == 0 {
			i.Foreign++
			continue
		}
		missing[what]--
	}
	for _, n := range missing {
		i.Lost += n
	}
	return i
}
