package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/verify"
)

type listenCommand struct {
	Type       []string `placeholder:"TYPE" help:"A type of event to listen to; repeatable. Every type that the tenant publishes in the dialect, unless one is given."`
	Dialect    string   `default:"standard" enum:"standard,saasquatch,referralloop,rehook,partnerstack" placeholder:"NAME" help:"Whose events: standard, saasquatch, referralloop, rehook or partnerstack. Each is verified by the means of its dialect."`
	DialectKey string   `placeholder:"@FILE" help:"With saasquatch, the tenant's key of that dialect, which signs: read it from a file, or from the standard input (-), instead of from GRAPEVINE_DIALECT_KEY."`
	Forward    string   `placeholder:"URL" help:"Pass each verified event on to this URL, header and body unchanged, and answer what it answers."`
	Listen     string   `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to receive. Port 0 takes a free one."`
	PublicURL  string   `name:"public-url" placeholder:"URL" help:"What to subscribe instead of the address here: that of a tunnel or proxy which leads here."`
	Count      int      `placeholder:"N" help:"End after so many verified events."`
	JSON       bool     `name:"json" help:"Write a line of JSON for each event."`
	tenantConnection
}

// Help is shown below the summary.
func (listenCommand) Help() string {
	return "A subscription is made for as long as this runs, and deleted when it ends: by Ctrl-C, by --count, or by an error. " +
		"If the process is killed the subscription stays behind, and the next 'listen' on this machine names it, so that you can delete it. " +
		"A server that runs on this machine has to allow what is meant for it: start it with --allow-http --allow-network 127.0.0.0/8, as the demonstration does.\n\n" +
		"The dialects rehook and partnerstack sign nothing: there the subscription gets a password of this command's making, and an event is verified if it comes with it. " +
		"A saasquatch event that has the header X-Hook-JWS-RFC-7797 is verified by the server's public key as well.\n\n" +
		"With --json each line has received_at, verified, the id, type, attempt and body of the event, and the answer that it got; " +
		"reason where it was not verified, duplicate where its id was seen before, and forward_error where it could not be passed on."
}

// Validate checks the flags.
func (c *listenCommand) Validate() error {
	for name, text := range map[string]string{"--forward": c.Forward, "--public-url": c.PublicURL} {
		if text == "" {
			continue
		}
		if u, err := url.Parse(text); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return usagef("%s must be an http:// or https:// URL", name)
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return usagef("--listen must be HOST:PORT, such as 127.0.0.1:9000")
	}
	if c.Count < 0 {
		return usagef("--count can't be negative")
	}
	return c.validateDialectKey()
}

const (
	// answerTime is how long what is under way may take at the end.
	answerTime = 3 * time.Second
	// tidyTime is how long it may take to make the subscription, or to delete it.
	tidyTime = 10 * time.Second
)

// Run receives until a signal comes or there were enough events.
func (c *listenCommand) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	how, err := receptions[c.Dialect](c, e)
	if err != nil {
		return err
	}
	// Who reads a pipe may go away; the subscription must not stay then.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := context.WithCancelCause(e.ctx)
	defer stop(nil)

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	r := &receiver{how: how, ready: make(chan struct{}), show: c.shower(e, stop)}
	if c.Forward != "" {
		r.forward = newForwarder(c.Forward)
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
	go func() { stop(server.Serve(listener)) }()
	defer server.Close()

	sub, err := c.subscribe(ctx, e, api, c.draft(how, listener.Addr()))
	if err != nil {
		return err
	}
	err = c.receive(ctx, e, api, r, sub)
	answering, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	_ = server.Shutdown(answering) // what is not answered by then, the sender would try again
	tidying, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if left := api.DeleteSubscription(tidying, sub.ID); left != nil && !isMissing(left) {
		e.note("The subscription %s could not be deleted; do it with: grapevine subscription delete %s", sub.ID, sub.ID)
		return errors.Join(err, left)
	}
	e.note("Stopped; the subscription is deleted.")
	return err
}

var errEnough = errors.New("there were enough events")

// receive lets the receiver begin and waits for the end.
func (c *listenCommand) receive(ctx context.Context, e *env, api *client.Client, r *receiver, sub client.SubscriptionWithSecret) error {
	verifier, err := r.how.verifier(sub.Secret)
	if err != nil {
		return err
	}
	r.begin(verifier)
	if err := c.check(ctx, api, r, sub); err != nil {
		return unlessMeant(e.ctx, err)
	}
	target := ""
	if c.Forward != "" {
		target = ", and goes on to " + c.Forward
	}
	e.note("Listening: %s arrives at %s%s. Ctrl-C ends it.\n", c.what(), sub.URL, target)
	<-ctx.Done()
	return unlessMeant(e.ctx, context.Cause(ctx))
}

