package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// BlocklistEntryJSON is how an entry of the block list is shown.
type BlocklistEntryJSON struct {
	ID        string     `json:"id" example:"blk_019a9c1d2f3b5e8d7c6a4f10"`
	Kind      string     `json:"kind" doc:"email, domain, ip or device."`
	Value     string     `json:"value" doc:"In its normal form." example:"mallory@example.com"`
	Reason    string     `json:"reason,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"From then on it counts no more, and it is removed within an hour or so; absent: never."`
}

type newBlocklistEntryJSON struct {
	Kind      string     `json:"kind" enum:"email,domain,ip,device"`
	Value     string     `json:"value" minLength:"1" maxLength:"3500" doc:"An email address; a domain, with which those below it are listed; an IP address, or a network as CIDR; or the browser's cookie, or an id of your own for the device, as people are reported with it."`
	Reason    string     `json:"reason,omitempty" maxLength:"500" doc:"For whoever reads the list: at most 500 bytes."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Absent: never."`
}

// addedBlocklistEntryJSON is an entry that was just made, or was there.
type addedBlocklistEntryJSON struct {
	BlocklistEntryJSON

	isNew bool
}

var _ statused = addedBlocklistEntryJSON{}

func (a addedBlocklistEntryJSON) status() int {
	if a.isNew {
		return http.StatusCreated
	}
	return http.StatusOK
}

type blocklistPath struct {
	ID string `path:"id" doc:"The entry's id."`
}

type blocklistList struct {
	Paging
	Kind  string `query:"kind" enum:"email,domain,ip,device" doc:"Those of this kind."`
	Value string `query:"value" maxLength:"3500" doc:"The one entry with this value, written in any form. It needs a kind."`
}

func (s *server) blocklistRoutes() {
	add := route{
		id: "add-blocklist-entry", method: http.MethodPost, path: "/v1/blocklist", tag: tagReferrals, access: canManage,
		summary: "Add an entry to the block list",
		description: "Referrals that start from then on have the signal `listed` where one of both people is on it. What is there already is returned as it is, with 200: " +
			"to change an entry, remove it first. A tenant has at most 100,000 entries.",
		status: http.StatusCreated, errors: []*problem.Code{problem.Conflict},
		example: `{"kind":"email","value":"mallory@example.com","reason":"orders that were never paid"}`,
	}
	register(s, add, s.addBlocklistEntry)
	responses := s.documented(add).Responses
	responses["200"] = &huma.Response{Description: "Was there already", Content: responses["201"].Content, Headers: responses["201"].Headers}
	register(s, route{
		id: "list-blocklist", method: http.MethodGet, path: "/v1/blocklist", tag: tagReferrals, access: canRead,
		summary: "List the block list", description: "The newest first.",
	}, s.listBlocklist)
	register(s, route{
		id: "get-blocklist-entry", method: http.MethodGet, path: "/v1/blocklist/{id}", tag: tagReferrals, access: canRead,
		summary: "Get an entry of the block list",
	}, s.getBlocklistEntry)
	register(s, route{
		id: "remove-blocklist-entry", method: http.MethodDelete, path: "/v1/blocklist/{id}", tag: tagReferrals, access: canManage,
		summary: "Remove an entry from the block list", description: "What was judged by it stays.",
	}, s.removeBlocklistEntry)
}

func (s *server) addBlocklistEntry(ctx context.Context, r request[none, newBlocklistEntryJSON]) (addedBlocklistEntryJSON, error) {
	b := r.body
	e, isNew, err := s.opts.Blocklist.Add(ctx, r.tenant.ID, blocklist.NewEntry{
		Kind: blocklist.Kind(b.Kind), Value: listedValue(b.Kind, b.Value), Reason: b.Reason, ExpiresAt: b.ExpiresAt,
	})
	return addedBlocklistEntryJSON{showBlocklistEntry(e), isNew}, err
}

// listedValue is what is listed: of a whole cookie the browser's id, by which people
// are known.
func listedValue(kind, value string) string {
	if kind != string(blocklist.Device) {
		return value
	}
	device, _ := browserOf(reportPersonJSON{Device: value})
	return device
}

func (s *server) listBlocklist(ctx context.Context, r request[blocklistList, none]) (page[BlocklistEntryJSON], error) {
	q := r.params
	if q.Value != "" && q.Kind == "" {
		return page[BlocklistEntryJSON]{}, problem.InvalidField("query.kind", "must be given with a value")
	}
	p, err := pageByID(q.Paging, blocklist.EntryID)
	if err != nil {
		return page[BlocklistEntryJSON]{}, err
	}
	entries, next, err := s.opts.Blocklist.List(ctx, r.tenant.ID, blocklist.Choice{
		Kind: blocklist.Kind(q.Kind), Value: listedValue(q.Kind, q.Value), Before: p.After, Limit: p.Limit,
	})
	if err != nil {
		return page[BlocklistEntryJSON]{}, renamed(err, func(name string) string { return "query." + name })
	}
	return pageOf(entries, cursorOf(next, blocklist.EntryID), showBlocklistEntry), nil
}

func (s *server) getBlocklistEntry(ctx context.Context, r request[blocklistPath, none]) (BlocklistEntryJSON, error) {
	of, err := r.params.parse()
	if err != nil {
		return BlocklistEntryJSON{}, err
	}
	e, err := s.opts.Blocklist.Get(ctx, r.tenant.ID, of)
	return showBlocklistEntry(e), err
}

func (s *server) removeBlocklistEntry(ctx context.Context, r request[blocklistPath, none]) (none, error) {
	of, err := r.params.parse()
	if err != nil {
		return none{}, err
	}
	return none{}, s.opts.Blocklist.Remove(ctx, r.tenant.ID, of)
}

func (p blocklistPath) parse() (id.ID, error) {
	of, err := blocklist.EntryID.Parse(p.ID)
	if err != nil {
		return id.ID{}, problem.NotFound.New("there is no such entry of the block list")
	}
	return of, nil
}

func showBlocklistEntry(e blocklist.Entry) BlocklistEntryJSON {
	return BlocklistEntryJSON{
		ID: blocklist.EntryID.Format(e.ID), Kind: string(e.Kind), Value: e.Value, Reason: e.Reason,
		CreatedAt: e.CreatedAt, ExpiresAt: optionalTime(e.ExpiresAt),
	}
}
