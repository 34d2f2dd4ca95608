package saasquatch

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/edge"
)

func TestAnObjectIsWrittenAlikeAloneAndInAnother(t *testing.T) {
	o := object{
		{"text", "<b> & \u2028 \"é\""},
		{"nothing", (*string)(nil)},
		{"fields", json.RawMessage(`{ "a": [1, "<"] }`)},
		{"inner", object{{"empty", object(nil)}, {"list", []object{{{"n", 1}}, {}}}}},
		{"links", map[string]string{"b": "2", "a": "1"}},
	}
	want := `{"text":"<b> & \u2028 \"é\"","nothing":null,"fields":{"a":[1,"<"]},"inner":{"empty":{},"list":[{"n":1},{}]},"links":{"a":"1","b":"2"}}`
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"alone":      {o, want + "\n"},
		"in another": {struct{ In object }{o}, `{"In":` + want + "}\n"},
	} {
		if got, err := edge.Marshal(c.value); err != nil || string(got) != c.want {
			t.Errorf("%s:\n%s, not\n%s: %v", name, got, c.want, err)
		}
	}
	if _, err := edge.Marshal(object{{"none", math.Inf(1)}}); err == nil {
		t.Error("what can't be written is written")
	}
}