// unlessMeant is why the listening ended; nil where that was meant: by a signal,
// by the count, or by who read the pipe and has gone.
func unlessMeant(signalled context.Context, cause error) error {
	meant := signalled.Err() != nil || errors.Is(cause, errEnough) || errors.Is(cause, syscall.EPIPE)
	if meant {
		return nil
	}
	return cause
}

// what is what arrives, in words.
func (c *listenCommand) what() string {
	text := "every event"
	if len(c.Type) > 0 {
		text = strings.Join(c.Type, ", ")
	}
	if c.Dialect != standardDialect {
		text += " of " + c.Dialect
	}
	return text
}

// draft is the subscription to make. Its URL is empty where the address here is
// meant.
func (c *listenCommand) draft(how reception, at net.Addr) client.NewSubscription {
	types := c.Type
	if len(types) == 0 {
		types = []string{"*"}
	}
	n := client.NewSubscription{URL: c.PublicURL, EventTypes: types, Auth: how.auth, Description: describeListener(at.String())}
	if c.Dialect != standardDialect {
		n.Dialect = c.Dialect
	}
	if n.URL == "" {
		n.URL = "http://" + at.String()
	}
	return n
}

// subscribe makes the subscription.
func (c *listenCommand) subscribe(ctx context.Context, e *env, api *client.Client, draft client.NewSubscription) (client.SubscriptionWithSecret, error) {
	if c.PublicURL == "" {
		if err := c.checkReachable(draft.URL); err != nil {
			return client.SubscriptionWithSecret{}, err
		}
	}
	if err := noteLeftovers(ctx, e, api); err != nil {
		return client.SubscriptionWithSecret{}, err
	}
	// A signal must not come between the subscription and our knowing of it.
	making, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	sub, err := api.CreateSubscription(making, draft)
	if names(err, "url") && c.PublicURL == "" {
		return sub, fmt.Errorf("%w\nTo receive on this machine, start the server with --allow-http --allow-network 127.0.0.0/8, or give the address of a tunnel that leads here: --public-url https://…", refusalText{err, e.server})
	}
	return sub, err
}

// refusalText is a refusal as explain tells it.
type refusalText struct {
	err   error
	asked server
}

func (r refusalText) Error() string { return explain(r.err, r.asked) }

// checkReachable refuses addresses that a server could not mean by the same
// words: all addresses of a machine, or the loopback seen from another one.
func (c *listenCommand) checkReachable(endpoint string) error {
	at := strings.TrimPrefix(endpoint, "http://")
	here, err := netip.ParseAddrPort(at)
	if err != nil {
		return err
	}
	if here.Addr().IsUnspecified() {
		return usagef("--listen %s is every address of this machine: say with --public-url which one the server is to send to", c.Listen)
	}
	if here.Addr().IsLoopback() && !isHere(c.URL) {
		return usagef("the server at %s is another machine, which can't reach %s here: give the address of a tunnel with --public-url, or an address of this machine that it reaches with --listen", c.URL, at)
	}
	return nil
}

