package referralloop

import (
	"embed"
	"errors"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Catalogue lists the page's events, and the one that tests a subscription.
func (Dialect) Catalogue(wire.Settings) []wire.EventType { return catalogue }

const (
	page     = "ReferralLoop, Webhooks"
	testType = "webhook.test"
)

//go:embed catalogue/*.json
var files embed.FS

var catalogue = []wire.EventType{{
	Name:        "signup.created",
	Description: "Somebody joined a waitlist. The name is null where none was given.",
	Source:      page,
	Schema:      read("signup.created.schema"),
	Sample:      read("signup.created.sample"),
}, {
	Name:        "signup.position_changed",
	Description: "A signup moved up or down in its waitlist. position_change is the new position less the old one: negative on the way up.",
	Source:      page,
	Schema:      read("signup.position_changed.schema"),
	Sample:      read("signup.position_changed.sample"),
}, {
	Name:        "signup.deleted",
	Description: "A signup was taken off its waitlist.",
	Source:      page,
	Schema:      read("signup.deleted.schema"),
	Sample:      read("signup.deleted.sample"),
}, {
	Name:        testType,
	Description: "Sent to a subscription, saved or not, that somebody tests. Its waitlist_id is all zeros.",
	Source:      "Grapevine",
	Schema:      read("webhook.test.schema"),
	Sample:      testData,
	Remarks:     []wire.Remark{{Kind: wire.Ours, Text: "ReferralLoop has no event for a test."}},
}}

var testData = read("webhook.test.sample")

// published are the names that others than Grapevine may publish under.
var published = wire.Published(catalogue, testType)

var errUnknownType = errors.New("is no event type of ReferralLoop, which has " + strings.Join(published, ", "))

func read(name string) []byte { return wire.MustRead(files, "catalogue/"+name+".json") }
