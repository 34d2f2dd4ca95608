package code_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var at = time.Date(2016, 6, 28, 23, 10, 36, 418_000_000, time.UTC)

func newID() id.ID { return id.New(at) }

// newFor returns who asks for a referral code of a tenant.
func newFor(tenant id.ID, first, last string) code.New {
	return code.New{
		TenantID: tenant, Kind: code.Referral, ProgramID: newID(), MembershipID: newID(), PersonID: newID(),
		First: first, Last: last, At: at,
	}
}

func mustMint(t testing.TB, d *db.DB, n code.New) (code.Code, bool) {
	t.Helper()
	var c code.Code
	var fresh bool
	mustWrite(t, d, func(tx *db.Tx) error {
		var err error
		c, fresh, err = code.Mint(tx, n)
		return err
	})
	return c, fresh
}

func claim(t testing.TB, d *db.DB, n code.New, text string) (code.Code, bool, error) {
	t.Helper()
	var c code.Code
	var fresh bool
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		var err error
		c, fresh, err = code.Claim(tx, n, "referralCode", text)
		return err
	})
	return c, fresh, err
}

func mustClaim(t testing.TB, d *db.DB, n code.New, text string) (code.Code, bool) {
	t.Helper()
	c, fresh, err := claim(t, d, n, text)
	if err != nil {
		t.Fatal(err)
	}
	return c, fresh
}

func mustWrite(t testing.TB, d *db.DB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, d *db.DB, fn func(q db.Queryer) error) {
	t.Helper()
	if err := d.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// texts returns the codes of a list; the primary one has a star.
func texts(codes []code.Code) []string {
	var all []string
	for _, c := range codes {
		if c.Primary {
			all = append(all, c.Text+"*")
			continue
		}
		all = append(all, c.Text)
	}
	return all
}

func mustByMembership(t testing.TB, d *db.DB, n code.New) []string {
	t.Helper()
	var codes []code.Code
	mustRead(t, d, func(q db.Queryer) error {
		var err error
		codes, err = code.ByMembership(q, n.TenantID, n.MembershipID)
		return err
	})
	return texts(codes)
}

func TestADefaultCodeIsMadeFromTheName(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	random := `^[BCDFGHJKMNPQRTVWXY346789]{8}$`
	for name, tt := range map[string]struct{ first, last, want string }{
		"as on the page":            {"Mike", "Keenerson", `^MIKEKEENERSON$`},
		"a first name alone":        {"Mike", "", `^MIKE$`},
		"accents":                   {"José", "Núñez-Ångström", `^JOSENUNEZANGSTROM$`},
		"an apostrophe and space":   {"Mary Ann", "O'Neil", `^MARYANNONEIL$`},
		"letters that have none":    {"Łukasz", "Weiß", `^LUKASZWEISS$`},
		"ligatures of letters":      {"Ægir", "Þórsson", `^AEGIRTHORSSON$`},
		"Turkish":                   {"İbrahim", "Işık", `^IBRAHIMISIK$`},
		"full-width letters":        {"Ｍｉｎ", "Ａｏ", `^MINAO$`},
		"digits":                    {"R2", "D2", `^R2D2$`},
		"a long name":               {strings.Repeat("Wolfe", 100), "Schmidt", `^(WOLFE){6}WO$`},
		"another script":            {"Иван", "Петров", random},
		"a script without letters":  {"小明", "王", random},
		"one letter":                {"X", "", random},
		"no name":                   {"", "", random},
		"no letters":                {"???", "🎉", random},
		"bytes that are no UTF-8":   {"\xff\xfe", "\x00", random},
		"a megabyte of accents":     {strings.Repeat("\u0301", 1<<19), "Li", random},
		"a name cut in a character": {strings.Repeat("ü", 200), "", `^U{32}$`},
	} {
		t.Run(name, func(t *testing.T) {
			c, fresh := mustMint(t, d, newFor(newID(), tt.first, tt.last))
			if !fresh || !regexp.MustCompile(tt.want).MatchString(c.Text) || c.Folded != c.Text {
				t.Errorf("code %q, folded %q, new: %v", c.Text, c.Folded, fresh)
			}
		})
	}
}

func TestACodeIsReadAsItWasMadeHoweverItIsAskedFor(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "Mike", "Keenerson")
	made, _ := mustMint(t, d, n)
	want := code.Code{
		TenantID: n.TenantID, Text: "MIKEKEENERSON", Folded: "MIKEKEENERSON", Short: made.Short, Kind: code.Referral,
		ProgramID: n.ProgramID, MembershipID: n.MembershipID, PersonID: n.PersonID, Primary: true, Active: true, CreatedAt: at,
	}
	mustRead(t, d, func(q db.Queryer) error {
		typed, err1 := code.Lookup(q, n.TenantID, " mikeKeenerson ")
		short, err2 := code.LookupShort(q, made.Short)
		primary, err3 := code.Primary(q, n.TenantID, n.MembershipID)
		person, err4 := code.ByPerson(q, n.TenantID, n.PersonID)
		people, err5 := code.PrimaryOf(q, n.TenantID, []id.ID{newID(), n.PersonID, {}})
		for _, got := range slices.Concat([]code.Code{made, typed, short, primary}, person, people[n.PersonID]) {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("code (-want +got):\n%s", diff)
			}
		}
		if len(person) != 1 || len(people) != 1 || len(people[n.PersonID]) != 1 {
			t.Errorf("the person has %v, and of several people they have %v", person, people)
		}
		return errors.Join(err1, err2, err3, err4, err5)
	})
}

