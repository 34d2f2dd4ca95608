package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"time"
)

const (
	seedReferEvery = 20              // one of so many has a referrer
	afterSeeding   = 5 * time.Second // for what the server does once the last has signed up

	lookUpPace = 5 * time.Millisecond // between two requests: 200 a second over all kinds
	lookUpBar  = 2                    // milliseconds
)

// lookUp is a kind of request for people.
type lookUp struct {
	name string
	path func(of member) string // below the API's base; nil: the control, which asks for nobody
	want func(of member) string // what stands in the right answer
	bar  string                 // what its p99 is held to lookUpBar as; "": it is not
}

// lookUpsOf are made in turn, so that whatever disturbs the machine meets them
// alike. The control is the least that a request to this server can take.
func lookUpsOf(people int) []lookUp {
	ofUser := func(of member) string { return fmt.Sprintf(`"id":"%s"`, of.user()) }
	return []lookUp{
		{"control", nil, func(member) string { return "" }, ""},
		{
			"list", func(member) string { return "/users?limit=10&offset=0" },
			func(member) string { return fmt.Sprintf(`"totalCount":%d`, people) }, "first page of the list p99",
		},
		{"search", func(of member) string { return "/users?query=" + url.QueryEscape(of.email()) }, ofUser, ""},
		{
			"by_code", func(of member) string { return "/user?referralCode=" + url.QueryEscape(of.code) },
			ofUser, "lookup by code p99",
		},
		{"by_id", func(of member) string { return "/open/account/" + of.account() + "/user/" + of.user() }, ofUser, ""},
	}
}

// lookUps fills a server with people, and then looks some of them up on one
// connection while nothing else goes on.
func (b *bench) lookUps(ctx context.Context) (*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	to, err := r.serveProgram(ctx, 0)
	if err != nil {
		return nil, err
	}
	result := &Result{Name: "referral-lookups"}
	people, err := r.seed(ctx, to, result)
	if err != nil {
		return nil, err
	}
	sleep(ctx, b.shareTime(afterSeeding))
	kinds, n := lookUpsOf(b.opts.Users), b.share(2_500, 20)
	v := visitor{
		client: oneConnection(), to: to, control: r.server.url() + "/healthz", kinds: kinds, some: people.sample(n * len(kinds)),
	}
	defer v.client.CloseIdleConnections()
	if err := r.look(ctx, v, result, n); err != nil {
		return nil, err
	}
	return result, r.checkClock()
}

// seed has many people sign up, of whom nobody is told, and returns them.
func (r *rig) seed(ctx context.Context, to squatch, result *Result) (*crowd, error) {
	n, all := r.opts.Users, new(crowd)
	done, err := r.load.signUpAll(ctx, rush{
		to: to, crowd: all, connections: upsertConnections, n: n, referEvery: seedReferEvery,
		show: func(known int) { r.show("%d of %d people", known, n) },
	})
	if err != nil {
		return nil, err
	}
	disk, err := r.database.onDisk(ctx)
	if err != nil {
		return nil, err
	}
	result.figure("people", float64(n), "")
	result.figure("seeded", signUpRun{done: done}.rate(), "/s")
	result.figure("disk_per_person", float64(disk)/float64(n), "bytes")
	return all, nil
}

// look makes n requests of each kind, after a few that are not measured, and holds
// them to the bars.
func (r *rig) look(ctx context.Context, v visitor, result *Result, n int) error {
	if _, err := v.look(ctx, 50); err != nil {
		return err
	}
	runtime.GC() // what the seeding has left
	begun, err := r.used(ctx)
	if err != nil {
		return err
	}
	r.show("looking people up")
	found, err := v.look(ctx, n)
	if err != nil {
		return err
	}
	now, err := r.used(ctx)
	if err != nil {
		return err
	}
	result.figure("requests_of_each_kind", float64(n), "")
	for i, kind := range v.kinds {
		result.spread(kind.name, found.took[i])
	}
	if measured {
		result.figure("server_memory_most", megabytes(r.memory()), "MB")
		result.figure(othersBusy, now.since(begun).others(), "cores")
	}
	result.atMost("answers without what was asked for", float64(found.wrong), 0)
	if r.opts.Postgres {
		return nil
	}
	found.hold(v.kinds, result)
	return nil
}

// hold holds kinds of requests to their bars, with what the control took meanwhile.
func (f found) hold(kinds []lookUp, result *Result) {
	control := slices.IndexFunc(kinds, func(k lookUp) bool { return k.path == nil })
	note := "the control's is " + quantity(f.took[control].inMilliseconds(99), "ms")
	for i, kind := range kinds {
		if kind.bar == "" {
			continue
		}
		p99 := f.took[i].inMilliseconds(99)
		result.bar(Bar{Name: kind.bar, Value: Number(p99), Rule: "<", Limit: lookUpBar, Unit: "ms", Pass: p99 < lookUpBar, Note: note})
	}
}

// visitor looks people up.
type visitor struct {
	client  *http.Client // with one connection
	to      squatch
	control string // the URL of the control
	kinds   []lookUp
	some    []member // who are looked up, each by one request as long as there are enough
}

func oneConnection() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}}
}

// found is what came of looking people up.
type found struct {
	took  []latencies // of each kind
	wrong int         // answers that were not the right ones
}

// look makes n requests of each kind on a timetable, one after another. A request
// counts from when it was due.
func (v visitor) look(ctx context.Context, n int) (found, error) {
	f := found{took: make([]latencies, len(v.kinds))}
	start := time.Now().Add(lookUpPace)
	for i := range n * len(v.kinds) {
		due := start.Add(time.Duration(i) * lookUpPace)
		if !waitFor(ctx, due) {
			return f, context.Cause(ctx)
		}
		kind, of := i%len(v.kinds), v.some[i%len(v.some)]
		answer, err := v.ask(ctx, v.kinds[kind], of)
		if err != nil {
			return f, err
		}
		f.took[kind] = append(f.took[kind], time.Since(due))
		if !bytes.Contains(answer, []byte(v.kinds[kind].want(of))) {
			f.wrong++
		}
	}
	return f, nil
}

// ask makes one request.
func (v visitor) ask(ctx context.Context, kind lookUp, of member) ([]byte, error) {
	if kind.path == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.control, nil)
		if err != nil {
			return nil, err
		}
		return answered(v.client, req)
	}
	req, err := v.to.request(ctx, http.MethodGet, kind.path(of), nil)
	if err != nil {
		return nil, err
	}
	return answered(v.client, req)
}
