package saasquatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// traits are what only this product knows of a person. They are kept among the
// person's fields, under a name that no custom field can have.
type traits struct {
	Segments               []string `json:"segments,omitempty"` // in the order in which the person came to them
	PaymentProviderID      string   `json:"paymentProviderId,omitempty"`
	DateUSTaxFormSubmitted *int64   `json:"dateUsTaxFormSubmitted,omitempty"`
}

// traitsName is under which name they are kept.
const traitsName = "$saasquatch"

// Bounds of segments.
const (
	maxSegments = 100
	maxSegment  = 128 // bytes
)

// leaves is what stands before a segment that a person is to leave.
const leaves = "~"

// split takes a person's fields apart into custom fields and traits. What is under the
// reserved name and can't be read is nobody's: the native API may keep anything there.
func split(fields json.RawMessage) (map[string]json.RawMessage, traits) {
	custom := make(map[string]json.RawMessage)
	if len(fields) > 0 {
		_ = json.Unmarshal(fields, &custom) // it is stored as an object
	}
	var of traits
	if raw, ok := custom[traitsName]; ok {
		if json.Unmarshal(raw, &of) != nil {
			of = traits{}
		}
		delete(custom, traitsName)
	}
	return custom, of
}

func traitsOf(p referral.Profile) traits {
	_, of := split(p.Fields)
	return of
}

// segments are those that the person is in: a list also where there are none.
func (t traits) segments() []string {
	if t.Segments == nil {
		return []string{}
	}
	return t.Segments
}

// segmentSteps change in which segments a person is: a name adds the person to one, a
// name with "~" before it takes the person out.
type segmentSteps []string

// UnmarshalJSON reads a list of texts. Of anything else it makes steps that check
// refuses: an error from here would not say which field is meant.
func (s *segmentSteps) UnmarshalJSON(text []byte) error {
	var steps []string
	if json.Unmarshal(text, &steps) != nil || slices.Contains(steps, "") {
		steps = []string{""}
	}
	*s = steps
	return nil
}

// checkTraits refuses traits that can't be kept.
func (b *userBody) checkTraits(checks *problem.Checks) {
	if b.Segments != nil {
		b.checkSegments(checks)
	}
	if b.PaymentProviderID != nil && len(*b.PaymentProviderID) > maxText {
		checks.Add("paymentProviderId", "has more than %d bytes", maxText)
	}
	if at := b.DateUSTaxFormSubmitted; at != nil && (*at < 0 || *at > maxMilli || *at != float64(int64(*at))) {
		checks.Add("dateUsTaxFormSubmitted", "must be milliseconds since 1970")
	}
}

func (b *userBody) checkSegments(checks *problem.Checks) {
	if len(*b.Segments) > maxSegments {
		checks.Add("segments", "has more than %d", maxSegments)
		return
	}
	for _, step := range *b.Segments {
		if name := strings.TrimPrefix(step, leaves); name == "" || len(name) > maxSegment {
			checks.Add("segments", "must be a list of names of segments, each with 1 to %d bytes, and with %q before it to leave one", maxSegment, leaves)
			return
		}
	}
}

// compareTraits is compare for traits.
func (b *userBody) compareTraits(signed *userBody, differs func(field string)) {
	if b.Segments != nil && (signed.Segments == nil || !slices.Equal(*b.Segments, *signed.Segments)) {
		differs("segments")
	}
	if b.PaymentProviderID != nil && (signed.PaymentProviderID == nil || *b.PaymentProviderID != *signed.PaymentProviderID) {
		differs("paymentProviderId")
	}
	at, signedAt := b.DateUSTaxFormSubmitted, signed.DateUSTaxFormSubmitted
	if at != nil && (signedAt == nil || *at != *signedAt) {
		differs("dateUsTaxFormSubmitted")
	}
}

// saysNoTraits reports whether nothing is said of traits.
func (b *userBody) saysNoTraits() bool {
	return b.Segments == nil && b.PaymentProviderID == nil && b.DateUSTaxFormSubmitted == nil
}

// changeTraits changes traits as the request says.
func (b *userBody) changeTraits(to *traits) error {
	if b.PaymentProviderID != nil {
		to.PaymentProviderID = *b.PaymentProviderID
	}
	if b.DateUSTaxFormSubmitted != nil {
		to.DateUSTaxFormSubmitted = new(int64(*b.DateUSTaxFormSubmitted))
	}
	if b.Segments == nil {
		return nil
	}
	for _, step := range *b.Segments {
		name, leave := strings.CutPrefix(step, leaves)
		at := slices.Index(to.Segments, name)
		switch {
		case leave && at >= 0:
			to.Segments = slices.Delete(to.Segments, at, at+1)
		case !leave && at < 0:
			to.Segments = append(to.Segments, name)
		}
	}
	if len(to.Segments) > maxSegments {
		return problem.InvalidField("segments", "would be more than the %d that a user can be in", maxSegments)
	}
	return nil
}

// revise returns the fields that a person has after the request, given those before.
func (b *userBody) revise(fields json.RawMessage) (json.RawMessage, error) {
	custom, of := split(fields)
	if b.CustomFields != nil {
		custom = nil
		if err := json.Unmarshal(*b.CustomFields, &custom); err != nil || custom == nil {
			return nil, problem.InvalidField("fields", "must be a JSON object")
		}
	}
	if err := b.changeTraits(&of); err != nil {
		return nil, err
	}
	if len(of.Segments) > 0 || of.PaymentProviderID != "" || of.DateUSTaxFormSubmitted != nil {
		kept, err := json.Marshal(of)
		if err != nil {
			return nil, fmt.Errorf("saasquatch: keep traits: %w", err)
		}
		custom[traitsName] = kept
	}
	return json.Marshal(custom)
}

// checkCustomFields refuses the reserved name.
func (b *userBody) checkCustomFields(checks *problem.Checks) {
	if b.CustomFields == nil {
		return
	}
	var custom map[string]json.RawMessage
	if json.Unmarshal(*b.CustomFields, &custom) != nil || custom == nil {
		checks.Add("customFields", "must be a JSON object")
	}
	if _, ok := custom[traitsName]; ok {
		checks.Add("customFields", "can't have a field of the name %s", traitsName)
	}
}