func TestNobodyFindsACodeThatIsNotThereOrAnothersTenant(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "Mike", "Keenerson")
	made, _ := mustMint(t, d, n)
	other := newID()
	mustRead(t, d, func(q db.Queryer) error {
		for name, ask := range map[string]func() (code.Code, error){
			"another tenant's":     func() (code.Code, error) { return code.Lookup(q, other, made.Text) },
			"unknown":              func() (code.Code, error) { return code.Lookup(q, n.TenantID, "mikey") },
			"hostile":              func() (code.Code, error) { return code.Lookup(q, n.TenantID, "a\x00\xff' OR 1=1") },
			"a short one, folded":  func() (code.Code, error) { return code.LookupShort(q, strings.ToUpper(made.Short)+"!") },
			"a short one, hostile": func() (code.Code, error) { return code.LookupShort(q, "a\x00\xffbcdefg") },
			"a short one, unknown": func() (code.Code, error) { return code.LookupShort(q, "zzzzzzzzz") },
			"primary, nobody's":    func() (code.Code, error) { return code.Primary(q, n.TenantID, id.ID{}) },
			"primary, another's":   func() (code.Code, error) { return code.Primary(q, other, n.MembershipID) },
		} {
			if _, err := ask(); !problem.NotFound.Has(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, of := range []id.ID{{}, other} {
			codes, err := code.ByMembership(q, of, n.MembershipID)
			byPerson, err2 := code.ByPerson(q, n.TenantID, of)
			if len(codes)+len(byPerson) != 0 || err != nil || err2 != nil {
				t.Errorf("%v, %v, %v, %v", codes, byPerson, err, err2)
			}
		}
		return nil
	})
}

func TestAMembershipKeepsTheCodeThatItHas(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "Mike", "Keenerson")
	first, _ := mustMint(t, d, n)
	n.First, n.At = "Michael", at.Add(time.Hour)
	again, fresh := mustMint(t, d, n)
	if fresh || again != first {
		t.Errorf("minted again: %+v, new: %v", again, fresh)
	}
	if got := mustByMembership(t, d, n); len(got) != 1 {
		t.Errorf("the membership has %v", got)
	}
}

func TestTheSameNameGetsTheSameCodeInAnotherTenantAndAnotherShortOne(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	here, _ := mustMint(t, d, newFor(newID(), "Mike", "Keenerson"))
	there, _ := mustMint(t, d, newFor(newID(), "Mike", "Keenerson"))
	if here.Text != there.Text || here.Short == there.Short {
		t.Errorf("codes %s and %s, short %s and %s", here.Text, there.Text, here.Short, there.Short)
	}
}

func TestTwoHundredNamesakesEachGetACode(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	tenant := newID()
	variant := regexp.MustCompile(`^JOHNSMITH(\d{2,6})?$`)
	seen := map[string]bool{}
	for i := range 200 {
		c, fresh := mustMint(t, d, newFor(tenant, "John", "Smith"))
		if !fresh || seen[c.Folded] || !variant.MatchString(c.Text) {
			t.Fatalf("John Smith the %d. gets %q", i+1, c.Text)
		}
		if i == 0 && c.Text != "JOHNSMITH" {
			t.Errorf("the first gets %q", c.Text)
		}
		seen[c.Folded] = true
	}
}

