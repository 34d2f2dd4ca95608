package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// BlocklistKind is what an entry of the block list lists.
type BlocklistKind string

// The kinds of entries.
const (
	BlocklistEmail  BlocklistKind = "email"  // one mailbox, however its address is written
	BlocklistDomain BlocklistKind = "domain" // email at a domain, and at those below it
	BlocklistIP     BlocklistKind = "ip"     // an address, or a network in CIDR notation
	BlocklistDevice BlocklistKind = "device" // a browser's cookie, or an id of a device
)

// BlocklistEntry is somebody, or something, whose referrals are suspect.
type BlocklistEntry struct {
	ID        string        `json:"id"`
	Kind      BlocklistKind `json:"kind"`
	Value     string        `json:"value"` // in its normal form
	Reason    string        `json:"reason,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"` // from then on it counts no more; zero: never
}

// NewBlocklistEntry is what is to be listed. Kind and Value are required.
type NewBlocklistEntry struct {
	Kind      BlocklistKind `json:"kind"`
	Value     string        `json:"value"`
	Reason    string        `json:"reason,omitempty"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"`
}

// BlocklistFilter chooses entries. Zero fields choose all.
type BlocklistFilter struct {
	Kind  BlocklistKind
	Value string // the one with this value, written in any form; it needs a kind
}

// AddBlocklistEntry adds an entry to the block list. One that is there already is
// returned as it is, whatever else is given.
func (c *Client) AddBlocklistEntry(ctx context.Context, n NewBlocklistEntry) (BlocklistEntry, error) {
	return one[BlocklistEntry](ctx, c, call{method: http.MethodPost, path: "/v1/blocklist", body: n})
}

// Blocklist returns a page of entries, the newest first.
func (c *Client) Blocklist(ctx context.Context, f BlocklistFilter, page Page) (List[BlocklistEntry], error) {
	query := url.Values{}
	set(query, "kind", string(f.Kind))
	set(query, "value", f.Value)
	return list[BlocklistEntry](ctx, c, "/v1/blocklist", query, page)
}

// AllBlocklist goes through all entries that a filter chooses.
func (c *Client) AllBlocklist(ctx context.Context, f BlocklistFilter) iter.Seq2[BlocklistEntry, error] {
	return all(func(p Page) (List[BlocklistEntry], error) { return c.Blocklist(ctx, f, p) })
}

// BlocklistEntry returns an entry.
func (c *Client) BlocklistEntry(ctx context.Context, id string) (BlocklistEntry, error) {
	return one[BlocklistEntry](ctx, c, call{method: http.MethodGet, path: path("/v1/blocklist/", id)})
}

// RemoveBlocklistEntry takes an entry off the list. What was judged by it stays.
func (c *Client) RemoveBlocklistEntry(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/blocklist/", id)}, nil)
	return err
}
