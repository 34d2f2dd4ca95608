package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// PoolJSON is how a pool of codes is shown. The codes are nobody's to see.
type PoolJSON struct {
	ID        string    `json:"id" example:"pool_019a9c1d2f3b5e8d7c6a4f10"`
	Key       string    `json:"key" example:"shop-10" doc:"By which rules name it."`
	Added     int64     `json:"added" doc:"How many codes it ever had."`
	Given     int64     `json:"given" doc:"How many of them somebody has."`
	Left      int64     `json:"left" doc:"How many can still be given."`
	CreatedAt time.Time `json:"created_at"`
}

type poolPath struct {
	Key string `path:"key" maxLength:"64" doc:"The pool's key: 1 to 64 letters, digits, '.', '-' and '_'."`
}

type addCodesJSON struct {
	Codes []string `json:"codes" minItems:"1" maxItems:"10000" doc:"1 to 10,000, of at most 200 bytes each."`
}

type addedCodesJSON struct {
	Pool       PoolJSON `json:"pool" doc:"As it stands now."`
	Added      int      `json:"added" doc:"How many of the codes are new."`
	Duplicates []string `json:"duplicates" doc:"What the pool has or had before, or was there twice: passed over."`
}

// maxCodesBody bounds a body of codes, each of which may be as long as it can be.
const maxCodesBody = 3 << 20

func (s *server) poolRoutes() {
	register(s, route{
		id: "add-codes", method: http.MethodPost, path: "/v1/pools/{key}/codes", tag: tagRewards, access: canManage,
		summary: "Add codes to a pool",
		description: "Makes the pool if there is none with the key. Rewards get the codes in their order, each once, and those that wait get theirs first. " +
			"A code that the pool has or ever had is passed over, so the call can be repeated.",
		errors: []*problem.Code{problem.Conflict}, bytes: maxCodesBody, example: `{"codes":["SAVE10-7KQ2","SAVE10-M4XD"]}`,
	}, s.addCodes)
	register(s, route{
		id: "list-pools", method: http.MethodGet, path: "/v1/pools", tag: tagRewards, access: canRead,
		summary: "List the pools of codes", description: "All of them, a thousand at most, by their keys.",
	}, s.listPools)
	register(s, route{
		id: "get-pool", method: http.MethodGet, path: "/v1/pools/{key}", tag: tagRewards, access: canRead,
		summary: "Get a pool of codes",
	}, s.getPool)
}

func (s *server) addCodes(ctx context.Context, r request[poolPath, addCodesJSON]) (addedCodesJSON, error) {
	done, err := s.opts.Pools.Add(ctx, r.tenant.ID, r.params.Key, r.body.Codes)
	if err != nil {
		return addedCodesJSON{}, renamed(err, func(name string) string {
			if name == "pool" {
				return "path.key"
			}
			return name
		})
	}
	return addedCodesJSON{showPool(done.Pool), done.Count, append([]string{}, done.Duplicates...)}, nil
}

func (s *server) listPools(ctx context.Context, r request[none, none]) (page[PoolJSON], error) {
	pools, err := s.opts.Pools.List(ctx, r.tenant.ID)
	return pageOf(pools, "", showPool), err
}

func (s *server) getPool(ctx context.Context, r request[poolPath, none]) (PoolJSON, error) {
	p, err := s.opts.Pools.Get(ctx, r.tenant.ID, r.params.Key)
	return showPool(p), err
}

func showPool(p pool.Pool) PoolJSON {
	return PoolJSON{pool.PoolID.Format(p.ID), p.Key, p.Added, p.Given, p.Left(), p.CreatedAt}
}
