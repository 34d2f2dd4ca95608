package message

import "testing"

func TestTheThemesThatWereUsedLastAreKept(t *testing.T) {
	c := newCache(10)
	a, b, d, large := versionOf{version: "a"}, versionOf{version: "b"}, versionOf{version: "d"}, versionOf{version: "large"}
	c.put(a, &theme{}, 4)
	c.put(b, &theme{}, 4)
	if c.get(a) == nil || c.get(b) == nil {
		t.Fatal("what fits is not kept")
	}
	c.get(a)
	c.put(d, &theme{}, 4)
	if c.get(b) != nil || c.get(a) == nil || c.get(d) == nil {
		t.Error("the one that has rested longest is kept")
	}
	c.put(large, &theme{}, 100)
	if c.get(large) == nil || c.get(a) != nil || c.get(d) != nil {
		t.Error("one that is too large is not kept alone")
	}
	c.put(a, &theme{}, 4)
	if c.get(large) != nil || c.get(a) == nil {
		t.Error("the large one stays beside another")
	}
}
