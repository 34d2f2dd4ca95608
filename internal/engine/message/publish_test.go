package message_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"

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
		err := w.write(func(tx *db.Tx) error {
			_, err := w.Publish(tx, w.tenant)
			return err
		})
		if !problem.Conflict.Has(err) {
			t.Errorf("published twice at once: %v", err)
		}
		w.jobs.Start()
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

func BenchmarkRender(b *testing.B) {
	w := mustWorld(b)
	w.mustSet(started, message.Template{
		Subject: "Hello {{.user.firstName}}",
		Message: "<p>{{.referredUser.firstName}}</p><a href=\"{{.shareLinks.shareLink}}\">x</a>",
	})
	w.mustStart()
	w.jobs.Start()
	<-w.told
	values := message.Sample(message.ReferralStarted)
	b.ReportAllocs()
	for b.Loop() {
		w.mustRender(started, values)
	}
}
