package standard

import (
	"embed"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

//go:embed catalogue
var files embed.FS

// native are the types of the events by which Grapevine tells what happens in a
// tenant's programs. They are subscribed to like the publisher's own, also by "*".
// Nobody is kept from publishing under the same names; the schemas describe what
// Grapevine sends.
var native = []wire.EventType{
	tells("person.created", "person", "There is a new person."),
	tells("person.updated", "person", "Something about a person has changed."),
	tells("person.blocked", "person", "A person was blocked, and takes part in no program until unblocked."),
	tells("person.unblocked", "person", "A person who was blocked may take part again."),
	tells("person.deleted", "person", "A person was deleted. What identified them is gone from the data as well."),
	tells("account.changed", "account", "An account has a state, or another one. Its key is the account_id of its people."),
	tells("code.created", "code", "A person has a new referral code."),
	tells("referral.started", "referral", "A referrer and a referred person are connected."),
	tells("referral.moderated", "referral", "A referral was moderated, by rules or by hand: each side of it is approved, denied or still pending."),
	tells("referral.converted", "referral", "A referral has converted: the referred person did what the program rewards."),
	tells("referral.retracted", "referral", "A conversion was taken back, after a refund for instance. The referral is as it was before and may convert again."),
	tells("referral.ended", "referral", "A referral has ended: it was cancelled, or the referred person was."),
	tells("referral.resumed", "referral", "A referral that had ended goes on, since what had ended it was taken back: the referred person was unblocked, for instance."),
	tells("reward.pending", "reward", "A person was given a reward that becomes available later."),
	tells("reward.available", "reward", "A reward can be redeemed from now on."),
	tells("reward.redeemed", "reward", "A reward was redeemed, all of it or a part: redeemed says how much in all, and state whether that is all of it."),
	tells("reward.expired", "reward", "A reward has expired before all of it was redeemed."),
	tells("reward.cancelled", "reward", "A reward was cancelled, by hand or since what it was given for was taken back."),
	tells("reward.reinstated", "reward", "A reward that was cancelled counts again."),
	tells("reward.limit_reached", "limit", "A person has earned as much as a rule of a program gives in its window."),
	tells("wallet.credited", "wallet", "Something was added to a balance of a person."),
	tells("wallet.debited", "wallet", "Something was taken from a balance of a person: change is negative."),
	tells("message.created", "message", "There is a message to a person, for whoever sends it."),
	tells("theme.published", "theme", "A theme of the tenant was published."),
	tells("export.created", "export", "An export of data was requested and waits for its turn."),
	tells("export.completed", "export", "An export of data is done."),
	tells("activity.tracked", "activity", "Something that a person did was reported."),
}

// tells returns the type of events that tell of something, which is the one member of
// their data.
func tells(name, member, description string) wire.EventType {
	return wire.EventType{
		Name: name, Description: description, Source: ours,
		Schema: read(member + ".schema"), Sample: read(name + ".sample"),
	}
}

func read(name string) []byte { return wire.MustRead(files, "catalogue/"+name+".json") }
