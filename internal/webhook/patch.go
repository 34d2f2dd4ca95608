package webhook

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// apply returns what the subscription would be created from once it is changed.
func (p Patch) apply(sub *Subscription) Draft {
	draft := sub.draft()
	if p.URL != nil {
		draft.URL = *p.URL
	}
	if p.EventTypes != nil {
		draft.EventTypes = *p.EventTypes
	}
	if p.Filter != nil {
		draft.Filter = *p.Filter
	}
	if p.Description != nil {
		draft.Description = *p.Description
	}
	if p.Headers != nil {
		draft.Headers = *p.Headers
	}
	if p.Auth != nil {
		draft.Auth = *p.Auth
	}
	if p.CA != nil {
		draft.CA = *p.CA
	}
	if p.Policy != nil {
		draft.Policy = *p.Policy
	}
	return draft
}

// outlook is what was found out for a change before its transaction.
type outlook struct {
	refused   error  // what is wrong with where its URLs lead
	confirmed string // the URL whose endpoint has confirmed the subscription; "": none had to
}

// look does what a change needs of the network.
func (s *Service) look(ctx context.Context, tenant, sub id.ID, patch Patch) (outlook, error) {
	tokenURL := ""
	if patch.Auth != nil {
		tokenURL = patch.Auth.TokenURL
	}
	if patch.URL == nil && tokenURL == "" {
		return outlook{}, nil
	}
	found, err := s.Subscription(ctx, tenant, sub) // before anything is looked up
	if err != nil {
		return outlook{}, err
	}
	var checks problem.Checks
	if patch.URL != nil {
		if err := s.checkPlace(ctx, &checks, "url", *patch.URL); err != nil {
			return outlook{}, err
		}
	}
	if tokenURL != "" {
		if err := s.checkPlace(ctx, &checks, "auth.token_url", tokenURL); err != nil {
			return outlook{}, err
		}
	}
	if err := patch.Confirm.ask(ctx); err != nil {
		return outlook{}, err
	}
	seen := outlook{refused: checks.Err()}
	if seen.refused == nil {
		seen.confirmed, err = s.confirmMoved(ctx, found, patch)
	}
	return seen, err
}
