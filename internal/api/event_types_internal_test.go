package api

import (
	"slices"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestEventTypesArePagedInTheOrderOfTheRegistry(t *testing.T) {
	types := []eventTypeJSON{
		{Dialect: "standard", Name: "webhook.test"}, {Dialect: "other", Name: "a"}, {Dialect: "other", Name: "b"}, {Dialect: "third", Name: "a"}, {Dialect: "third", Name: "c"},
	}
	for limit, pages := range map[int]int{1: 5, 2: 3, 4: 2, 5: 1, 50: 1} {
		var got []string
		p := Paging{Limit: limit}
		for n := 1; ; n++ {
			part, err := pageOfTypes(types, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range part.Data {
				got = append(got, e.Dialect+" "+e.Name)
			}
			if p.Cursor = part.NextCursor; p.Cursor == "" {
				if n != pages {
					t.Errorf("limit %d: %d pages, want %d", limit, n, pages)
				}
				break
			}
		}
		if want := []string{"standard webhook.test", "other a", "other b", "third a", "third c"}; !slices.Equal(got, want) {
			t.Errorf("limit %d: %q", limit, got)
		}
	}
}

func TestACursorOfEventTypesHoldsItsPlaceWhenACatalogueGrows(t *testing.T) {
	types := []eventTypeJSON{{Dialect: "d", Name: "b"}, {Dialect: "d", Name: "c"}}
	part, err := pageOfTypes(types, Paging{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	grown := append([]eventTypeJSON{{Dialect: "d", Name: "a"}}, types...)
	part, err = pageOfTypes(grown, Paging{Limit: 5, Cursor: part.NextCursor})
	if err != nil || len(part.Data) != 1 || part.Data[0].Name != "c" {
		t.Errorf("%+v, %v", part, err)
	}
	if _, err := pageOfTypes(types[:1], Paging{Limit: 5, Cursor: types[1].cursor()}); !problem.Invalid.Has(err) {
		t.Errorf("a cursor of something that is not in the list: %v", err)
	}
}
