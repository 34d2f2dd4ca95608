package fraud

import (
	"testing"

	"pgregory.net/rapid"
)

func TestANameInASCIIIsReadAsAnyOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := string(rapid.SliceOfN(rapid.ByteMax(0x7f), 0, 2*maxPart).Draw(t, "part"))
		if short, whole := plain(part), plainOf(part); short != whole {
			t.Errorf("%q is %q, not %q", part, short, whole)
		}
	})
}
