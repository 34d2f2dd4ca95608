package saasquatch

import (
	"embed"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

//go:embed catalogue
var files embed.FS

// Where the events and their shapes are written.
const (
	thePage    = "SaaSquatch, API Webhooks"
	theSchemas = "SaaSquatch, npm package @saasquatch/schema 2.0.0, json/webhooks"
)

// catalogue2016 is the page's, in its order. The data have the keys of the page's
// samples.
var catalogue2016 = []wire.EventType{
	{
		Name:        "user.created",
		Description: "There is a new user, whichever way it was created. Changes and deletions of users send nothing.",
		Source:      thePage,
		Schema:      schema("user.created"),
		Sample:      sample("user.created"),
	},
	{
		Name:        "coupon.created",
		Description: "There is a new referral code.",
		Source:      thePage,
		Schema:      schema("coupon.created"),
		Sample:      sample("coupon.created"),
	},
	{
		Name:        "reward.created",
		Description: "There is a new reward. The data are the reward as List Rewards returns it.",
		Source:      thePage,
		Schema:      schema("reward.created"),
		Sample:      sample("reward.created"),
		Variants: []wire.Sample{
			{Name: "credit", Data: sample("reward.created.credit")},
			{Name: "fueltank", Data: sample("reward.created.fueltank")},
		},
		Remarks: []wire.Remark{{
			Kind: wire.Ours,
			Text: "The page shows a discount only. A credit and a fuel tank code have the keys that List Rewards has for them.",
		}},
	},
	{
		Name:        "email.referred.reward.earned",
		Description: "A referred user has earned a reward. The data are the e-mail about it.",
		Source:      thePage,
		Schema:      schema("email"),
		Sample:      sample("email.referred.reward.earned"),
	},
	{
		Name:        "email.referral.started",
		Description: "A referral has started. The data are the e-mail about it.",
		Source:      thePage,
		Schema:      schema("email.referral.started"),
		Sample:      sample("email.referral.started"),
	},
	{
		Name:        "email.referral.paid",
		Description: "A referred user pays for a subscription now. The data are the e-mail about it. Classic programs only.",
		Source:      thePage,
		Schema:      schema("email"),
		Sample:      sample("email.referral.paid"),
	},
	{
		Name:        "email.referral.rewardLimitReached",
		Description: "A user has earned as many rewards as there can be for referrals. The data are the e-mail about it.",
		Source:      thePage,
		Schema:      schema("email.referral.rewardLimitReached"),
		Sample:      sample("email.referral.rewardLimitReached"),
	},
	{
		Name:        "referral.automoderation.complete",
		Description: "A referral was moderated for the first time, which happens automatically.",
		Source:      thePage,
		Schema:      schema("referral"),
		Sample:      sample("referral.automoderation.complete"),
		Remarks:     []wire.Remark{ownType},
	},
	{
		Name:        "referral.started",
		Description: "A referrer and a referred user are connected now.",
		Source:      thePage,
		Schema:      schema("referral"),
		Sample:      sample("referral.started"),
	},
	{
		Name:        "referral.converted",
		Description: "A referral has converted.",
		Source:      thePage,
		Schema:      schema("referral"),
		Sample:      sample("referral.converted"),
	},
	{
		Name:        "referral.ended",
		Description: "A referral was cancelled, or the referred user was.",
		Source:      thePage,
		Schema:      schema("referral.ended"),
		Sample:      sample("referral.ended"),
	},
	{
		Name:        "theme.publish.finished",
		Description: "A theme of the tenant was published successfully.",
		Source:      thePage,
		Schema:      schema("theme.publish.finished"),
		Sample:      sample("theme.publish.finished"),
	},
	{
		Name:        "export.created",
		Description: "An export of the tenant's data was requested and waits for its turn.",
		Source:      thePage,
		Schema:      schema("export"),
		Sample:      sample("export.created"),
	},
	{
		Name:        "export.completed",
		Description: "An export of the tenant's data is done and can be downloaded.",
		Source:      thePage,
		Schema:      schema("export"),
		Sample:      sample("export.completed"),
	},
	{
		Name:        testType,
		Description: "Sent to a subscription that somebody tests, and to no other.",
		Source:      thePage,
		Schema:      schema("test"),
		Sample:      sample("test"),
	},
	{
		Name: "user.reward.balance.changed",
		Description: "What a user can redeem of one unit of credit has changed, by a new reward, a redemption, a cancellation or an expiry. " +
			"Events can arrive in another order: the greatest resourceVersion has the balance.",
		Source: theSchemas,
		Schema: schema("user.reward.balance.changed"),
		Sample: sample("user.reward.balance.changed"),
		Remarks: []wire.Remark{{
			Kind: wire.Ours,
			Text: "The page does not list it. The keys are those of the published schema, which has no sample.",
		}},
	},
}

// ownType stands in both catalogues.
var ownType = wire.Remark{
	Kind: wire.Corrected,
	Text: "The page's sample says referral.started in its type. The type is the one that the page lists the event under.",
}

// catalogue2020 is the page's with the shapes of the published schemas where they
// differ. Required is what the page has, under its newer name, and what the
// schema requires; what else the schema knows may be there.
var catalogue2020 = revise(catalogue2016, []wire.EventType{
	{
		Name:   "user.created",
		Source: theSchemas,
		Schema: schema("2020/user.created"),
		Sample: sample("2020/user.created"),
		Variants: []wire.Sample{
			{Name: "program", Data: sample("2020/user.created.program")},
		},
		Remarks: []wire.Remark{newerForms},
	},
	{
		Name:    "coupon.created",
		Source:  theSchemas,
		Schema:  schema("2020/coupon.created"),
		Sample:  sample("2020/coupon.created"),
		Remarks: []wire.Remark{newerShape},
	},
	{
		Name:   "reward.created",
		Source: theSchemas,
		Schema: schema("2020/reward.created"),
		Sample: sample("2020/reward.created"),
		Variants: []wire.Sample{
			{Name: "credit", Data: sample("2020/reward.created.credit")},
			{Name: "fueltank", Data: sample("2020/reward.created.fueltank")},
			{Name: "integration", Data: sample("2020/reward.created.integration")},
		},
		Remarks: []wire.Remark{newerForms},
	},
	{
		Name:    "referral.automoderation.complete",
		Source:  thePage,
		Schema:  schema("2020/referral"),
		Sample:  sample("2020/referral.automoderation.complete"),
		Remarks: []wire.Remark{ownType, likeReferral},
	},
	{
		Name:   "referral.started",
		Source: theSchemas,
		Schema: schema("2020/referral"),
		Sample: sample("2020/referral.started"),
		Variants: []wire.Sample{
			{Name: "program", Data: sample("2020/referral.started.program")},
		},
		Remarks: []wire.Remark{newerForms},
	},
	{
		Name:   "referral.converted",
		Source: theSchemas,
		Schema: schema("2020/referral"),
		Sample: sample("2020/referral.converted"),
		Variants: []wire.Sample{
			{Name: "program", Data: sample("2020/referral.converted.program")},
		},
		Remarks: []wire.Remark{newerForms},
	},
	{
		Name:    "referral.ended",
		Source:  thePage,
		Schema:  schema("2020/referral.ended"),
		Sample:  sample("2020/referral.ended"),
		Remarks: []wire.Remark{likeReferral},
	},
	{
		Name:    "export.created",
		Source:  theSchemas,
		Schema:  schema("2020/export"),
		Sample:  sample("2020/export.created"),
		Remarks: []wire.Remark{newerShape},
	},
	{
		Name:    "export.completed",
		Source:  theSchemas,
		Schema:  schema("2020/export"),
		Sample:  sample("2020/export.completed"),
		Remarks: []wire.Remark{newerShape},
	},
})

// The remarks on more than one event.
var (
	newerShape = wire.Remark{
		Kind: wire.Ours,
		Text: "The schemas have no samples. This is the page's in the newer shape.",
	}
	newerForms = wire.Remark{
		Kind: wire.Ours,
		Text: "The schemas have no samples. The first is the page's with the keys that were added; the others are ours.",
	}
	likeReferral = wire.Remark{
		Kind: wire.Ours,
		Text: "The schemas don't list it. The shape is the one that they have for referrals of Classic programs.",
	}
)

// revise returns a catalogue with other shapes, under the descriptions that it has.
func revise(catalogue, shapes []wire.EventType) []wire.EventType {
	revised := slices.Clone(catalogue)
	for _, shape := range shapes {
		i := slices.IndexFunc(revised, func(e wire.EventType) bool { return e.Name == shape.Name })
		shape.Description = revised[i].Description
		revised[i] = shape
	}
	return revised
}

// publishable are the names of the catalogue that Resolve accepts.
var publishable = wire.Published(catalogue2016, testType)

func schema(name string) []byte { return wire.MustRead(files, "catalogue/"+name+".schema.json") }

func sample(name string) []byte { return wire.MustRead(files, "catalogue/"+name+".sample.json") }