func TestNamesakesWhoComeAtOnceEachGetACode(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	tenant := newID()
	minted := make([]code.Code, 12)
	var minting sync.WaitGroup
	for i := range minted {
		n := newFor(tenant, "John", "Smith")
		minting.Go(func() {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				var err error
				minted[i], _, err = code.Mint(tx, n)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	minting.Wait()
	seen := map[string]bool{}
	for _, c := range minted {
		if seen[c.Folded] {
			t.Errorf("%q was given twice", c.Text)
		}
		seen[c.Folded] = true
	}
}

func TestOneOfTwoWhoWantACodeAtOnceGetsIt(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	tenant := newID()
	for range 10 {
		text := "vanity-" + newID().String()
		wanted := [2]code.New{newFor(tenant, "", ""), newFor(tenant, "", "")}
		var errs [2]error
		var claiming sync.WaitGroup
		for i, n := range wanted {
			claiming.Go(func() { _, _, errs[i] = claim(t, d, n, text) })
		}
		claiming.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		if errs[winner] != nil || !problem.Conflict.Has(errs[1-winner]) {
			t.Fatalf("one gets %v, the other %v", errs[0], errs[1])
		}
		mustRead(t, d, func(q db.Queryer) error {
			c, err := code.Lookup(q, tenant, text)
			if c.MembershipID != wanted[winner].MembershipID {
				t.Error("the code belongs to the one who was told that it is taken")
			}
			return err
		})
	}
}

func TestAChosenCodeBecomesThePrimaryOneAndTheOneBeforeGoesOnWorking(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "Mike", "Keenerson")
	mustMint(t, d, n)
	n.At = at.Add(time.Hour)
	chosen, fresh := mustClaim(t, d, n, " Big-Mike ")
	if !fresh || chosen.Text != "Big-Mike" || chosen.Folded != "BIG-MIKE" || !chosen.Primary {
		t.Errorf("chosen: %+v, new: %v", chosen, fresh)
	}
	steps := []struct {
		text string
		want []string
	}{
		{"Big-Mike", []string{"Big-Mike*", "MIKEKEENERSON"}},
		{"BIG-MIKE", []string{"BIG-MIKE*", "MIKEKEENERSON"}},
		{"mikekeenerson", []string{"mikekeenerson*", "BIG-MIKE"}},
	}
	for _, step := range steps {
		c, fresh := mustClaim(t, d, n, step.text)
		if fresh || !c.Active {
			t.Errorf("%s, again: %+v, new: %v", step.text, c, fresh)
		}
		if diff := cmp.Diff(step.want, mustByMembership(t, d, n)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.text, diff)
		}
	}
	if again, fresh := mustMint(t, d, n); fresh || again.Text != "mikekeenerson" {
		t.Errorf("minted %q, new: %v", again.Text, fresh)
	}
}

func TestACodeOfAnotherIsTakenHoweverItIsSpelt(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	tenant := newID()
	mustClaim(t, d, newFor(tenant, "", ""), "Straße")
	other := newFor(tenant, "", "")
	mustMint(t, d, other)
	before := mustByMembership(t, d, other)
	for _, text := range []string{"Straße", "STRASSE", "ｓｔｒａｓｓｅ"} {
		_, _, err := claim(t, d, other, text)
		if !problem.Conflict.Has(err) || strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if diff := cmp.Diff(before, mustByMembership(t, d, other)); diff != "" {
		t.Errorf("who asked in vain has other codes now (-before +after):\n%s", diff)
	}
	coupon := other
	coupon.Kind = code.Coupon
	for _, text := range []string{"strasse", before[0][:len(before[0])-1]} {
		if _, _, err := claim(t, d, coupon, text); !problem.Conflict.Has(err) {
			t.Errorf("%s, as a coupon: %v", text, err)
		}
	}
}

func TestACodeThatIsNobodysIsNobodysPrimaryOneAndGivenOnce(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	coupon := code.New{TenantID: newID(), Kind: code.Coupon, ProgramID: newID(), At: at}
	if c, fresh := mustClaim(t, d, coupon, "TWENTY"); !fresh || c.Primary || !c.MembershipID.IsZero() {
		t.Errorf("%+v, new: %v", c, fresh)
	}
	if _, _, err := claim(t, d, coupon, "twenty"); !problem.Conflict.Has(err) {
		t.Errorf("a second time: %v", err)
	}
	first, _ := mustMint(t, d, coupon)
	second, fresh := mustMint(t, d, coupon)
	if !fresh || first.Folded == second.Folded {
		t.Errorf("minted %q and %q", first.Text, second.Text)
	}
}

func TestWhatIsNoCodeIsRefusedUnderItsField(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "", "")
	for text, want := range map[string]string{
		"":                       "must not be empty",
		"secret value":           "must have only letters, digits, and the characters - _ . between them",
		".secret":                "must have only letters, digits, and the characters - _ . between them",
		strings.Repeat("x", 65):  "must have at most 64 characters",
		strings.Repeat("x", 1e6): "must have at most 64 characters",
		"secret\xff":             "must be valid UTF-8",
	} {
		_, _, err := claim(t, d, n, text)
		e, ok := errors.AsType[*problem.Error](err)
		if !ok || e.Code != problem.Invalid {
			t.Errorf("%.20q: %v", text, err)
			continue
		}
		if diff := cmp.Diff([]problem.Field{{Name: "referralCode", Message: want}}, e.Fields); diff != "" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q is refused with %v", text, err)
		}
	}
}

