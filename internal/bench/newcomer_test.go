package bench

import (
	"encoding/json"
	"testing"
)

func TestEverybodyIsSomebodyElse(t *testing.T) {
	const n = 20_000
	users, addresses, names := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range newcomer(n) {
		users[i.user()], addresses[i.email()], names[i.first()+" "+i.last()] = true, true, true
	}
	if len(users) != n || len(addresses) != n {
		t.Errorf("%d people have %d ids and %d addresses", n, len(users), len(addresses))
	}
	if len(names) < n/2 {
		t.Errorf("%d people have only %d names", n, len(names))
	}
	if again := newcomer(7); again.email() != newcomer(7).email() || newcomer(7).email() == newcomer(8).email() {
		t.Error("a number does not stand for one person")
	}
}

func TestANewcomerSaysByWhoseCodeTheyCame(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"by a code", "ADALINDFORD", `{"code":"ADALINDFORD"}`},
		{"by none", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := newcomer(5).body(c.code)
			if err != nil {
				t.Fatal(err)
			}
			var told struct {
				ID, AccountID, FirstName, LastName, Email string
				ReferredBy                                json.RawMessage
			}
			if err := json.Unmarshal(body, &told); err != nil {
				t.Fatal(err)
			}
			if told.ID != "u00000005" || told.AccountID != "a00000005" || told.FirstName == "" || told.LastName == "" || told.Email == "" {
				t.Errorf("told %s", body)
			}
			if got := string(told.ReferredBy); got != c.want {
				t.Errorf("referred by %s, want %s", got, c.want)
			}
		})
	}
}

func TestEverybodyRefersAsOften(t *testing.T) {
	c, chance := new(crowd), dice(1)
	if by := c.referrer(chance); by != (member{}) {
		t.Errorf("nobody is there, and %+v refers", by)
	}
	const people, draws = 1_000, 20_000
	for i := range newcomer(people) {
		c.join(member{i, i.user()})
	}
	referred := make([]int, people)
	for range draws {
		referred[c.referrer(chance).newcomer]++
	}
	early, late := 0, 0
	for i := range 100 {
		early, late = early+referred[i], late+referred[people-1-i]
	}
	if early < 1_800 || early > 2_200 || late < 1_800 || late > 2_200 {
		t.Errorf("of %d the first hundred refer %d and the last hundred %d", draws, early, late)
	}
}

func TestASampleHasNobodyTwice(t *testing.T) {
	c := new(crowd)
	for i := range newcomer(100) {
		c.join(member{i, i.user()})
	}
	for want, asked := range map[int]int{30: 30, 100: 1_000} {
		got := map[newcomer]bool{}
		for _, m := range c.sample(asked) {
			got[m.newcomer] = true
		}
		if len(got) != want {
			t.Errorf("a sample of %d has %d different people", asked, len(got))
		}
	}
}
