package rehook

import (
	"net/http"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func TestATestWhoseAnswerBrokeOffDidNotSucceed(t *testing.T) {
	got := showTest(webhook.Attempt{ResponseStatus: http.StatusOK, Verdict: wire.Retry, Error: "the answer ended too early"})
	if got.Success || got.Status != http.StatusOK || got.Error != "the answer ended too early" {
		t.Errorf("%+v", got)
	}
}
