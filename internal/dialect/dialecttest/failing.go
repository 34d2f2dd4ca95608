package dialecttest

import (
	"context"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// failing is an API whose calls all fail.
type failing struct {
	dialect.API

	panics bool
}

// Routes are the API's own, broken.
func (f failing) Routes() []dialect.Route {
	routes := f.API.Routes()
	for i := range routes {
		routes[i].Handle = func(context.Context, *dialect.Call) (dialect.Answer, error) {
			if f.panics {
				panic("hunter2")
			}
			return dialect.Answer{}, errors.New("hunter2")
		}
	}
	return routes
}

// interrupted is an API where something happens after a number of
// authentications.
type interrupted struct {
	dialect.API

	after int
	by    func()
}

// Authenticate is the API's own.
func (i *interrupted) Authenticate(ctx context.Context, c *dialect.Call) (tenant.Principal, error) {
	p, err := i.API.Authenticate(ctx, c)
	if i.after--; i.after == 0 {
		i.by()
	}
	return p, err
}
