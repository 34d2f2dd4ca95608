package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

const (
	referralName = "referral"

	// upsertConnections is how many newcomers sign up at once.
	upsertConnections = 64
	signUpRuns        = 3     // in which what people bring about is held
	sendingRuns       = 1     // in which it is sent at once
	signUpBar         = 2_000 // a second
)

// theProgram is the referral program that is measured: both sides get a credit when
// somebody who was referred buys for the first time, which nobody does here.
const theProgram = `{"key":"referral","kind":"referral","name":"Referral","settings":{},"rules":[
	{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
	 "if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":2000,"unit":"cents"}},
	{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,
	 "if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":1000,"unit":"cents"}}
]}`

// referral has people sign up for a referral program by SaaSquatch's API, and then
// looks people up where there are many.
func (b *bench) referral(ctx context.Context) ([]*Result, error) {
	results, err := b.signUps(ctx)
	if err != nil {
		return nil, err
	}
	for _, result := range results {
		b.add(result) // it stands, whatever becomes of the others
	}
	result, err := b.lookUps(ctx)
	if err != nil {
		return nil, err
	}
	return []*Result{result}, nil
}

// serveProgram starts the server, with a tenant that has a referral program and
// speaks SaaSquatch, to all of whose events so many endpoints are subscribed.
func (r *rig) serveProgram(ctx context.Context, endpoints int) (squatch, error) {
	if err := r.serve(ctx, 0); err != nil {
		return squatch{}, err
	}
	if err := r.createProgram(ctx); err != nil {
		return squatch{}, err
	}
	key, err := r.operator.CreateKey(ctx, r.tenantID, client.NewKey{
		Dialect: "saasquatch", Scopes: []client.Scope{client.ScopeManage, client.ScopePublish, client.ScopeRead},
	})
	if err != nil {
		return squatch{}, err
	}
	for endpoint := range endpoints {
		_, err := r.tenant.CreateSubscription(ctx, client.NewSubscription{
			Dialect: "saasquatch", URL: r.receiver.endpoint(endpoint), EventTypes: []string{"*"},
		})
		if err != nil {
			return squatch{}, err
		}
	}
	return squatch{r.server.url() + "/saasquatch/api/v1/" + tenantAlias, key.APIKey}, nil
}

func (r *rig) createProgram(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.server.url()+"/v1/programs", bytes.NewReader([]byte(theProgram)))
	if err != nil {
		return err
	}
	req.Header = r.events.header
	resp, err := asking.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 300))
		return errors.Join(fmt.Errorf("bench: the program was answered with %d: %s", resp.StatusCode, body), err)
	}
	return nil
}

// signUps has newcomers sign up as fast as they are answered, each by the code of
// somebody before. What they bring about goes to one endpoint: first it is held
// while they sign up, since its subscription is disabled, and sent afterwards; then
// it is sent at once.
func (b *bench) signUps(ctx context.Context) ([]*Result, error) {
	var flags []string
	profiling := func(context.Context) error { return nil }
	if b.report.result(throughputName) == nil {
		var err error
		if flags, profiling, err = b.profiling(); err != nil {
			return nil, err
		}
	}
	r, err := b.newRig(ctx, flags...)
	if err != nil {
		return nil, err
	}
	defer r.close()
	to, err := r.serveProgram(ctx, 1)
	if err != nil {
		return nil, err
	}
	people := rush{to: to, crowd: new(crowd), connections: upsertConnections, n: b.share(4_000, 40), referEvery: 1}
	people.show = func(n int) { r.show("%d people", n) }
	warm, err := r.signUpRun(ctx, people)
	if err != nil {
		return nil, err
	}
	r.counted = warm.compare().Accepted // they are in the database too
	people.n = b.share(40_000, 100)
	profiled := make(chan error, 1)
	go func() { profiled <- profiling(ctx) }()
	stored, err := r.signUpRuns(signUpRuns, func() (signUpRun, error) { return r.heldRun(ctx, people) })
	if err := errors.Join(err, <-profiled); err != nil {
		return nil, err
	}
	result := stored.result(r, "referral-signups")
	result.intact(stored.integrity)
	if !b.opts.Postgres {
		result.atLeast("users signed up, the median of the runs", median(stored.rates), signUpBar, "/s")
	}
	sent, err := r.signUpRuns(sendingRuns, func() (signUpRun, error) { return r.signUpRun(ctx, people) })
	if err != nil {
		return nil, err
	}
	beside := sent.result(r, "referral-sending")
	beside.intact(sent.integrity.plus(warm.compare()))
	return []*Result{result, beside}, nil
}

// signUpRuns makes so many runs. Each begins when nothing of the one before waits
// any more.
func (r *rig) signUpRuns(runs int, run func() (signUpRun, error)) (*seenSignUps, error) {
	seen := new(seenSignUps)
	for range runs {
		one, err := run()
		if err != nil {
			return nil, err
		}
		seen.add(one)
	}
	return seen, nil
}

// heldRun has newcomers sign up while the tenant's subscriptions are disabled, so
// that what they bring about is stored and held. Then it is recovered and has to
// arrive.
func (r *rig) heldRun(ctx context.Context, people rush) (signUpRun, error) {
	subscriptions, err := r.disableAll(ctx)
	if err != nil {
		return signUpRun{}, err
	}
	since := time.Now().Add(-time.Second) // ids are rounded to the millisecond
	run, err := r.rushed(ctx, people)
	if err != nil {
		return run, err
	}
	for _, of := range subscriptions {
		if _, err := r.tenant.EnableAndRecover(ctx, of, since); err != nil {
			return run, err
		}
	}
	err = r.arrived(ctx, &run)
	return run, err
}

