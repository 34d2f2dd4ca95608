package code_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

// Links are kept in e-mails and posts for years: the file may gain lines, and no
// line may change.
func TestTheLinksOfACodeAreTheGoldenOnes(t *testing.T) {
	const short = "7hGk2QmZx"
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", code.CleanPath(short))
	for _, engagement := range code.Engagements() {
		for _, share := range code.Shares() {
			fmt.Fprintf(&b, "%s %s %s\n", code.Path(short, code.Link{Engagement: engagement, Share: share}), engagement, share)
		}
	}
	file := filepath.Join("testdata", "links.golden")
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("links (-golden +now):\n%s", diff)
	}
}

func TestEveryLinkIsReadAsItWasMade(t *testing.T) {
	const base58 = "[1-9A-HJ-NP-Za-km-z]"
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.StringMatching(base58+"{9}").Draw(t, "short")
		link := code.Link{
			Engagement: rapid.SampledFrom(code.Engagements()).Draw(t, "engagement"),
			Share:      rapid.SampledFrom(code.Shares()).Draw(t, "share"),
		}
		if gotShort, got, ok := code.ParsePath(code.Path(short, link)); !ok || gotShort != short || got != link {
			t.Fatalf("%s of %+v is read as %s of %+v, %v", short, link, gotShort, got, ok)
		}
	})
}

func TestALinkOfMediaThatNobodyKnowsStillLeadsToItsCode(t *testing.T) {
	unknown := code.Link{Engagement: code.UnknownEngagement, Share: code.UnknownShare}
	paths := []string{
		code.CleanPath("7hGk2QmZx"),
		code.Path("7hGk2QmZx", code.Link{}),
		code.Path("7hGk2QmZx", code.Link{Engagement: "FRIDGE", Share: "PIGEON"}),
		"/r/7hGk2QmZxzz",
	}
	for _, path := range paths {
		if short, link, ok := code.ParsePath(path); !ok || short != "7hGk2QmZx" || link != unknown {
			t.Errorf("%s is read as %q of %+v, %v", path, short, link, ok)
		}
	}
}

func TestWhatIsNoLinkIsNotReadAsOne(t *testing.T) {
	for _, path := range []string{
		"", "/", "/r", "/r/", "/r/7hGk2Qm", "/r/7hGk2QmZxu", "/r/7hGk2QmZxuuu", "/r/7hGk2QmZxu0", "/r/7hGk2QmZ0", "/r/7hGk2QmZxuu/",
		"/r/../../etc", "/r/7hGk2QmZ\x00", "r/7hGk2QmZxuu", "/R/7hGk2QmZxuu", "/r/" + strings.Repeat("7", 1<<16),
	} {
		if short, link, ok := code.ParsePath(path); ok || short != "" || link != (code.Link{}) {
			t.Errorf("%.40q is read as %q of %+v", path, short, link)
		}
	}
}