// isHere reports whether a URL names this machine.
func isHere(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// check has the server send a test event, so that one learns now and not when an
// event is missing that it can't reach this machine.
func (c *listenCommand) check(ctx context.Context, api *client.Client, r *receiver, sub client.SubscriptionWithSecret) error {
	r.testing.Store(true)
	defer r.testing.Store(false)
	result, err := api.TestSubscription(ctx, sub.ID)
	if err != nil || r.tested.Load() {
		return err
	}
	if refusal := r.refusal(); refusal != nil {
		return fmt.Errorf("the server's test event arrived, and can't be verified: %w\n%s", refusal, r.how.advice)
	}
	if result.Reason == "configuration" {
		return fmt.Errorf("the server can't send in this dialect: %s\n%s", result.Error, r.how.advice)
	}
	came := answer(result.ResponseStatus, result.Reason)
	if result.Error != "" {
		came += " (" + result.Error + ")"
	}
	return fmt.Errorf("the server sent a test event to %s, and it did not arrive here; what came of it: %s\nSay with --public-url or --listen how the server reaches this machine", sub.URL, came)
}

const leftoverMark = "grapevine listen on "

// describeListener is the description of a subscription that listen makes: it
// says on which machine and where, so that the next one can tell whether the
// process still runs.
func describeListener(at string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return leftoverMark + host + " at " + at
}

// noteLeftovers names the subscriptions that killed listeners of this machine
// have left: where nobody receives any more. They are not deleted here, since
// another machine may have the same name.
func noteLeftovers(ctx context.Context, e *env, api *client.Client) error {
	mark := describeListener("")
	for sub, err := range api.AllSubscriptions(ctx) {
		if err != nil {
			return unlessForbidden(err) // a key that may not read can listen all the same
		}
		if at, ours := strings.CutPrefix(sub.Description, mark); ours && !answers(ctx, at) {
			e.note("An earlier 'listen' has left a subscription behind; delete it with: grapevine subscription delete --yes %s", sub.ID)
		}
	}
	return nil
}

func unlessForbidden(err error) error {
	if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status == http.StatusForbidden {
		return nil
	}
	return err
}

// answers reports whether somebody receives at an address.
func answers(ctx context.Context, at string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", at)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// shower returns a function that shows what arrives, and ends the listening
// after enough of it, or when nobody reads any more.
func (c *listenCommand) shower(e *env, stop context.CancelCauseFunc) func(arrival) {
	table := newTable(e.out, 12, 28, 24, 7, 9)
	shown, verified := 0, 0
	return func(a arrival) {
		if c.Count > 0 && verified >= c.Count {
			return
		}
		var err error
		if c.JSON {
			err = e.line(a.json())
		} else {
			a.row(table, shown == 0)
			err = table.err
		}
		shown++
		if a.invalid == nil {
			verified++
		}
		switch {
		case err != nil:
			stop(err)
		case c.Count > 0 && verified >= c.Count:
			stop(errEnough)
		}
	}
}

// arrival is a request that arrived, and what was answered.
type arrival struct {
	at        time.Time
	how       *reception
	message   verify.Message
	invalid   error // nil: it was verified
	duplicate bool
	forwarded bool
	answer    int
	took      time.Duration // of the forwarding
	failure   error         // of the forwarding
}

// data returns the event's data, out of the body.
func (a arrival) data() string {
	var body map[string]json.RawMessage
	if json.Unmarshal(a.message.Body, &body) != nil || body[a.how.data] == nil {
		return string(a.message.Body)
	}
	return string(body[a.how.data])
}

// arrivalJSON is the line of an arrival.
type arrivalJSON struct {
	ReceivedAt   time.Time       `json:"received_at"`
	Verified     bool            `json:"verified"`
	Reason       string          `json:"reason,omitempty"` // why it is not
	ID           string          `json:"id,omitempty"`
	Type         string          `json:"type,omitempty"`
	Attempt      int             `json:"attempt,omitempty"`
	Duplicate    bool            `json:"duplicate,omitempty"`
	Body         json.RawMessage `json:"body,omitempty"`
	Answer       int             `json:"answer"`
	ForwardError string          `json:"forward_error,omitempty"`
}

func (a arrival) json() arrivalJSON {
	shown := arrivalJSON{ReceivedAt: a.at.UTC().Truncate(time.Microsecond), Verified: a.invalid == nil, Answer: a.answer}
	if a.invalid != nil {
		shown.Reason = a.invalid.Error()
		return shown
	}
	shown.ID, shown.Attempt, shown.Duplicate = a.message.ID, a.message.Attempt, a.duplicate
	shown.Type = a.message.Type
	if json.Valid(a.message.Body) {
		shown.Body = a.message.Body
	}
	if a.failure != nil {
		shown.ForwardError = a.failure.Error()
	}
	return shown
}

// maxShown is how much of an event's data is shown, in bytes.
const maxShown = 1 << 10

// row shows the arrival, below a header if it is the first.
func (a arrival) row(t *table, first bool) {
	if first {
		t.row(cell{"TIME", bold}, cell{"ID", bold}, cell{"TYPE", bold}, cell{"ATTEMPT", bold}, cell{a.how.column(), bold}, cell{"ANSWER", bold})
	}
	at := cell{a.at.Local().Format("15:04:05.000"), dim}
	if a.invalid != nil {
		t.row(at, cell{"-", dim}, cell{"-", dim}, cell{"-", dim}, cell{"INVALID", red}, cell{fmt.Sprintf("%d, %v", a.answer, a.invalid), red})
		return
	}
	t.row(at, cell{a.message.ID, plain}, cell{a.message.Type, plain}, cell{strconv.Itoa(a.message.Attempt), plain}, cell{a.how.proof, green}, a.answerCell())
	t.row(cell{}, cell{excerpt(a.data(), maxShown), dim})
}

func (a arrival) answerCell() cell {
	text := strconv.Itoa(a.answer)
	switch {
	case a.failure != nil:
		return cell{fmt.Sprintf("%s, not forwarded: %v", text, a.failure), red}
	case a.answer == http.StatusGone && a.how.ends:
		return cell{text + ": this ends the subscription, nothing more will arrive", red}
	}
	if a.forwarded {
		text += " in " + span(a.took)
	}
	if a.duplicate {
		text += ", seen before"
	}
	if !a.how.accepts(a.answer) {
		return cell{text, yellow}
	}
	return cell{text, green}
}