// disableAll disables the tenant's subscriptions, and returns their ids.
func (r *rig) disableAll(ctx context.Context) ([]string, error) {
	var all []string
	for sub, err := range r.tenant.AllSubscriptions(ctx) {
		if err != nil {
			return nil, err
		}
		if _, err := r.tenant.DisableSubscription(ctx, sub.ID); err != nil {
			return nil, err
		}
		all = append(all, sub.ID)
	}
	return all, nil
}

// signUpRun has newcomers sign up while what they bring about is sent at once. What
// it has used counts until all of it has arrived.
func (r *rig) signUpRun(ctx context.Context, people rush) (signUpRun, error) {
	begun, err := r.used(ctx)
	if err != nil {
		return signUpRun{}, err
	}
	run, err := r.rushed(ctx, people)
	if err != nil {
		return run, err
	}
	if err := r.arrived(ctx, &run); err != nil {
		return run, err
	}
	now, err := r.used(ctx)
	run.used = now.since(begun)
	return run, err
}

// rushed has newcomers sign up, and notes what that has used.
func (r *rig) rushed(ctx context.Context, people rush) (signUpRun, error) {
	if err := r.receiver.watch(ctx, Watch{}); err != nil {
		return signUpRun{}, err
	}
	begun, err := r.used(ctx)
	if err != nil {
		return signUpRun{}, err
	}
	run := signUpRun{}
	if run.done, err = r.load.signUpAll(ctx, people); err != nil {
		return run, err
	}
	now, err := r.used(ctx)
	run.used = now.since(begun)
	return run, err
}

// arrived waits until all events of a run have arrived or none comes any more, and
// notes those that have.
func (r *rig) arrived(ctx context.Context, run *signUpRun) error {
	_, expected := expectedOf(run.done)
	err := r.receiver.await(ctx, expected, func(s State) { r.show("%d of %d events delivered", s.Arrived, expected) })
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	sleep(ctx, settle)
	run.noted, err = r.receiver.noted(ctx)
	return errors.Join(err, r.checkClock())
}

// signUpRun is what came of newcomers who signed up one after another as fast as
// they were answered.
type signUpRun struct {
	done  []signUp
	noted Noted
	used  usage
}

func (s signUpRun) compare() Integrity { return compareSignUps(s.done, s.noted) }

// begin is when the first request was made, and end when the last was answered.
func (s signUpRun) begin() int64 {
	return slices.MinFunc(s.done, func(a, b signUp) int { return cmp.Compare(a.posted, b.posted) }).posted
}

func (s signUpRun) end() int64 {
	return slices.MaxFunc(s.done, func(a, b signUp) int { return cmp.Compare(a.answered, b.answered) }).answered
}

func (s signUpRun) lasted() time.Duration { return time.Duration(s.end() - s.begin()) }

// rate is how many signed up a second.
func (s signUpRun) rate() float64 { return perSecond(len(s.done), s.lasted()) }

// meanwhile is how many events arrived by the last answer.
func (s signUpRun) meanwhile() int {
	last, n := s.end(), 0
	for _, a := range s.noted.Arrivals {
		if a.At <= last {
			n++
		}
	}
	return n
}

// took is how long each took to be answered.
func (s signUpRun) took() latencies {
	l := make(latencies, len(s.done))
	for i, one := range s.done {
		l[i] = time.Duration(one.answered - one.posted)
	}
	return l
}

// seenSignUps is what the runs have shown.
type seenSignUps struct {
	signedUp    int
	again       int       // requests that were made once more
	rates, sent []float64 // a second, of each run
	left        []float64 // events that waited at the last answer
	took        latencies
	used        usage
	integrity   Integrity
}

func (s *seenSignUps) add(run signUpRun) {
	i, sent := run.compare(), run.meanwhile()
	s.signedUp += len(run.done)
	for _, one := range run.done {
		s.again += one.again
	}
	s.rates = append(s.rates, run.rate())
	s.sent = append(s.sent, perSecond(sent, run.lasted()))
	s.left = append(s.left, float64(max(i.Accepted-sent, 0)))
	s.took = append(s.took, run.took()...)
	s.used = s.used.plus(run.used)
	s.integrity = s.integrity.plus(i)
}

// result returns the figures as those of a scenario.
func (s *seenSignUps) result(r *rig, name string) *Result {
	result := &Result{Name: name, unverified: true}
	result.figure("users", float64(s.signedUp), "")
	result.figure("connections", upsertConnections, "")
	result.figure("asked_again", float64(s.again), "")
	for i, rate := range s.rates {
		result.figure(fmt.Sprintf("signed_up_in_run_%d", i+1), rate, "/s")
	}
	result.figure("signed_up", median(s.rates), "/s")
	result.figure("events_sent_meanwhile", median(s.sent), "/s")
	result.figure("events_left_to_send", median(s.left), "")
	result.spread("sign_up", s.took)
	if measured {
		result.figure("server_cpu_per_user", microseconds(s.used.server)/float64(s.signedUp), "µs")
	}
	r.costs(result, s.used, s.integrity.Accepted)
	return result
}

// median is the middle one of an odd number of values, and the greater of the two
// in the middle of an even one.
func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }
