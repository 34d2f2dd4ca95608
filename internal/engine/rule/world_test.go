package rule_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// shop is what there is in a program in which people refer each other.
func shop() *rule.World {
	return &rule.World{
		Roots: []string{"event", "person", "referral"}, Amounts: []string{"event", "person"},
		Roles: []rule.Role{rule.Referrer, rule.Referred}, Facts: []string{"person.created", "referral.converted"},
		Reported: func(activity string) bool { return !strings.ContainsAny(activity, ".:") },
	}
}

// give is a rule that gives a point.
func give(fields string) string {
	return `{"key":"a","give":{"kind":"points","amount":1,"unit":"p"},` + fields + `}`
}

// neverActing are rules that can't act in the shop, with what is refused of them.
var neverActing = map[string][]string{
	give(`"on":"referral.ended"`):                                                                                       {"on"},
	give(`"on":["x","code.created","person.created","a:b"]`):                                                            {"on[1]", "on[3]"},
	give(`"on":"x","undo_on":` + undo("reward.available")):                                                              {"undo_on.event"},
	give(`"on":"referral.converted","undo_on":` + undo("refund")):                                                       {"undo_on"},
	give(`"on":"x","unless":{"event":"referral.converted","within":"3d"}`):                                              {"unless.event"},
	give(`"on":"x","to":"partner"`):                                                                                     {"to"},
	give(`"on":"x","actor":"referrer","to":"referred"`):                                                                 {"to"},
	give(`"on":"x","actor":"referrer","convert":true`):                                                                  {"convert"},
	give(`"on":"x","if":{"gt":["transaction.amount",1]}`):                                                               {"if.gt[0]"},
	give(`"on":"x","if":{"lt":[{"age":"reward.given_at"},"3d"]}`):                                                       {"if.lt[0].age"},
	give(`"on":"x","if":{"not":{"member_of":"regulars"}}`):                                                              {"if.not.member_of"},
	give(`"on":"x","if":{"gte":[{"count":"referral.converted"},3]}`):                                                    {"if.gte[0].count"},
	give(`"on":"x","if":{"gte":[{"sum":"reward\\.available.amount"},3]}`):                                               {"if.gte[0].sum"},
	part("points", `{"pct_bp":100,"of":"referral.amount"}`):                                                             {"give.amount.of", "give.unit"},
	`{"key":"a","on":"x","give":{"kind":"points","amount":1}}`:                                                          {"give.unit"},
	`{"key":"a","on":"x","give":{"kind":"commission","amount":1}}`:                                                      {"give.unit"},
	unit(strings.Repeat("€", 22)):                                                                                       {"give.unit"},
	`{"key":"a","on":"person.created","give":{"kind":"points","unit":"p","amount":{"pct_bp":100,"of":"event.amount"}}}`: {"give.amount.of"},
}

func undo(event string) string {
	return `{"event":"` + event + `","match":{"eq":["event.id","cause.id"]}}`
}

func unit(text string) string {
	return `{"key":"a","on":"x","give":{"kind":"credit","amount":1,"unit":"` + text + `"}}`
}

func TestARuleThatCanNeverActIsRefusedByItsPath(t *testing.T) {
	for text, places := range neverActing {
		_, err := rule.Parse("rules", []byte("["+text+"]"), rule.Options{World: shop()})
		refusal, _ := errors.AsType[*problem.Error](err)
		if refusal == nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, field := range refusal.Fields {
			got = append(got, strings.TrimPrefix(field.Name, "rules[0]."))
		}
		if slices.Sort(got); !slices.Equal(got, places) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestARuleThatIsStoredIsReadThoughItCanNeverAct(t *testing.T) {
	for text := range neverActing {
		if _, err := rule.Parse("rules", []byte("["+text+"]"), rule.Options{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestARuleThatCanActIsTaken(t *testing.T) {
	for _, text := range []string{
		give(`"on":["x","person.created"],"undo_on":` + undo("refund")),
		give(`"on":"x","actor":"referrer","to":"referrer"`),
		give(`"on":"referral.converted","actor":"referred","to":"referrer"`),
		give(`"on":"x","if":{"gte":[{"sum":"x.amount","in":"month"},3]}`),
		give(`"on":"x","if":{"lt":[{"age":"referral.started_at"},"3d"]}`),
		unit(strings.Repeat("€", 21)),
		`{"key":"a","on":"x","give":{"kind":"percent","amount":1}}`,
		`{"key":"a","on":"x","actor":"referred","convert":true}`,
		`{"key":"a","on":"person.created","give":{"kind":"points","unit":"p","amount":{"pct_bp":100,"of":"person.fields.n"}}}`,
	} {
		if _, err := rule.Parse("rules", []byte("["+text+"]"), rule.Options{World: shop()}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	withUnit, withSegments := shop(), shop()
	withUnit.Unit, withSegments.Segments = "cents", true
	for text, world := range map[string]*rule.World{
		`{"key":"a","on":"x","give":{"kind":"points","amount":1}}`: withUnit,
		give(`"on":"x","if":{"member_of":"regulars"}`):             withSegments,
	} {
		if _, err := rule.Parse("rules", []byte("["+text+"]"), rule.Options{World: world}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
