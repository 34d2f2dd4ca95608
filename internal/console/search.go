package console

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// deliverySearch is what a list of deliveries is restricted to, as it was typed.
type deliverySearch struct {
	Status  string
	Webhook string // its id
	Type    string // of the event
	Answer  string // to the last attempt: 404, or 4xx
	Reason  string
	Since   string
	Until   string
	Data    string // a path in the event's data, a colon and a value
}

// parameters are the fields by their names in addresses.
func (s *deliverySearch) parameters() map[string]*string {
	return map[string]*string{
		"status": &s.Status, "webhook": &s.Webhook, "type": &s.Type, "answer": &s.Answer,
		"reason": &s.Reason, "since": &s.Since, "until": &s.Until, "data": &s.Data,
	}
}

func readSearch(q url.Values) deliverySearch {
	var s deliverySearch
	for name, field := range s.parameters() {
		*field = q.Get(name)
	}
	return s
}

// path returns the address of the list.
func (s deliverySearch) path(t tenant.Tenant) string {
	q := url.Values{}
	for name, field := range s.parameters() {
		if *field != "" {
			q.Set(name, *field)
		}
	}
	if len(q) == 0 {
		return deliveriesPath(t)
	}
	return deliveriesPath(t) + "?" + q.Encode()
}

// Any reports whether the list is restricted at all.
func (s deliverySearch) Any() bool { return s != deliverySearch{} }

// Further reports whether it is restricted by more than a status and a webhook,
// for which there are indexes. A list that may have to look at much does not keep
// itself up to date.
func (s deliverySearch) Further() bool {
	s.Status, s.Webhook = "", ""
	return s.Any()
}

// Reasons returns the reasons that can be chosen, with the one that is.
func (s deliverySearch) Reasons() []string {
	if s.Reason == "" || slices.Contains(reasonsOfDeliveries, s.Reason) {
		return reasonsOfDeliveries
	}
	return append(slices.Clone(reasonsOfDeliveries), s.Reason)
}

// filter reads what was typed, and notes what is wrong with it.
func (s deliverySearch) filter(wrong mistakes) webhook.DeliveryFilter {
	f := webhook.DeliveryFilter{
		Status: s.Status, EventType: s.Type, Reason: s.Reason, Since: wrong.time("since", s.Since), Until: wrong.time("until", s.Until),
	}
	known := func(status webhook.Status) bool { return status.String() == s.Status }
	if s.Status != "" && !slices.ContainsFunc(shownStatuses, known) {
		wrong["status"] = "This is not one that a delivery can have."
	}
	var err error
	if s.Webhook != "" {
		if f.SubscriptionID, err = id.Subscription.Parse(s.Webhook); err != nil {
			wrong["webhook"] = "This is not the id of one."
		}
	}
	if s.Answer != "" {
		if f.ResponseStatus, f.ResponseClass = readAnswer(s.Answer); f.ResponseStatus+f.ResponseClass == 0 {
			wrong["answer"] = "This must be a status, such as 404, or a class, such as 4xx."
		}
	}
	if s.Data != "" {
		if f.Data, err = webhook.ReadDataFilter(s.Data); err != nil {
			wrong["data"] = sentence("This " + err.Error())
		}
	}
	return f
}

// readAnswer reads a status, or the first digit of a class of them. Both are zero
// where the text is neither.
func readAnswer(text string) (int, int) {
	if len(text) != 3 || text[0] < '1' || text[0] > '5' {
		return 0, 0
	}
	if text[1:] == "xx" {
		return 0, int(text[0] - '0')
	}
	status, err := strconv.Atoi(text)
	if err != nil {
		return 0, 0
	}
	return status, 0
}
