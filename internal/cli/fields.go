package cli

import "strings"

// fieldFlags are what a dialect's envelope has beside type and data.
type fieldFlags struct {
	Field []string `sep:"none" placeholder:"NAME=VALUE" help:"A field that the dialect's envelope has besides, such as waitlist_id or source_id; repeatable. 'grapevine dialect list' shows which there are."`
}

// fields reads the flags.
func (f fieldFlags) fields() (map[string]string, error) {
	fields := make(map[string]string, len(f.Field))
	for _, text := range f.Field {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" {
			return nil, usagef("--field must be NAME=VALUE, as in --field source_id=customer-7, not %q", text)
		}
		if _, twice := fields[name]; twice {
			return nil, usagef("--field names %s twice", name)
		}
		fields[name] = value
	}
	return fields, nil
}

// sampleFields are values of the fields that a dialect demands, for samples.
var sampleFields = map[string]map[string]string{
	"referralloop": {"waitlist_id": "123e4567-e89b-12d3-a456-426614174000"},
	"rehook":       {"source_id": "sample-customer"},
}
