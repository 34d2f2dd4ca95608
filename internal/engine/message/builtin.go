package message

import (
	"encoding/json"
	"maps"
)

// builtInSchema describes the variables of the built-in theme. Tenants that
// describe none have these.
var builtInSchema = json.RawMessage(`{"type":"object","title":"Texts of messages","properties":{` +
	`"companyName":{"type":"string","title":"Company","description":"How messages call the company; empty: by the program's name","default":"","maxLength":200},` +
	`"referredStarts":{"type":"string","title":"When a referral starts","description":"What the referred person signed up for","default":"a trial account","maxLength":200},` +
	`"referredPays":{"type":"string","title":"When a referral converts","description":"What the referred person signed up for","default":"a paid subscription","maxLength":200}}}`)

// The phrases that the built-in templates share.
const (
	theReferred = `{{with .referredUser}}{{if .firstName}}{{.firstName}}{{with .lastName}} {{.}}{{end}}{{else}}Somebody{{end}}{{end}}`
	theCompany  = `{{default .program.name .variables.companyName}}`
	whatsEarned = `{{default "a reward" .reward.name}}`
	greeting    = `<p>Hi {{default "there" .user.firstName}},</p>`
)

// builtInTemplates say what a tenant says nothing of its own about.
var builtInTemplates = map[Type]Template{
	ReferralStarted: {
		Subject: `Congratulations! ` + theReferred + ` signed up for {{.variables.referredStarts}}.`,
		Message: greeting + `<p>` + theReferred + ` signed up for {{.variables.referredStarts}} with your link. ` +
			`Thank you for spreading the word about ` + theCompany + `!</p>`,
	},
	ReferralPaid: {
		Subject: `Congratulations! ` + theReferred + ` signed up for {{.variables.referredPays}}.`,
		Message: greeting + `<p>` + theReferred + ` signed up for {{.variables.referredPays}}` +
			`{{with .reward.name}}, and you have earned {{.}}{{end}}. ` +
			`Thank you for spreading the word about ` + theCompany + `!</p>`,
	},
	ReferredRewardEarned: {
		Subject: `Congratulations! You have earned ` + whatsEarned + `!`,
		Message: greeting + `<p>You have earned ` + whatsEarned + `. Welcome to ` + theCompany + `!</p>` +
			`{{with .shareLinks.shareLink}}<p>Invite others with your own link: <a href="{{.}}">{{.}}</a></p>{{end}}`,
	},
	RewardLimitReached: {
		Format:  Text,
		Subject: `{{with .user.firstName}}{{.}}, it{{else}}It{{end}} looks like you've reached the top!`,
		Message: "Thank you{{with .user.firstName}} {{.}}{{end}},\r\n\r\n" +
			"You have told so many people about " + theCompany + " that you have earned all the rewards that we give for it. " +
			"You can still invite others{{with .referredReward.name}} and give them {{.}}{{end}}" +
			"{{with .shareLinks.shareLink}} with your link ({{.}}){{end}}. Please do!",
	},
}

// Values are what a message is about, by name: maps with texts as keys, lists,
// texts, numbers, truth values, nil, and whatever encoding/json makes such of.
type Values map[string]any

// Sample returns values as a message of the type has them: all that templates may
// name, but for variables, locale and assetVersion, which the theme adds. What is
// missing in the values of a message, or nil, is there in its templates: nil, or as
// an object the fields of which are.
func Sample(of Type) Values {
	values := Values{
		"program": map[string]any{"id": "referral", "name": "Acme Referrals"},
		"user":    sampleUser("Will", "Example"),
		"shareLinks": map[string]any{
			"shareLink": "https://refer.example.com/r/mPbcF5", "emailShareLink": "https://refer.example.com/r/mLbcEY",
			"facebookShareLink": "https://refer.example.com/r/mmbcEY", "twitterShareLink": "https://refer.example.com/r/mRbcEY",
			"linkedinShareLink": "https://refer.example.com/r/mnbcEY",
		},
		"referral": map[string]any{
			"id": "5773073ee4b066c5cb1718fc", "dateReferralStarted": int64(1467156286882), "dateReferralPaid": nil,
			"dateReferralEnded": nil, "moderationStatus": "PENDING",
		},
		"referrerUser":   sampleUser("Will", "Example"),
		"referredUser":   sampleUser("Susy", "Example"),
		"referrerReward": sampleReward("$20 of free credit", 2000),
		"referredReward": sampleReward("$10 of free credit", 1000),
		"reward":         nil,
	}
	switch of {
	case ReferralStarted:
	case ReferralPaid:
		values["reward"] = values["referrerReward"]
	case ReferredRewardEarned:
		values["user"], values["reward"] = values["referredUser"], values["referredReward"]
	case RewardLimitReached:
		values["referralRewardLimit"] = int64(4)
	}
	if values["reward"] == nil {
		values["reward"] = blank(sampleReward("", 0))
	}
	return values
}

func sampleUser(first, last string) map[string]any {
	return map[string]any{
		"id": "u1234", "accountId": "a1234", "firstName": first, "lastName": last, "email": "somebody@example.com",
		"referralCode": "MIKEKEENERSON", "imageUrl": "", "locale": nil, "customFields": map[string]any{},
	}
}

func sampleReward(name string, value int64) map[string]any {
	return map[string]any{"name": name, "value": value, "unit": "cents", "dateGiven": int64(1467156286882), "dateExpires": nil}
}

// blank returns an object with the fields of a sample, and those that have fields
// themselves in it.
func blank(sample map[string]any) map[string]any {
	made := make(map[string]any, len(sample))
	for name, value := range sample {
		made[name] = nil
		if fields, ok := value.(map[string]any); ok {
			made[name] = blank(fields)
		}
	}
	return made
}

// complete adds to an object what it lacks of its sample's fields, which are those of
// the blank one. What is in that it shares and does not change.
func complete(object, blank map[string]any) map[string]any {
	made := maps.Clone(blank)
	for name, value := range object {
		had, inSample := blank[name].(map[string]any)
		fields, isObject := value.(map[string]any)
		switch {
		case inSample && isObject:
			made[name] = complete(fields, had)
		case inSample && value == nil:
		default:
			made[name] = value
		}
	}
	return made
}
