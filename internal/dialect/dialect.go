// Package dialect serves the APIs that the clients of other products use, all of one
// or the part that manages webhooks, so that they move here by changing a base URL and
// a key. Each product is a package beside this one and a line in package app; what
// they have in common is here.
//
// An [API] says how a product's calls look, [New] makes a handler of it. Every
// request passes the same gates in the same order: it gets an id, its route is
// found, its key or its person is authenticated, its rate is counted, whether that
// key or person may make the call is checked, and then the call runs, which may
// read its body. Whatever refuses a request, a gate, the call or a panic, it is
// answered in the product's own form.
//
// The subscriptions are those of package webhook, which the native API lists too.
// A dialect's API shows those of its own dialect only: another one's are not
// found, and neither are another tenant's.
package dialect

import (
	"context"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// API is how one product's API looks. Its methods may be called concurrently.
type API interface {
	// Name is the dialect's, as its wire has it.
	Name() string

	// Routes lists the calls. Of two patterns that fit a path the first one wins,
	// with all the methods that it has in the list.
	Routes() []Route

	// Authenticate returns who asks, from the head of the request. It is asked
	// again after something that took time. For a route that people may call
	// (Call.Access) it may return a tenant without a key, with Call.Person set to
	// whom a token names; for one that everybody may call, the tenant alone.
	Authenticate(ctx context.Context, c *Call) (tenant.Principal, error)

	// Challenge is the WWW-Authenticate header of an answer with status 401.
	Challenge() string

	// Refusals is how the product says what is refused.
	Refusals() Refusals

	// Body is the JSON value that a refusal is shown as.
	Body(c *Call, r Refusal) any
}

// Route is one call of an API.
type Route struct {
	Method string // a GET is asked for with HEAD as well

	// Pattern is the path below where the API is served, in segments. "{name}"
	// stands for one segment, of which Call.Path has the text. "{name...}", at the
	// end, stands for all the rest: Call.Path has it as it was sent, escapes
	// included, since it may have slashes of both kinds.
	Pattern string

	Scope  tenant.Scope // that a key has to have, be it shown or have signed a token
	Access Access       // who else may call it
	Handle HandleFunc

	// Person returns whose call it is, of one that people may make: a token that
	// names somebody else is refused. nil: the call looks at Call.Person by itself.
	Person func(c *Call) string

	// Creates reports whether the call would create somebody, which people may do
	// less often than ask (see Visits). nil: it never does.
	Creates func(ctx context.Context, c *Call) (bool, error)
}

// Access says who may make a call besides those who have a key for it.
type Access int

// The kinds of access. Browsers of other origins may make the calls of the last two.
const (
	ByKey     Access = iota // nobody else
	ByPerson                // a person of the tenant's, with a token that the product knows
	ByAnybody               // everybody; a key that is given has to be valid
)

// HandleFunc answers a call. An error that is neither a Refusal nor a problem is
// logged and answered with 500.
type HandleFunc func(ctx context.Context, c *Call) (Answer, error)

// Answer is what a call answers with.
type Answer struct {
	Status int
	Body   any   // written as JSON; nil: there is none
	File   *File // in the place of Body, what is no JSON
}

// Refusal is an error as a product tells it. A call may return one for what the
// table of problems has no row for.
type Refusal struct {
	Status  int
	Code    string          // the product's word, where it has words
	Message string          // in Refusals: what is said in place of the detail; empty: the detail
	Fields  []problem.Field // that are not valid, by the product's names
}

// Error returns the message.
func (r Refusal) Error() string { return r.Message }

// Refusals is the table of problems in the words of a product.
type Refusals struct {
	Codes map[*problem.Code]Refusal // a row for each of problem.Codes
	Names map[string]string         // what the product calls a field, by our name for it
}

// Tell returns how an error is told, and false for one that says nothing of itself.
func (t Refusals) Tell(err error) (Refusal, bool) {
	if own, ok := errors.AsType[Refusal](err); ok {
		return own, true
	}
	e, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return Refusal{}, false
	}
	return t.tell(e), true
}

func (t Refusals) tell(e *problem.Error) Refusal {
	var checks problem.Checks
	for _, f := range e.Fields {
		checks.Add(t.name(f.Name), "%s", f.Message)
	}
	if renamed, ok := errors.AsType[*problem.Error](checks.Err()); ok {
		e = &problem.Error{Code: e.Code, Detail: sentences(renamed.Fields), Fields: renamed.Fields}
	}
	r := t.Codes[e.Code]
	r.Fields = e.Fields
	if r.Message == "" {
		r.Message = e.Detail
	}
	return r
}
