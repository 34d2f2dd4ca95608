package referral

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/fact"
)

// listed returns the entries of the tenant's block list that the two people of a
// referral are on. The visit that led here counts as the referred person's.
func listed(c *fact.Command, settings fraud.Settings, e fraud.Evidence) ([]fraud.Entry, error) {
	if settings.WithDefaults().Listed.Action == fraud.Off {
		return nil, nil
	}
	referred, referrer := subjectOf(e.Referred), subjectOf(e.Referrer)
	referred.IPs = append(slices.Clip(referred.IPs), e.Touch.IP)
	referred.Devices = append(slices.Clip(referred.Devices), e.Touch.Device)
	matches, err := blocklist.Find(c.Tx(), c.Tenant(), c.Now(), referred, referrer)
	if err != nil {
		return nil, err
	}
	var entries []fraud.Entry
	for _, m := range matches {
		entries = append(entries, fraud.Entry{ID: m.ID, Kind: string(m.Kind), Referrer: m.Subject == 1})
	}
	return entries, nil
}

func subjectOf(p fraud.Person) blocklist.Subject {
	return blocklist.Subject{Email: p.Email, IPs: p.IPs, Devices: p.Devices}
}
