package partnerstack

import (
	"bytes"
	"embed"
	"fmt"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// files has a sample of each event type, and the schemas. A family whose events
// differ in `event` alone shares a schema, which leaves that member open.
//
//go:embed catalogue/*.json
var files embed.FS

const (
	page     = "PartnerStack, Webhooks"
	testType = "webhook.test"
)

var testData = read(testType + ".sample")

// Catalogue lists the events of the page, and the one that tests an endpoint.
func (Dialect) Catalogue(s wire.Settings) []wire.EventType {
	if s.Of(literalSlips) == on {
		return printed
	}
	return catalogue
}

// printed is the catalogue of those who want the page's slips.
var printed = asPrinted(catalogue)

// published are the names of the catalogue that Resolve accepts.
var published = wire.Published(catalogue, testType)

var catalogue = []wire.EventType{
	{
		Name:        "agreement.accepted",
		Description: "A member of a partner's team has accepted the program's terms.",
		Source:      page + ", Agreement Events",
		Schema:      schema("agreement.accepted", "agreement.accepted"),
		Sample:      read("agreement.accepted.sample"),
	},
	{
		Name:        "application.created",
		Description: "Somebody has applied to become a partner.",
		Source:      page + ", Application Events",
		Schema:      schema("application.created", "application"),
		Sample:      read("application.created.sample"),
	},
	{
		Name:        "application.approved",
		Description: "An application was approved.",
		Source:      page + ", Application Events",
		Schema:      schema("application.approved", "application"),
		Sample:      read("application.approved.sample"),
		Remarks:     []wire.Remark{{Kind: wire.Added, Text: `The page has one sample for the three events, of an application that nobody has decided; here approved is true.`}},
	},
	{
		Name:        "application.declined",
		Description: "An application was declined.",
		Source:      page + ", Application Events",
		Schema:      schema("application.declined", "application"),
		Sample:      read("application.declined.sample"),
		Remarks:     []wire.Remark{{Kind: wire.Added, Text: `The page has one sample for the three events, of an application that nobody has decided; here approved is false.`}},
	},
	{
		Name:        "partnership.created",
		Description: "A partner has joined the program.",
		Source:      page + ", Partnership Events",
		Schema:      schema("partnership.created", "partnership"),
		Sample:      read("partnership.created.sample"),
	},
	{
		Name:        "partnership.updated",
		Description: "A partner's key or group was changed through the API.",
		Source:      page + ", Partnership Events",
		Schema:      schema("partnership.updated", "partnership"),
		Sample:      read("partnership.updated.sample"),
		Remarks:     []wire.Remark{ownEvent("partnership.updated")},
	},
	{
		Name:        "partnership.tags_updated",
		Description: "A partner's tags have changed.",
		Source:      page + ", Partnership Events",
		Schema:      schema("partnership.tags_updated", "partnership.tags_updated"),
		Sample:      read("partnership.tags_updated.sample"),
		Remarks: []wire.Remark{
			ownEvent("partnership.tags_updated"),
			{Kind: wire.Added, Text: `The page's sample does not say which tags the partner has now; tags does.`},
		},
	},
	{
		Name:        "customer.created",
		Description: "A new customer's signup was tracked.",
		Source:      page + ", Customer Events",
		Schema:      schema("customer.created", "customer"),
		Sample:      read("customer.created.sample"),
		Remarks:     []wire.Remark{ownEvent("customer.created")},
	},
	{
		Name:        "customer.updated",
		Description: "Something that is known of a customer has changed, such as name or e-mail address.",
		Source:      page + ", Customer Events",
		Schema:      schema("customer.updated", "customer"),
		Sample:      read("customer.updated.sample"),
	},
	{
		Name:        "customer.deleted",
		Description: "A customer was archived.",
		Source:      page + ", Customer Events",
		Schema:      schema("customer.deleted", "customer"),
		Sample:      read("customer.deleted.sample"),
		Remarks: []wire.Remark{
			ownEvent("customer.deleted"),
			{Kind: wire.Added, Text: `The page's sample is of a customer who is not archived; here archived is true.`},
		},
	},
	{
		Name:        "transaction.created",
		Description: "A new transaction of a customer was tracked.",
		Source:      page + ", Transaction Events",
		Schema:      schema("transaction.created", "transaction"),
		Sample:      read("transaction.created.sample"),
		Remarks:     []wire.Remark{correctedEvent("transaction.created")},
	},
	{
		Name:        "transaction.updated",
		Description: "A transaction has changed.",
		Source:      page + ", Transaction Events",
		Schema:      schema("transaction.updated", "transaction"),
		Sample:      read("transaction.updated.sample"),
		Remarks:     []wire.Remark{correctedEvent("transaction.updated")},
	},
	{
		Name:        "lead.created",
		Description: "A new lead was made.",
		Source:      page + ", Lead Events",
		Schema:      schema("lead.created", "lead"),
		Sample:      read("lead.created.sample"),
		Remarks:     []wire.Remark{python},
	},
	{
		Name:        "lead.updated",
		Description: "A lead has changed.",
		Source:      page + ", Lead Events",
		Schema:      schema("lead.updated", "lead"),
		Sample:      read("lead.updated.sample"),
		Remarks:     []wire.Remark{python, ownEvent("lead.updated")},
	},
	{
		Name:        "deal.created",
		Description: "A new deal was made.",
		Source:      page + ", Deal Events",
		Schema:      schema("deal.created", "deal"),
		Sample:      read("deal.created.sample"),
		Remarks:     []wire.Remark{commas},
	},
	{
		Name:        "deal.updated",
		Description: "A deal has changed.",
		Source:      page + ", Deal Events",
		Schema:      schema("deal.updated", "deal"),
		Sample:      read("deal.updated.sample"),
		Remarks:     []wire.Remark{commas},
	},
	{
		Name:        "training.course_completed",
		Description: "A partner has completed a course.",
		Source:      page + ", Training Events",
		Schema:      schema("training.course_completed", "training.course_completed"),
		Sample:      read("training.course_completed.sample"),
		Remarks: []wire.Remark{
			commas,
			correctedEvent("training.course_completed"),
			{Kind: wire.Added, Text: `The page's sample does not say which course was completed; course does.`},
		},
	},
	{
		Name:        "training.learning_path_completed",
		Description: "A partner has completed a learning path.",
		Source:      page + ", Training Events",
		Schema:      schema("training.learning_path_completed", "training.learning_path_completed"),
		Sample:      read("training.learning_path_completed.sample"),
		Remarks: []wire.Remark{
			commas,
			correctedEvent("training.learning_path_completed"),
			{Kind: wire.Added, Text: `The page's sample does not say which learning path was completed; path does.`},
		},
	},
	{
		Name:        "partner_team.member_created",
		Description: "Somebody has become a member of a partner's team.",
		Source:      page + ", Partner Team Member Event",
		Schema:      schema("partner_team.member_created", "partner_team"),
		Sample:      read("partner_team.member_created.sample"),
	},
	{
		Name:        "partner_team.member_removed",
		Description: "A member of a partner's team was removed.",
		Source:      page + ", Partner Team Member Event",
		Schema:      schema("partner_team.member_removed", "partner_team"),
		Sample:      read("partner_team.member_removed.sample"),
	},
	{
		Name:        "action.created",
		Description: "A new action of a customer or a partner was recorded.",
		Source:      page + ", Action Events",
		Schema:      schema("action.created", "action"),
		Sample:      read("action.created.sample"),
		Remarks:     []wire.Remark{actionKey},
	},
	{
		Name:        "action.updated",
		Description: "An action has changed.",
		Source:      page + ", Action Events",
		Schema:      schema("action.updated", "action"),
		Sample:      read("action.updated.sample"),
		Remarks:     []wire.Remark{actionKey},
	},
	{
		Name:        "message.created",
		Description: "A message was written to a partner or by one. What one user writes within two minutes comes as one message.",
		Source:      page + ", Message Events",
		Schema:      schema("message.created", "message.created"),
		Sample:      read("message.created.sample"),
	},
	{
		Name:        testType,
		Description: "Sent to a subscription, saved or not, that somebody tests.",
		Source:      "Grapevine",
		Schema:      schema(testType, testType),
		Sample:      testData,
		Remarks:     []wire.Remark{{Kind: wire.Ours, Text: `PartnerStack lists no event that tests an endpoint.`}},
	},
}

var (
	python    = wire.Remark{Kind: wire.Corrected, Text: `The page's sample is written in Python, with None, False and ''; here it is JSON.`}
	commas    = wire.Remark{Kind: wire.Corrected, Text: `The page's sample has commas before closing braces, which JSON does not allow.`}
	actionKey = wire.Remark{Kind: wire.Corrected, Text: `The key in the page's sample begins as a lead's does; here it begins with "actn_".`}
)

// ownEvent is the remark of a type that the page's sample does not name in
// `event`, since it is of another event of the family.
func ownEvent(eventType string) wire.Remark {
	return wire.Remark{Kind: wire.Added, Text: fmt.Sprintf(`The page has one sample for the family, of another event; here event is %q.`, eventOf(eventType))}
}

// correctedEvent is the remark of a type of which the page's sample has a slip in
// `event`.
func correctedEvent(eventType string) wire.Remark {
	return wire.Remark{Kind: wire.Corrected, Text: fmt.Sprintf(
		`In the page's sample event is %q; here it is %q, unless the setting literal_slips is on.`, slips[eventType], eventOf(eventType),
	)}
}

// asPrinted returns the catalogue with the page's slips in the samples. Their
// schemas allow what is right as well, since Encode takes either.
func asPrinted(corrected []wire.EventType) []wire.EventType {
	list := slices.Clone(corrected)
	for i, e := range list {
		slip, ok := slips[e.Name]
		if !ok {
			continue
		}
		either := fmt.Sprintf(`{"enum":[%q,%q]}`, eventOf(e.Name), slip)
		list[i].Schema = bytes.Replace(e.Schema, constEvent(e.Name), []byte(either), 1)
		list[i].Sample = withEvent(e.Sample, slip)
		list[i].Remarks = slices.DeleteFunc(slices.Clone(e.Remarks), func(r wire.Remark) bool { return r == correctedEvent(e.Name) })
	}
	return list
}

// schema returns what a family's schema is for one type: the member `event`, if
// there is one, says that type.
func schema(eventType, family string) []byte {
	const open = `"event":true`
	return bytes.Replace(read(family+".schema"), []byte(open), append([]byte(`"event":`), constEvent(eventType)...), 1)
}

// constEvent is the schema of the member `event` of a type.
func constEvent(eventType string) []byte { return fmt.Appendf(nil, `{"const":%q}`, eventOf(eventType)) }

func read(name string) []byte { return wire.MustRead(files, "catalogue/"+name+".json") }
