package message_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestADraftIsUsedOnceItIsPublished(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{Subject: "First", Message: "{{.assetVersion}}"})
		if made := w.mustRender(started, nil); made.Subject == "First" {
			t.Error("a draft is in use")
		}
		version, last := w.mustPublish()
		if last != message.PublishCompleted || len(version) != 8 || w.inUse() != version {
			t.Fatalf("version %q, in use %q: %s", version, w.inUse(), last)
		}
		if len(w.published) != 1 || w.published[0] != version {
			t.Errorf("told of %v", w.published)
		}
		w.mustSet(started, message.Template{Subject: "Second", Message: "x"})
		if made := w.mustRender(started, nil); made.Subject != "First" || made.Message != version || made.Version != version {
			t.Errorf("rendered %+v", made)
		}
		next, _ := w.mustPublish()
		if made := w.mustRender(started, nil); made.Subject != "Second" || next == version {
			t.Errorf("rendered %+v", made)
		}
	})
}

func TestAThemeWithMistakesIsNotPublishedAndAllOfThemAreNamed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		version, _ := w.mustPublish()
		w.mustSet(started, message.Template{Subject: "{{.usr.firstName}}", Message: "{{.variables.nothing}}"})
		w.mustSet(message.Place{Locale: "de", Type: message.ReferralPaid}, message.Template{Subject: "x", Message: "{{index .user 3}}"})
		_, last := w.mustPublish()
		if !strings.HasPrefix(last, message.PublishFailed) || w.inUse() != version || len(w.published) != 1 {
			t.Errorf("%s; in use %q, want %q; told of %v", last, w.inUse(), version, w.published)
		}
		said := ""
		for _, entry := range w.log() {
			said += entry.Message + "\n"
			if entry.At.IsZero() {
				t.Errorf("an entry without a time: %+v", entry)
			}
		}
		for _, want := range []string{message.PublishStarted, "referral_started subject", "usr", "nothing", "in de", "referral_paid message"} {
			if !strings.Contains(said, want) {
				t.Errorf("the log does not say %q:\n%s", want, said)
			}
		}
		w.mustSet(started, message.Template{Subject: "x", Message: "x"})
		w.mustWrite(func(tx *db.Tx) error { return message.DeleteLocale(tx, w.tenant, "de") })
		if _, last := w.mustPublish(); last != message.PublishCompleted {
			t.Errorf("once mended: %s", last)
		}
	})
}

func TestWhatIsPublishedIsTheDraftOfThatMoment(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{Subject: "First", Message: "x"})
		w.mustStart()
		w.mustSet(started, message.Template{Subject: "Second", Message: "x"})
		if _, err := w.Publish(t.Context(), w.tenant); !problem.Conflict.Has(err) {
			t.Errorf("published twice at once: %v", err)
		}
		w.start()
		synctest.Wait()
		if made := w.mustRender(started, nil); made.Subject != "First" {
			t.Errorf("rendered %+v", made)
		}
	})
}

func TestAPublicationThatIsCancelledLeavesTheThemeToBePublishedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustStart()
		w.mustWrite(func(tx *db.Tx) error {
			jobs, err := job.List(tx, w.tenant, "theme.publish", id.ID{}, 1)
			if err != nil {
				return err
			}
			return w.jobs.Cancel(tx, &jobs[0])
		})
		if log := w.log(); !strings.HasPrefix(log[len(log)-1].Message, message.PublishFailed) {
			t.Errorf("the log is %v", log)
		}
		if _, last := w.mustPublish(); last != message.PublishCompleted {
			t.Error(last)
		}
	})
}

func TestTheVersionInUseIsKeptHoweverOftenAThemeIsPublished(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{Subject: "Hello", Message: "x"})
		for range 13 {
			if _, last := w.mustPublish(); last != message.PublishCompleted {
				t.Fatal(last)
			}
			if made := w.mustRender(started, nil); made.Subject != "Hello" || made.Version != w.inUse() {
				t.Fatalf("rendered %+v", made)
			}
		}
	})
}

func TestAnotherServerRendersTheSame(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{Subject: "{{.user.firstName}} {{.variables.referredPays}}", Message: "x"})
		w.mustSetVariables("", `{"referredPays":"gold"}`)
		w.mustPublish()
		other := *w
		other.Service = w.mustServe()
		var rendering sync.WaitGroup
		for range 8 {
			rendering.Go(func() {
				if made := other.mustRender(started, message.Sample(message.ReferralStarted)); made.Subject != "Will gold" || made.Fallback != nil {
					t.Errorf("rendered %+v", made)
				}
			})
		}
		rendering.Wait()
	})
}

func TestWhoEditsOrPublishesAThemeIsOnRecord(t *testing.T) {
	w := mustWorld(t)
	ctx, at := t.Context(), message.Place{Locale: "en-gb", Type: message.ReferralPaid}
	var version string
	for _, do := range []func() error{
		func() error { return w.SetVariables(ctx, w.tenant, "de", json.RawMessage(`{"referredPays":"gold"}`)) },
		func() error { _, err := w.PatchVariables(ctx, w.tenant, "", json.RawMessage(`{}`)); return err },
		func() error { return w.SetTemplate(ctx, w.tenant, at, message.Template{Subject: "x", Message: "x"}) },
		func() error { return w.ResetTemplate(ctx, w.tenant, at) },
		func() error { return w.DeleteLocale(ctx, w.tenant, "de") },
		func() error { var err error; version, err = w.Publish(ctx, w.tenant); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.DeleteLocale(ctx, w.tenant, "de"); !problem.NotFound.Has(err) {
		t.Errorf("deleted twice: %v", err)
	}
	entries, err := audit.New(w.db, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := entries.Entries(ctx, audit.Filter{}, audit.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range found {
		got = append(got, fmt.Sprintf("%s %s %q", e.Action, e.Fields[0].Name, e.Fields[0].After))
	}
	slices.Sort(got)
	want := []string{
		`theme.published version "` + version + `"`, `theme.updated locale "de"`,
		`theme.updated referral_paid "en_GB"`, `theme.updated referral_paid "en_GB"`,
		`theme.updated variables ""`, `theme.updated variables "de"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entries (-want +got):\n%s", diff)
	}
}

func BenchmarkRender(b *testing.B) {
	w := mustWorld(b)
	w.mustSet(started, message.Template{
		Subject: "Hello {{.user.firstName}}",
		Message: "<p>{{.referredUser.firstName}}</p><a href=\"{{.shareLinks.shareLink}}\">x</a>",
	})
	w.mustStart()
	w.start()
	<-w.told
	values := message.Sample(message.ReferralStarted)
	b.ReportAllocs()
	for b.Loop() {
		w.mustRender(started, values)
	}
}
