package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/verify"
)

// The program of the story, and where its events are received in the standard
// dialect.
const (
	demoProgram  = "friends"
	programsPath = "/programs"
)

// Bert, as SaaSquatch's clients name him.
const demoAccount, demoUser = "olsen", "bert"

// demoRules give to both sides of a referral, and take it back after a refund.
const demoRules = `[
	{"key": "advocate", "on": "purchase", "actor": "referred", "to": "referrer", "once": true, "convert": true,
	 "if": {"gte": ["event.amount", 5000]},
	 "give": {"kind": "credit", "amount": 2000, "unit": "cents"},
	 "undo_on": {"event": "refund", "match": {"eq": ["event.order_id", "cause.order_id"]}}},
	{"key": "friend", "on": "purchase", "actor": "referred", "to": "referred", "once": true,
	 "if": {"gte": ["event.amount", 5000]},
	 "give": {"kind": "credit", "amount": 1000, "unit": "cents"}}
]`

// scene is something that happens in the program.
type scene struct {
	what string
	play func(*story) error
}

// demoScenes are about Anna, who is reported to Grapevine's API, and Bert, who is
// reported by an application that was written for SaaSquatch's.
var demoScenes = []scene{
	{"Anna registers", func(s *story) error {
		_, err := s.client.ReportPerson(s.env.ctx, "anna", client.PersonReport{
			FirstName: new("Anna"), LastName: new("Adams"), Email: new("anna@example.com"),
		})
		return err
	}},
	{"Bert comes by her code", func(s *story) error {
		return s.askSaaSquatch(http.MethodPut, "", map[string]any{
			"id": demoUser, "accountId": demoAccount, "firstName": "Bert", "lastName": "Olsen", "email": "bert@example.org",
			"referredBy": map[string]string{"code": "ANNAADAMS"},
		})
	}},
	{"He buys for 60 €", func(s *story) error {
		return s.bertDoes("purchase", map[string]any{"order_id": "4711", "amount": 6000})
	}},
	{"He has it refunded", func(s *story) error {
		return s.bertDoes("refund", map[string]any{"order_id": "4711"})
	}},
}

// tellOfReferrals makes a referral program and shows the events of what happens in
// it, as they arrive in two dialects.
func (s *story) tellOfReferrals() error {
	fmt.Fprintf(s.env.out, "\nIt has a referral program: whoever sends a friend gets 20 € when that friend buys for 50 € or more, and the friend gets 10 €.\n"+
		"Anna is reported to Grapevine's API and Bert to SaaSquatch's. What happens is told in both dialects.\n\n")
	if _, err := s.client.CreateProgram(s.env.ctx, client.NewProgram{
		Key: demoProgram, Name: "Give 10, get 20", Rules: json.RawMessage(demoRules),
	}); err != nil {
		return err
	}
	sub, err := s.client.CreateSubscription(s.env.ctx, client.NewSubscription{
		URL:        s.receiver.url + programsPath,
		EventTypes: []string{"person.*", "code.*", "activity.*", "referral.*", "reward.*", "wallet.*"},
		Policy:     &client.Policy{Schedule: []float64{}},
	})
	if err != nil {
		return err
	}
	v, err := verify.NewStandard(sub.Secret)
	if err != nil {
		return err
	}
	s.receiver.trust(programsPath, v)
	s.endpoints[sub.ID] = programsPath
	table := newTable(s.env.out, 22, 18, 9, 33)
	table.row(cell{"WHAT HAPPENS", bold}, cell{"STANDARD", bold}, cell{"SIGNATURE", bold}, cell{"SAASQUATCH", bold}, cell{"SIGNATURE", bold})
	for _, sc := range demoScenes {
		if err := s.showScene(sc, table); err != nil {
			return fmt.Errorf("%s: %w", sc.what, err)
		}
	}
	return nil
}

