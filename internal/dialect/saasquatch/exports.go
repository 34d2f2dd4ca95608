package saasquatch

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// exportRoutes lists the calls about exports.
func (a *api) exportRoutes() []dialect.Route {
	if a.Exports == nil {
		return nil
	}
	const all = "/api/v1/{tenant}/export"
	return []dialect.Route{
		{Method: http.MethodPost, Pattern: all, Scope: tenant.Manage, Handle: a.orderExport},
		{Method: http.MethodGet, Pattern: all + "/history/list", Scope: tenant.Read, Handle: a.listExports},
		{Method: http.MethodGet, Pattern: all + "/{id}", Scope: tenant.Read, Handle: a.showExport},
		{Method: http.MethodGet, Pattern: all + "/{id}/download", Scope: tenant.Read, Handle: a.downloadExport},
	}
}

// orderExport begins an export.
func (a *api) orderExport(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body struct {
		Type      string          `json:"type"`
		Format    string          `json:"format"`
		Name      string          `json:"name"`
		Requester string          `json:"requester"`
		Params    json.RawMessage `json:"params"`
	}
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	params, err := export.ParseParams(body.Params)
	if err != nil {
		return dialect.Answer{}, err
	}
	e, err := a.Exports.Order(ctx, c.Principal.Tenant.ID, export.Request{
		Type: body.Type, Format: body.Format, Name: body.Name, Requester: cmp.Or(body.Requester, "API"), Params: params,
	})
	return dialect.Answer{Status: http.StatusCreated, Body: exportOf(&e)}, err
}

func (a *api) showExport(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := exportID(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	e, err := a.Exports.Get(ctx, c.Principal.Tenant.ID, of)
	return dialect.Answer{Status: http.StatusOK, Body: exportOf(&e)}, err
}

// downloadExport sends the file.
func (a *api) downloadExport(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := exportID(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	e, pieces, err := a.Exports.Download(ctx, c.Principal.Tenant.ID, of)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, File: &dialect.File{
		Type: "text/csv; charset=utf-8; header=present", Name: e.ID.String() + ".csv", Bytes: e.Bytes, Pieces: pieces,
	}}, nil
}

// listExports lists exports, the newest first.
func (a *api) listExports(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var checks problem.Checks
	page := export.Page{
		Limit:  number(&checks, c, bounds{name: "limit", most: maxLimit, absent: defaultLimit}),
		Offset: number(&checks, c, bounds{name: "offset", most: maxOffset}),
	}
	if err := checks.Err(); err != nil {
		return dialect.Answer{}, err
	}
	found, total, err := a.Exports.List(ctx, c.Principal.Tenant.ID, page)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown := struct {
		Data       []exportJSON `json:"data"`
		Count      int          `json:"count"`
		TotalCount int          `json:"totalCount"`
	}{Data: []exportJSON{}, Count: len(found), TotalCount: total}
	for _, e := range found {
		shown.Data = append(shown.Data, exportOf(&e))
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// bounds are what a number in a query may be.
type bounds struct {
	name                string
	least, most, absent int
	instead             string // what to do for more; "": nothing
}

// number reads a number from the query.
func number(checks *problem.Checks, c *dialect.Call, b bounds) int {
	text := c.Request.URL.Query().Get(b.name)
	if text == "" {
		return b.absent
	}
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && n >= b.least && n <= b.most:
	case b.instead != "":
		checks.Add(b.name, "must be a number from %d to %d: %s", b.least, b.most, b.instead)
	default:
		checks.Add(b.name, "must be a number from %d to %d", b.least, b.most)
	}
	return n
}

// exportID reads the id in the path. A text that is none names no export.
func exportID(c *dialect.Call) (id.ID, error) {
	var of id.ID
	if of.UnmarshalText([]byte(c.Path["id"])) != nil {
		return id.ID{}, problem.NotFound.New("there is no such export")
	}
	return of, nil
}
