package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// manner is how an application treats receivers in a dialect.
type manner struct {
	Dialect string
	Spoken  bool         // by the application
	Signing wire.Signing // what requests are signed with
	HasKey  bool         // with ByKey: there is one now
	Success string       // which answers are a success, such as "any 2xx"
	Timeout string       // how long an attempt may take
	Retries string       // when attempts are made
}

// mannerOf returns the manner of the visited application in a dialect, which it
// may have ceased to speak.
func (c *Console) mannerOf(ctx context.Context, v *visit, d wire.Dialect) (manner, error) {
	m := manner{
		Dialect: d.Name(), Spoken: v.application.Speaks(d.Name()), Signing: d.Signing(),
		Success: successOf(d), Timeout: spellWhole(d.Timeout()), Retries: scheduleWords(d.Schedule()),
	}
	if m.Signing != wire.ByKey || !m.Spoken {
		return m, nil
	}
	as, err := c.tenants.Identity(ctx, v.application.ID, d.Name())
	if err != nil {
		return manner{}, err
	}
	m.HasKey = as.Key != ""
	return m, nil
}

// successOf says which answers a dialect takes for success.
func successOf(d wire.Dialect) string {
	var taken []string
	for status := http.StatusOK; status < http.StatusMultipleChoices; status++ {
		if d.Judge(wire.Answer{Status: status}).Verdict == wire.Delivered {
			taken = append(taken, strconv.Itoa(status))
		}
	}
	if len(taken) == http.StatusMultipleChoices-http.StatusOK {
		return "any 2xx"
	}
	return strings.Join(taken, ", ") + " alone"
}

// restriction is the value that a field of the envelope has to have.
type restriction struct {
	Field       string // "": events have none that they could be restricted by
	Description string // of the field
	Value       string // "": they are not restricted
}

// restrictionOf returns what of the values, by their fields, counts in a dialect,
// none of which has more than one field.
func restrictionOf(d wire.Dialect, values map[string]string) restriction {
	fields := d.Fields()
	if len(fields) == 0 {
		return restriction{}
	}
	return restriction{Field: fields[0].Name, Description: fields[0].Description, Value: values[fields[0].Name]}
}

// restrictedTo returns the restriction that a filter is.
func restrictedTo(f *webhook.Filter) restriction {
	if f == nil {
		return restriction{}
	}
	only, ok := f.Equality()
	if !ok {
		return restriction{Field: "condition", Value: f.String()}
	}
	return restriction{Field: only.Path, Value: only.Text}
}

// filter returns the filter that the restriction is; nil: every event passes.
func (r restriction) filter() *webhook.Filter {
	if r.Value == "" {
		return nil
	}
	return webhook.FieldFilter(r.Field, r.Value)
}