func TestAMembershipHasAHundredCodesAtMostAndMayGoBackToEach(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "Mike", "Keenerson")
	mustWrite(t, d, func(tx *db.Tx) error {
		for i := range 100 {
			if _, _, err := code.Claim(tx, n, "referralCode", "mike"+string(rune('0'+i/10))+string(rune('0'+i%10))); err != nil {
				return err
			}
		}
		return nil
	})
	if _, _, err := claim(t, d, n, "onemore"); !problem.Conflict.Has(err) {
		t.Errorf("the hundred and first: %v", err)
	}
	if c, fresh := mustClaim(t, d, n, "mike00"); fresh || !c.Primary {
		t.Errorf("back to the first: %+v, new: %v", c, fresh)
	}
	if got := mustByMembership(t, d, n); len(got) != 100 || got[0] != "mike00*" || strings.HasSuffix(got[1], "*") {
		t.Errorf("%d codes, %v", len(got), got[:2])
	}
}

func TestACodeThatIsNotActiveStaysTakenAndIsFoundAsSuch(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	n := newFor(newID(), "Mike", "Keenerson")
	mustMint(t, d, n)
	set := func(fn func(*db.Tx, id.ID, string) (bool, error), text string) (bool, error) {
		changed := false
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			var err error
			changed, err = fn(tx, n.TenantID, text)
			return err
		})
		return changed, err
	}
	active := func() bool {
		var c code.Code
		mustRead(t, d, func(q db.Queryer) error {
			var err error
			c, err = code.Lookup(q, n.TenantID, "mikekeenerson")
			return err
		})
		return c.Active
	}
	for i, step := range []struct {
		fn      func(*db.Tx, id.ID, string) (bool, error)
		changed bool
		active  bool
	}{{code.Activate, false, true}, {code.Deactivate, true, false}, {code.Deactivate, false, false}, {code.Activate, true, true}} {
		if changed, err := set(step.fn, "MikeKeenerson"); err != nil || changed != step.changed || active() != step.active {
			t.Errorf("step %d: changed: %v, active: %v, %v", i+1, changed, active(), err)
		}
	}
	if _, err := set(code.Deactivate, "nobody"); !problem.NotFound.Has(err) {
		t.Errorf("a code that there is not: %v", err)
	}
	if _, err := set(code.Deactivate, "mikekeenerson"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := claim(t, d, newFor(n.TenantID, "", ""), "mikekeenerson"); !problem.Conflict.Has(err) {
		t.Errorf("somebody else: %v", err)
	}
	if c, _ := mustClaim(t, d, n, "MIKEKEENERSON"); c.Active {
		t.Error("who repeats a request activates the code")
	}
}

func TestCodesAreFoundByTheirShortOnesAndNoOtherTenantsAre(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	var shorts []string
	want := make(map[string]code.Code)
	for i, tenant := range []id.ID{{1}, {1}, {2}} {
		n := code.New{TenantID: tenant, ProgramID: id.ID{9}, MembershipID: id.ID{byte(i + 1)}, PersonID: id.ID{byte(i + 1)}}
		c, _ := mustMint(t, d, n)
		shorts = append(shorts, c.Short, c.Short)
		if tenant == (id.ID{1}) {
			want[c.Short] = c
		}
	}
	mustRead(t, d, func(q db.Queryer) error {
		got, err := code.ByShort(q, id.ID{1}, append(shorts, "none", ""))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		return err
	})
}
