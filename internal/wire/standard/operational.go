package standard

import (
	"strings"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// The types of the events that tell a tenant how its own webhooks fare. They are
// subscribed to by name only: "*" stands for the publisher's own and for those that
// tell of programs.
const (
	SubscriptionCreated  = "webhook.subscription.created"
	SubscriptionUpdated  = "webhook.subscription.updated"
	SubscriptionDeleted  = "webhook.subscription.deleted"
	SubscriptionFailing  = "webhook.subscription.failing"
	SubscriptionDisabled = "webhook.subscription.disabled"
	SubscriptionEnabled  = "webhook.subscription.enabled"
	DeliveryFailed       = "webhook.delivery.failed"
	ReplayCompleted      = "webhook.replay.completed"
)

// IsOperational reports whether the type, or the types that the pattern stands for,
// tell of the webhooks themselves; only Grapevine sends those.
func IsOperational(eventType string) bool { return strings.HasPrefix(eventType, reserved) }

// The schemas of what operational events tell of.
const (
	subscriptionSchema = `"subscription":{"type":"object","properties":{` +
		`"id":{"type":"string"},"dialect":{"type":"string"},"description":{"type":"string"},` +
		`"status":{"type":"string","enum":["enabled","disabled","deleted"]},"reason":{"type":"string"}},` +
		`"required":["id","dialect","status"]}`
	healthSchema = `"health":{"type":"object","properties":{` +
		`"state":{"type":"string","enum":["ok","failing"]},"reason":{"type":"string"},"error_class":{"type":"string"},` +
		`"failures":{"type":"integer"},"since":{"type":"string","format":"date-time"}},` +
		`"required":["state","failures"]}`

	aboutSubscription = `{"type":"object","properties":{` + subscriptionSchema + `},"required":["subscription"]}`
	aboutHealth       = `{"type":"object","properties":{` + subscriptionSchema + `,` + healthSchema + `,"days":{"type":"integer"}},"required":["subscription"]}`
	aboutDelivery     = `{"type":"object","properties":{"delivery":{"type":"object","properties":{` +
		`"id":{"type":"string"},"event_id":{"type":"string"},"event_type":{"type":"string"},"subscription_id":{"type":"string"},` +
		`"attempts":{"type":"integer"},"response_status":{"type":"integer"},"reason":{"type":"string"}},` +
		`"required":["id","event_id","event_type","subscription_id","attempts","reason"]}},"required":["delivery"]}`
	aboutReplay = `{"type":"object","properties":{"replay":{"type":"object","properties":{` +
		`"id":{"type":"string"},"kind":{"type":"string","enum":["replay","recover"]},"state":{"type":"string"},` +
		`"total":{"type":"integer"},"done":{"type":"integer"},"skipped":{"type":"integer"}},` +
		`"required":["id","kind","state","done","skipped"]}},"required":["replay"]}`

	shownSubscription = `"subscription":{"id":"sub_019a9c1d2f3b5e8d7c6a4f10","dialect":"standard","description":"Billing"`
)

// operational are the types that tell of the webhooks themselves.
var operational = asOperational([]wire.EventType{
	{
		Name: SubscriptionCreated, Description: "A subscription was created.", Source: ours,
		Schema: []byte(aboutSubscription), Sample: []byte(`{` + shownSubscription + `,"status":"enabled"}}`),
	},
	{
		Name: SubscriptionUpdated, Description: "A subscription was changed, or its secret rotated.", Source: ours,
		Schema: []byte(aboutSubscription), Sample: []byte(`{` + shownSubscription + `,"status":"enabled"}}`),
	},
	{
		Name: SubscriptionDeleted, Description: "A subscription was deleted. Its pending deliveries are cancelled.", Source: ours,
		Schema: []byte(aboutSubscription), Sample: []byte(`{` + shownSubscription + `,"status":"deleted","reason":"subscription_deleted"}}`),
	},
	{
		Name:        SubscriptionFailing,
		Description: "An endpoint has begun to fail: a delivery has used up its attempts, or ten attempts in a row failed. Sent again after 1, 3 and 4 days without a success, with the days.",
		Source:      ours, Schema: []byte(aboutHealth),
		Sample: []byte(`{` + shownSubscription + `,"status":"enabled"},` +
			`"health":{"state":"failing","reason":"failed_in_row","error_class":"timeout","failures":10,"since":"2026-11-20T08:15:30.123456Z"}}`),
	},
	{
		Name: SubscriptionDisabled, Description: "A subscription was disabled: by hand, because its endpoint answered 410, or after five days without a success.",
		Source: ours, Schema: []byte(aboutHealth), Sample: []byte(`{` + shownSubscription + `,"status":"disabled","reason":"gone"}}`),
	},
	{
		Name: SubscriptionEnabled, Description: "A subscription was enabled again.", Source: ours,
		Schema: []byte(aboutHealth), Sample: []byte(`{` + shownSubscription + `,"status":"enabled"}}`),
	},
	{
		Name: DeliveryFailed, Description: "A delivery has used up its attempts. It can be sent again as long as it is kept.", Source: ours,
		Schema: []byte(aboutDelivery),
		Sample: []byte(`{"delivery":{"id":"dlv_019a9c1d2f3b5e8d7c6a4f10019a9c1d2f3b5e8d7c6a4f11","event_id":"evt_019a9c1d2f3b5e8d7c6a4f10",` +
			`"event_type":"invoice.paid","subscription_id":"sub_019a9c1d2f3b5e8d7c6a4f11","attempts":10,"response_status":500,"reason":"server_error"}}`),
	},
	{
		Name: ReplayCompleted, Description: "A replay, or the recovery of a subscription, has ended.", Source: ours,
		Schema: []byte(aboutReplay),
		Sample: []byte(`{"replay":{"id":"job_019a9c1d2f3b5e8d7c6a4f10","kind":"recover","state":"completed","total":120,"done":118,"skipped":2}}`),
	},
})

func asOperational(types []wire.EventType) []wire.EventType {
	for i := range types {
		types[i].Operational = true
	}
	return types
}
