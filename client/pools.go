package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Pool is a supply of codes that rewards give away.
type Pool struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"`
	Added     int64     `json:"added"` // codes that it ever had
	Given     int64     `json:"given"` // of them somebody has
	Left      int64     `json:"left"`
	CreatedAt time.Time `json:"created_at"`
}

// AddedCodes is what came of adding codes.
type AddedCodes struct {
	Pool       Pool     `json:"pool"`
	Added      int      `json:"added"`      // of the codes that are new
	Duplicates []string `json:"duplicates"` // what was passed over
}

// AddCodes adds up to 10,000 codes to a pool, which it makes if there is none with
// the key. What the pool has or ever had is passed over, so it can be repeated.
func (c *Client) AddCodes(ctx context.Context, pool string, codes []string) (AddedCodes, error) {
	return one[AddedCodes](ctx, c, call{method: http.MethodPost, path: path("/v1/pools/", pool, "/codes"), body: map[string][]string{"codes": codes}})
}

// Pools returns all pools, in the order of their keys.
func (c *Client) Pools(ctx context.Context) ([]Pool, error) {
	l, err := list[Pool](ctx, c, "/v1/pools", url.Values{}, Page{})
	return l.Data, err
}

// Pool returns a pool.
func (c *Client) Pool(ctx context.Context, key string) (Pool, error) {
	return one[Pool](ctx, c, call{method: http.MethodGet, path: path("/v1/pools/", key)})
}
