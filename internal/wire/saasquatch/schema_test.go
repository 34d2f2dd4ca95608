package saasquatch_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
)

func mustRead(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func mustCompile(t *testing.T, schema []byte) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", mustRead(t, schema)); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// The golden file lists the changes to samples that the schemas accept. They are
// in maps that are open by nature and, in the shapes of 2020, of keys that the
// vendor's schemas don't require.
func TestSchemasRefuseWhatLacksAKeyOrHasAnotherOrAnotherType(t *testing.T) {
	var tolerated []string
	for version, settings := range map[string]wire.Settings{"2016": v2016, "2020": v2020} {
		for _, e := range (saasquatch.Dialect{}).Catalogue(settings) {
			schema := mustCompile(t, e.Schema)
			for _, s := range samples(e) {
				value := mustRead(t, s.Data)
				if err := schema.Validate(value); err != nil {
					t.Errorf("%s of %s: %v", s.Name, version, err)
				}
				changes := make(map[string]any)
				change(changes, version+" "+s.Name, value, func(changed any) any { return changed })
				for what, changed := range changes {
					if schema.Validate(changed) == nil {
						tolerated = append(tolerated, what)
					}
				}
			}
		}
	}
	slices.Sort(tolerated)
	got := strings.Join(tolerated, "\n") + "\n"
	const golden = "testdata/tolerated.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run the test with -update if this is meant (-committed +now):\n%s", diff)
	}
}

// change adds to a map, under a description, all that comes of leaving out a key
// of a value, adding one, or giving it another type, at each depth. whole puts a
// part back into what it is a part of.
func change(to map[string]any, path string, value any, whole func(any) any) {
	object, ok := value.(map[string]any)
	if !ok {
		return
	}
	with := func(key string, member any) any {
		changed := maps.Clone(object)
		changed[key] = member
		return whole(changed)
	}
	to[path+": one more key"] = with("another", "text")
	for key, member := range object {
		less := maps.Clone(object)
		delete(less, key)
		to[path+"."+key+": not there"] = whole(less)
		to[path+"."+key+": another type"] = with(key, anotherType(member))
		change(to, path+"."+key, member, func(part any) any { return with(key, part) })
	}
}

func anotherType(value any) any {
	if _, ok := value.([]any); ok {
		return "text"
	}
	return []any{json.Number("1")}
}

func TestTheSecondsOfACouponAreNotTakenForMilliseconds(t *testing.T) {
	schema := mustCompile(t, find(t, v2016, "coupon.created").Schema)
	for data, good := range map[string]bool{
		`{"codeString":"A","discountPercentage":"10","dateCreated":1386180000,"ratePlanId":null}`:    true,
		`{"codeString":"A","discountPercentage":"12.5","dateCreated":1386180000,"ratePlanId":"p"}`:   true,
		`{"codeString":"A","discountPercentage":null,"dateCreated":1386180000,"ratePlanId":null}`:    true,
		`{"codeString":"A","discountPercentage":"10","dateCreated":1386180000000,"ratePlanId":null}`: false,
		`{"codeString":"A","discountPercentage":"10%","dateCreated":1386180000,"ratePlanId":null}`:   false,
		`{"codeString":"A","discountPercentage":10,"dateCreated":1386180000,"ratePlanId":null}`:      false,
	} {
		if err := schema.Validate(mustRead(t, []byte(data))); (err == nil) != good {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// mustCompileVendors returns one of the vendor's schemas of webhooks.
func mustCompileVendors(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	path, err := filepath.Abs("../../../.tools/node_modules/@saasquatch/schema/json/webhooks/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(path)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("'make tools' did not install what this test needs: %v", err)
	}
	if err != nil {
		t.Skipf("needs the npm package @saasquatch/schema, which 'make tools' installs: %v", err)
	}
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// refused are the page's shapes that the vendor's later schemas refuse, which is
// why there are two versions.
var refused = []string{"coupon.created", "export.completed", "export.created", "reward.created", "reward.created.credit", "reward.created.fueltank", "user.created"}

// unknown are the page's events that the vendor's later schemas don't list.
var unknown = []string{
	"email.referral.paid", "email.referral.rewardLimitReached", "email.referral.started", "email.referred.reward.earned",
	"referral.automoderation.complete", "referral.ended", "test", "theme.publish.finished",
}

func TestTheVendorsSchemasAcceptAllOfTheirVersionAndWhatDidNotChange(t *testing.T) {
	webhook := mustCompileVendors(t, "Webhook")
	for _, test := range []struct {
		settings wire.Settings
		refused  []string
	}{{v2016, append(slices.Clone(refused), unknown...)}, {v2020, unknown}} {
		slices.Sort(test.refused)
		var got []string
		for _, e := range (saasquatch.Dialect{}).Catalogue(test.settings) {
			bodies := make(map[string]string)
			addBodies(bodies, "", e)
			for _, s := range samples(e) {
				if err := webhook.Validate(mustRead(t, []byte(bodies[s.Name+".json"]))); err != nil {
					got = append(got, s.Name)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.refused, got); diff != "" {
			t.Errorf("%v: refused bodies (-want +got):\n%s", test.settings, diff)
		}
	}
}

func TestReferralsThatTheVendorsSchemasDoNotListHaveTheShapeThatTheyHaveForReferrals(t *testing.T) {
	referral := mustCompileVendors(t, "ReferralData")
	for _, settings := range []wire.Settings{v2016, v2020} {
		for _, eventType := range []string{"referral.automoderation.complete", "referral.ended"} {
			if err := referral.Validate(mustRead(t, find(t, settings, eventType).Sample)); err != nil {
				t.Errorf("%s of %v: %v", eventType, settings, err)
			}
		}
	}
}