// showScene plays a scene and shows the events that arrived of it, those of the two
// dialects side by side.
func (s *story) showScene(sc scene, table *table) error {
	if err := sc.play(s); err != nil {
		return err
	}
	standard, err := s.arrivals(programsPath)
	if err != nil {
		return err
	}
	saasquatch, err := s.arrivals("/saasquatch")
	if err != nil {
		return err
	}
	what := cell{sc.what, plain}
	for i := range max(len(standard), len(saasquatch)) {
		left, right := at(standard, i), at(saasquatch, i)
		table.row(what, left[0], left[1], right[0], right[1])
		what = cell{}
	}
	return nil
}

// arrivedEvent is a type and what its receiver found of the signature, as cells.
type arrivedEvent [2]cell

// at returns an element, or empty cells where there is none.
func at(events []arrivedEvent, i int) arrivedEvent {
	if i >= len(events) {
		return arrivedEvent{}
	}
	return events[i]
}

// arrivals returns what came to an endpoint and was not shown yet, in the order in
// which it happened, once every delivery to it has ended.
func (s *story) arrivals(path string) ([]arrivedEvent, error) {
	ctx, cancel := context.WithTimeout(s.env.ctx, 30*time.Second)
	defer cancel()
	for {
		fresh, pending, err := s.fresh(ctx, path)
		if err != nil {
			return nil, err
		}
		if !pending {
			events := make([]arrivedEvent, len(fresh))
			for i, d := range fresh {
				s.shown[d.ID] = d.AttemptCount
				events[i] = s.asArrived(path, d)
			}
			return events, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// fresh returns the deliveries to an endpoint that were not shown yet, the oldest
// first, and whether any is still under way.
func (s *story) fresh(ctx context.Context, path string) ([]client.Delivery, bool, error) {
	var fresh []client.Delivery
	pending := false
	for subscription, endpoint := range s.endpoints {
		if endpoint != path {
			continue
		}
		for d, err := range s.client.AllDeliveries(ctx, client.DeliveryFilter{SubscriptionID: subscription}) {
			if err != nil {
				return nil, false, err
			}
			if s.shown[d.ID] == 0 {
				fresh = append(fresh, d)
			}
			pending = pending || d.Status == client.Pending
		}
	}
	slices.SortFunc(fresh, func(a, b client.Delivery) int { return strings.Compare(a.EventID, b.EventID) })
	return fresh, pending, nil
}

// asArrived is a delivery as its receiver saw it.
func (s *story) asArrived(path string, d client.Delivery) arrivedEvent {
	came, arrived := s.receiver.received(path, d.EventID, 1)
	switch {
	case !arrived:
		return arrivedEvent{{d.EventType, plain}, {string(d.Status), red}}
	case came.refused != nil:
		return arrivedEvent{{d.EventType, plain}, {"INVALID", red}}
	default:
		return arrivedEvent{{came.kind, plain}, {"valid", green}}
	}
}

// bertDoes reports something that Bert did.
func (s *story) bertDoes(what string, fields map[string]any) error {
	return s.askSaaSquatch(http.MethodPost, "/events", map[string]any{
		"userId": demoUser, "accountId": demoAccount,
		"events": []map[string]any{{"key": what, "fields": fields}},
	})
}

// askSaaSquatch makes a call about Bert as a client of SaaSquatch's makes it.
func (s *story) askSaaSquatch(method, call string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	url := s.url + "/saasquatch/api/v1/" + demoTenant + "/open/account/" + demoAccount + "/user/" + demoUser + call
	req, err := http.NewRequestWithContext(s.env.ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("", s.dialectKey)
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s is answered %s: %s", method, url, resp.Status, beginning(string(answer), 500))
	}
	return nil
}

// invite says where Anna's friends and the story's reader go on.
func (s *story) invite() error {
	links, err := s.client.Links(s.env.ctx, "anna", "")
	if err != nil {
		return err
	}
	for _, l := range links {
		fmt.Fprintf(s.env.out, "\nAnna's share link, which leads to the program's page: %s\n", l.URL)
	}
	return nil
}
