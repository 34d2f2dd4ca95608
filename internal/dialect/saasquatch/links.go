package saasquatch

import (
	"context"
	"net/http"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// shareLinks shows the links of the user of the path, in the form that users have
// them in.
func (a *api) shareLinks(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: userOf(p, a.base(c)).ShareLinks}, nil
}

// urlsJSON are all links of a code, by both media.
type urlsJSON struct {
	ShareLinks object `json:"shareLinks"`
}

// The orders in which the vendor shows the media.
var (
	shownEngagements = []code.Engagement{code.InEmail, code.Mobile, code.Embed, code.Popup, code.Hosted, code.UnknownEngagement}
	shownShares      = []code.Share{
		code.Email, code.Facebook, code.Pinterest, code.Twitter, code.Direct, code.WhatsApp, code.LineMessenger, code.SMS,
		code.FBMessenger, code.UnknownShare, code.LinkedIn,
	}
)

// shareURLs shows the links of the user of the path: all, or those of one medium, in
// the first program or the one that is named.
func (a *api) shareURLs(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	query := c.Request.URL.Query()
	engagement, share := code.Engagement(query.Get("engagementMedium")), code.Share(query.Get("shareMedium"))
	var checks problem.Checks
	checks.AddError("engagementMedium", checkEngagement(string(engagement)))
	if share != "" && !slices.Contains(shownShares, share) {
		checks.Add("shareMedium", "must be a share medium, such as DIRECT or FACEBOOK")
	}
	if err := checks.Err(); err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	short, err := shortOf(p, query.Get("programId"))
	if err != nil {
		return dialect.Answer{}, err
	}
	links := object{{"cleanShareLink", a.base(c) + code.CleanPath(short)}}
	for _, e := range shownEngagements {
		if engagement != "" && e != engagement {
			continue
		}
		var of object
		for _, s := range shownShares {
			if share == "" || s == share {
				of = append(of, member{string(s), a.base(c) + code.Path(short, code.Link{Engagement: e, Share: s})})
			}
		}
		links = append(links, member{string(e), of})
	}
	return dialect.Answer{Status: http.StatusOK, Body: urlsJSON{links}}, nil
}

// shortOf returns what the user's links of a program are made from; "": of the first.
func shortOf(p referral.Profile, program string) (string, error) {
	for _, of := range p.Codes {
		if program == "" || of.ProgramKey == program {
			return of.Short, nil
		}
	}
	if program == "" {
		return "", errNoCode
	}
	return "", problem.InvalidField("programId", "names a program in which the user has no code")
}

// checkEngagement refuses what is no engagement medium; "" is none that is asked for.
func checkEngagement(text string) error {
	if text != "" && !slices.Contains(shownEngagements, code.Engagement(text)) {
		return problem.InvalidField("engagementMedium", "must be EMBED, POPUP, HOSTED, MOBILE, EMAIL or UNKNOWN")
	}
	return nil
}
