package rehook

import (
	"embed"
	"errors"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Catalogue lists the events of the page's table, the two that only have a
// sample there, and the one that tests a subscription.
func (Dialect) Catalogue(wire.Settings) []wire.EventType { return catalogue }

const (
	page     = "Rehook, Webhook Configuration"
	testType = "webhook.test"
)

//go:embed catalogue/*.json
var files embed.FS

// The types of a family have one schema.
var (
	couponSchema   = read("coupon.schema")
	customerSchema = read("customer.schema")
	segmentSchema  = read("customer.segment.schema")
)

var catalogue = []wire.EventType{{
	Name: "customer.rewarded",
	Description: "A customer earned a reward. If its wallet has a transaction_id, the points are in the customer's wallet already. " +
		"If it has none, it is a webhook reward, and the receiver credits the points.",
	Source:   page,
	Schema:   read("customer.rewarded.schema"),
	Sample:   read("customer.rewarded.sample"),
	Variants: []wire.Sample{{Name: "webhook-reward", Data: read("customer.rewarded.webhook-reward.sample")}},
	Remarks:  []wire.Remark{{Kind: wire.Corrected, Text: "The times of the wallet are when it was credited. The page's sample has the first day of the year 1."}},
}, {
	Name:        "order_success",
	Description: "A customer ordered something. The metadata is what was reported of the order.",
	Source:      page,
	Schema:      read("order_success.schema"),
	Sample:      read("order_success.sample"),
}, {
	Name:        "signup",
	Description: "A customer signed up. The metadata is what was reported of it.",
	Source:      page,
	Schema:      read("signup.schema"),
	Sample:      read("signup.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "coupon.rewarded",
	Description: "A customer was given a coupon.",
	Source:      page,
	Schema:      couponSchema,
	Sample:      read("coupon.rewarded.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "coupon.created",
	Description: "There is a new coupon.",
	Source:      page,
	Schema:      couponSchema,
	Sample:      read("coupon.created.sample"),
	Remarks: []wire.Remark{noSample, {
		Kind: wire.Ours, Text: "While the coupon is nobody's, CustomerID is null and source_id is \"NA\", the page's word for a customer that there is not.",
	}},
}, {
	Name:        "coupon.redeemed",
	Description: "A customer used a coupon.",
	Source:      page,
	Schema:      couponSchema,
	Sample:      read("coupon.redeemed.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "customer.meta.updated",
	Description: "Properties of a customer changed. The metadata is those that changed, with their new values.",
	Source:      page,
	Schema:      read("customer.meta.updated.schema"),
	Sample:      read("customer.meta.updated.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "customer.referred",
	Description: "A friend logged in with an advocate's referral code. It is the friend's event.",
	Source:      page,
	Schema:      read("customer.referred.schema"),
	Sample:      read("customer.referred.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        inTheTable + "advocate",
	Description: "An advocate earned a reward, since a friend signed up with their code and did what the campaign's rule for advocates asks. It is the advocate's event.",
	Source:      page,
	Schema:      read("customer.referral.successful.advocate.schema"),
	Sample:      read("customer.referral.successful.advocate.sample"),
	Remarks:     []wire.Remark{twoSpellings},
}, {
	Name:        inTheTable + "friend",
	Description: "A friend, signed up with an advocate's code, did what the campaign's rule for friends asks and earned a reward. It is the friend's event.",
	Source:      page,
	Schema:      read("customer.referral.successful.friend.schema"),
	Sample:      read("customer.referral.successful.friend.sample"),
	Remarks:     []wire.Remark{twoSpellings},
}, {
	Name:        "customer.leaderboard.awarded",
	Description: "A round of a leaderboard ended, and a participant earned a reward. As in customer.rewarded, a wallet without transaction_id leaves the points to the receiver.",
	Source:      page,
	Schema:      read("customer.leaderboard.awarded.schema"),
	Sample:      read("customer.leaderboard.awarded.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "customer.created",
	Description: "There is a new customer.",
	Source:      page,
	Schema:      customerSchema,
	Sample:      read("customer.created.sample"),
}, {
	Name:        "coupon.redemption.rollback",
	Description: "The use of a coupon was undone.",
	Source:      page,
	Schema:      couponSchema,
	Sample:      read("coupon.redemption.rollback.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "customer.updated",
	Description: "A customer's details changed.",
	Source:      page,
	Schema:      customerSchema,
	Sample:      read("customer.updated.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "customer.segment.entered",
	Description: "A customer came to belong to a segment.",
	Source:      page,
	Schema:      segmentSchema,
	Sample:      read("customer.segment.entered.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "customer.segment.left",
	Description: "A customer stopped belonging to a segment.",
	Source:      page,
	Schema:      segmentSchema,
	Sample:      read("customer.segment.left.sample"),
	Remarks:     []wire.Remark{noSample},
}, {
	Name:        "wallet.credited",
	Description: "Points came into a customer's wallet.",
	Source:      page,
	Schema:      read("wallet.credited.schema"),
	Sample:      read("wallet.credited.sample"),
	Remarks:     []wire.Remark{notInTheTable},
}, {
	Name:        "wallet.debited",
	Description: "Points went out of a customer's wallet. How many is a positive number.",
	Source:      page,
	Schema:      read("wallet.debited.schema"),
	Sample:      read("wallet.debited.sample"),
	Remarks: []wire.Remark{notInTheTable, {
		Kind: wire.Corrected, Text: "The type is \"debit\" and the description says so. The page's sample repeats that of wallet.credited.",
	}},
}, {
	Name:        testType,
	Description: "Sent to a subscription, saved or not, that somebody tests. Its source_id is \"test\".",
	Source:      "Grapevine",
	Schema:      read("webhook.test.schema"),
	Sample:      testData,
	Remarks:     []wire.Remark{{Kind: wire.Ours, Text: "Rehook does not say what its test sends."}},
}}

var testData = read("webhook.test.sample")

// Remarks on several types.
var (
	noSample      = wire.Remark{Kind: wire.Ours, Text: "The page names the event and shows no body."}
	notInTheTable = wire.Remark{Kind: wire.Added, Text: "The page shows its body and leaves it out of the table of events."}
	twoSpellings  = wire.Remark{
		Kind: wire.Corrected, Text: "The page writes \"successful\" with one l at its end in the table, as this name has it, and with two in the sample, as event_name has it. Either is understood.",
	}
)

// published are the names that others than Grapevine may publish under.
var published = wire.Published(catalogue, testType)

var errUnknownType = errors.New("is no event type of Rehook, which has " + strings.Join(published, ", "))

func read(name string) []byte { return wire.MustRead(files, "catalogue/"+name+".json") }
