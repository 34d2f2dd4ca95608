package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/verify"
)

// story is what the demonstration does and shows: an event in each dialect, then a
// referral program, then three endpoints, two events, and every attempt as it
// happens. It uses the API as any program does.
type story struct {
	env      *env
	receiver *demoReceiver
	out      *table
	console  string // where to look at all this in a browser; empty: nowhere

	url        string // of the server
	key        string // of the tenant
	dialectKey string // the tenant's of SaaSquatch, which signs with it
	client     *client.Client
	endpoints  map[string]string // path by subscription
	shown      map[string]int    // attempts by delivery
}

// demoSchedule is short, so that the story is: seconds between attempts.
var demoSchedule = []float64{1, 2, 5}

// demoTenant is the tenant's alias.
const demoTenant = "demo"

// begin makes the tenant.
func (s *story) begin(url, adminKey string) error {
	operator, err := client.New(url, adminKey)
	if err != nil {
		return err
	}
	tenant, err := operator.CreateTenant(s.env.ctx, client.NewTenant{Alias: demoTenant})
	if err != nil {
		return err
	}
	key, err := operator.CreateKey(s.env.ctx, tenant.ID, client.NewKey{Dialect: "saasquatch", Scopes: []client.Scope{client.ScopeRead, client.ScopePublish, client.ScopeManage}})
	if err != nil {
		return err
	}
	s.url, s.key, s.dialectKey = url, tenant.APIKey, key.APIKey
	s.endpoints, s.shown = make(map[string]string), make(map[string]int)
	s.client, err = client.New(url, tenant.APIKey)
	return err
}

// tell is the story.
func (s *story) tell() error {
	if err := s.tellOfDialects(); err != nil {
		return err
	}
	if err := s.tellOfReferrals(); err != nil {
		return err
	}
	if err := s.tellOfRetries(); err != nil {
		return err
	}
	if s.console == "" {
		return nil
	}
	fmt.Fprintf(s.env.out, "\nAll of this in a browser: %s\n", s.console)
	return s.invite()
}

// tellOfRetries subscribes, publishes, and follows the deliveries until each has
// ended.
func (s *story) tellOfRetries() error {
	w := s.env.out
	fmt.Fprintf(w, "\nIt also subscribes three endpoints for events of its own.\n"+
		"Failed attempts are repeated after 1, 2 and 5 seconds here (by default after 5 s, 5 min, 30 min … over three days).\n\n")
	for _, path := range []string{goodPath, flakyPath, gonePath} {
		sub, err := s.client.CreateSubscription(s.env.ctx, client.NewSubscription{
			URL: s.receiver.url + path, EventTypes: []string{"*"}, Policy: &client.Policy{Schedule: demoSchedule},
		})
		if err != nil {
			return err
		}
		v, err := verify.NewStandard(sub.Secret)
		if err != nil {
			return err
		}
		s.receiver.trust(path, v)
		s.endpoints[sub.ID] = path
	}
	s.out.row(cell{"TIME", bold}, cell{"EVENT", bold}, cell{"ENDPOINT", bold}, cell{"ATTEMPT", bold}, cell{"SIGNATURE", bold}, cell{"ANSWER", bold}, cell{"WHAT FOLLOWS", bold})
	if err := s.publishAndFollow(client.Publication{Type: "signup.completed", Data: map[string]any{"email": "mike@example.com", "referred_by": "MIKEKEENERSON"}}); err != nil {
		return err
	}
	return s.publishAndFollow(client.Publication{Type: "order.shipped", Data: map[string]any{"order": 4711}})
}

func (s *story) publishAndFollow(p client.Publication) error {
	event, err := s.client.Publish(s.env.ctx, p)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		ended, err := s.showProgress(event.ID)
		if err != nil || ended {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the deliveries of the story did not end in time")
		}
		select {
		case <-s.env.ctx.Done():
			return s.env.ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// follow shows the attempts of what was published lately until the process is told
// to end or the server fails.
func (s *story) follow(failed <-chan error) error {
	for {
		latest, err := s.client.Deliveries(s.env.ctx, client.DeliveryFilter{}, client.Page{Limit: 50})
		if err != nil {
			return err
		}
		for _, d := range slices.Backward(latest.Data) {
			if d.AttemptCount > s.shown[d.ID] {
				if _, err := s.showProgress(d.EventID); err != nil {
					return err
				}
			}
		}
		select {
		case <-s.env.ctx.Done():
			return s.env.ctx.Err()
		case err := <-failed:
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// showProgress prints the attempts that were made since it was called last, and
// reports whether all deliveries of the event have ended.
func (s *story) showProgress(event string) (bool, error) {
	ended := true
	type made struct {
		delivery client.FullDelivery
		attempt  client.Attempt
	}
	var fresh []made
	for d, err := range s.client.AllDeliveries(s.env.ctx, client.DeliveryFilter{EventID: event}) {
		if err != nil {
			return false, err
		}
		full, err := s.client.Delivery(s.env.ctx, d.ID)
		if err != nil {
			return false, err
		}
		for _, a := range full.Attempts[min(s.shown[d.ID], len(full.Attempts)):] {
			fresh = append(fresh, made{full, a})
		}
		s.shown[d.ID] = len(full.Attempts)
		ended = ended && full.Status != "pending"
	}
	slices.SortFunc(fresh, func(a, b made) int { return a.attempt.StartedAt.Compare(b.attempt.StartedAt) })
	for _, m := range fresh {
		s.show(m.delivery, m.attempt)
	}
	return ended, nil
}

// show prints one attempt.
func (s *story) show(d client.FullDelivery, a client.Attempt) {
	path, ours := s.endpoints[d.SubscriptionID]
	if !ours { // somebody has subscribed it since
		path = d.SubscriptionID
	}
	signature := cell{"-", dim}
	if came, arrived := s.receiver.received(path, d.EventID, a.Number); arrived {
		signature = cell{"valid", green}
		if came.refused != nil {
			signature = cell{"INVALID", red}
		}
	}
	answer := cell{fmt.Sprint(a.ResponseStatus), yellow}
	if a.ResponseStatus == 0 { // there was none
		answer.text = a.Reason
	}
	var follows cell
	switch {
	case a.Verdict == "delivered":
		answer.colour, follows = green, cell{"delivered", green}
	case a.Verdict == "gone":
		answer.colour, follows = red, cell{"gone: the subscription is disabled", red}
	case !ours && !d.NextAttemptAt.IsZero():
		follows = cell{"again at " + when(d.NextAttemptAt), yellow}
	case ours && a.Number <= len(demoSchedule):
		follows = cell{fmt.Sprintf("again in about %g s", demoSchedule[a.Number-1]), yellow}
	default:
		answer.colour, follows = red, cell{"failed: the schedule is exhausted", red}
	}
	s.out.row(cell{a.StartedAt.Local().Format("15:04:05.000"), dim}, cell{d.EventType, plain}, cell{path, plain},
		cell{fmt.Sprint(a.Number), plain}, signature, answer, follows)
}
