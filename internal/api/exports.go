package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// ExportJSON is how an export is shown.
type ExportJSON struct {
	ID     string `json:"id" example:"exp_019a9c1d2f3b5e8d7c6a4f10"`
	Type   string `json:"type" example:"REFERRAL"`
	Name   string `json:"name,omitempty"`
	Status string `json:"status" doc:"pending: it is being written; completed; aborted: it was cancelled; expired: its file was deleted."`
	ExportChoiceJSON
	Requester   string     `json:"requester,omitempty" doc:"Who asked for it, where a dialect's API was told."`
	CreatedAt   time.Time  `json:"created_at"`
	CompletedAt *time.Time `json:"completed_at,omitempty" doc:"Absent: there is no file yet."`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"When the file is deleted."`
	Rows        int64      `json:"rows,omitempty" doc:"Without the header."`
	Bytes       int64      `json:"bytes,omitempty"`
}

// ExportChoiceJSON says which rows an export has.
type ExportChoiceJSON struct {
	Program                string     `json:"program,omitempty" maxLength:"100" doc:"The key or id of a program, where rows belong to one; absent: of all. The answer has the key."`
	CreatedSince           *time.Time `json:"created_since,omitempty"`
	CreatedBefore          *time.Time `json:"created_before,omitempty"`
	UpdatedSince           *time.Time `json:"updated_since,omitempty"`
	UpdatedBefore          *time.Time `json:"updated_before,omitempty"`
	CreatedOrUpdatedSince  *time.Time `json:"created_or_updated_since,omitempty"`
	CreatedOrUpdatedBefore *time.Time `json:"created_or_updated_before,omitempty"`
}

type newExportJSON struct {
	Type string `json:"type" minLength:"1" maxLength:"100" doc:"USER, USER_REFERRAL, REFERRAL, USER_REWARD_BALANCE, REWARD_BALANCE or REWARD."`
	Name string `json:"name,omitempty" maxLength:"255"`
	ExportChoiceJSON
}

type exportPath struct {
	ID string `path:"id" doc:"The export's id."`
}

const csvType = "text/csv"

func (s *server) exportRoutes() {
	register(s, route{
		id: "create-export", method: http.MethodPost, path: "/v1/exports", tag: tagExports, access: canManage,
		summary:     "Export rows to a file",
		description: "A CSV file is written in the background; when it is there, that is a fact and an event. It is kept for 35 days. People are named as SaaSquatch names them, by account and user.",
		status:      http.StatusCreated, errors: []*problem.Code{problem.Conflict}, example: `{"type":"REFERRAL","created_since":"2026-01-01T00:00:00Z"}`,
	}, s.createExport)
	register(s, route{
		id: "list-exports", method: http.MethodGet, path: "/v1/exports", tag: tagExports, access: canRead,
		summary: "List exports", description: "The newest first.",
	}, s.listExports)
	register(s, route{
		id: "get-export", method: http.MethodGet, path: "/v1/exports/{id}", tag: tagExports, access: canRead,
		summary: "Get an export",
	}, s.getExport)
	register(s, route{
		id: "cancel-export", method: http.MethodPost, path: "/v1/exports/{id}/cancel", tag: tagExports, access: canManage,
		summary: "Cancel an export", description: "One that is being written.", errors: []*problem.Code{problem.Conflict},
	}, s.cancelExport)
	s.exportFileRoute()
}

func (s *server) createExport(ctx context.Context, r request[none, newExportJSON]) (ExportJSON, error) {
	b := r.body
	of := export.Request{Type: b.Type, Name: b.Name, Params: export.Params{
		CreatedSince: milli(b.CreatedSince), CreatedBefore: milli(b.CreatedBefore), UpdatedSince: milli(b.UpdatedSince), UpdatedBefore: milli(b.UpdatedBefore),
		CreatedOrUpdatedSince: milli(b.CreatedOrUpdatedSince), CreatedOrUpdatedBefore: milli(b.CreatedOrUpdatedBefore),
	}}
	if b.Program != "" {
		p, err := s.opts.Programs.Named(ctx, r.tenant.ID, b.Program)
		if problem.NotFound.Has(err) {
			return ExportJSON{}, problem.InvalidField("program", "is not the id or key of a program")
		}
		if err != nil {
			return ExportJSON{}, err
		}
		of.Params.ProgramID = p.Key
	}
	e, err := s.opts.Exports.Order(ctx, r.tenant.ID, of)
	if err != nil {
		return ExportJSON{}, renamed(err, func(name string) string {
			if name == "params.programId" {
				return "program"
			}
			return name
		})
	}
	return showExport(&e), nil
}

// milli is a time as exports know it: to the millisecond.
func milli(t *time.Time) time.Time { return timeOf(t).UTC().Truncate(time.Millisecond) }

func (s *server) listExports(ctx context.Context, r request[Paging, none]) (page[ExportJSON], error) {
	p, err := r.params.before(export.ExportID)
	if err != nil {
		return page[ExportJSON]{}, err
	}
	exports, err := s.opts.Exports.Latest(ctx, r.tenant.ID, p.Before, p.Limit+1)
	var next id.ID
	if len(exports) > p.Limit {
		exports = exports[:p.Limit]
		next = exports[p.Limit-1].ID
	}
	return pageOf(exports, cursorOf(next, export.ExportID), func(e export.Export) ExportJSON { return showExport(&e) }), err
}

func (s *server) getExport(ctx context.Context, r request[exportPath, none]) (ExportJSON, error) {
	return s.withExport(ctx, r, s.opts.Exports.Get)
}

func (s *server) cancelExport(ctx context.Context, r request[exportPath, none]) (ExportJSON, error) {
	return s.withExport(ctx, r, s.opts.Exports.Cancel)
}

// withExport does something with the export that a path names, and shows how it then
// stands.
func (s *server) withExport(ctx context.Context, r request[exportPath, none],
	do func(ctx context.Context, tenant, of id.ID) (export.Export, error),
) (ExportJSON, error) {
	of, err := r.params.parse()
	if err != nil {
		return ExportJSON{}, err
	}
	e, err := do(ctx, r.tenant.ID, of)
	if err != nil {
		return ExportJSON{}, err
	}
	return showExport(&e), nil
}

func (p exportPath) parse() (id.ID, error) {
	of, err := export.ExportID.Parse(p.ID)
	if err != nil {
		return id.ID{}, problem.NotFound.New("there is no such export")
	}
	return of, nil
}

func showExport(e *export.Export) ExportJSON {
	p := e.Params
	return ExportJSON{
		ID: export.ExportID.Format(e.ID), Type: e.Type, Name: e.Name, Status: strings.ToLower(string(e.Status)), Requester: e.Requester,
		ExportChoiceJSON: ExportChoiceJSON{
			p.ProgramID, optionalTime(p.CreatedSince), optionalTime(p.CreatedBefore), optionalTime(p.UpdatedSince), optionalTime(p.UpdatedBefore),
			optionalTime(p.CreatedOrUpdatedSince), optionalTime(p.CreatedOrUpdatedBefore),
		},
		CreatedAt: e.CreatedAt, CompletedAt: optionalTime(e.CompletedAt), ExpiresAt: optionalTime(e.ExpiresAt), Rows: e.Rows, Bytes: e.Bytes,
	}
}

// exportFileRoute serves the files, which are sent piece by piece.
func (s *server) exportFileRoute() {
	rt := route{
		id: "download-export", method: http.MethodGet, path: "/v1/exports/{id}/file", tag: tagExports, access: canRead,
		summary: "Download the file of an export", errors: []*problem.Code{problem.Conflict},
		description: "CSV as in RFC 4180: UTF-8, a header, and quotes where they are needed. An answer that breaks off is not the whole file. In columns that anybody may have written, " +
			"such as names, an apostrophe stands before what a spreadsheet would take for a formula.",
	}
	op := s.operation(rt)
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "id", In: "path", Required: true, Description: "The export's id.", Schema: &huma.Schema{Type: huma.TypeString},
	})
	op.Responses = map[string]*huma.Response{"200": {
		Description: "The file", Content: map[string]*huma.MediaType{csvType: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	s.describeRefusals(&op)
	s.huma.OpenAPI().AddOperation(&op)
	s.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
		if err := s.prepare(w, r, rt); err != nil {
			s.refuse(w, r, err)
			return
		}
		if err := s.sendExport(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// sendExport answers with a file. An error means that the answer has not begun.
func (s *server) sendExport(w http.ResponseWriter, r *http.Request) error {
	c := callOf(r.Context())
	if r.URL.RawQuery != "" {
		return problem.InvalidField("query", "this call takes no parameters")
	}
	of, err := exportPath{r.PathValue("id")}.parse()
	if err != nil {
		return err
	}
	e, pieces, err := s.opts.Exports.Download(audit.WithActor(r.Context(), c.actor()), c.tenant.ID, of)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", csvType+"; charset=utf-8")
	h.Set("Content-Length", strconv.FormatInt(e.Bytes, 10))
	h.Set("Content-Disposition", `attachment; filename="`+export.ExportID.Format(e.ID)+`.csv"`)
	w.WriteHeader(http.StatusOK)
	if err := sendPieces(w, pieces); err != nil {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "export_not_sent", slog.String("request_id", c.requestID), slog.String("error", err.Error()))
		panic(http.ErrAbortHandler) // so that nobody takes it for a whole one
	}
	return nil
}

// sendPieces sends the pieces of a file as long as the caller goes on receiving them.
func sendPieces(w http.ResponseWriter, pieces iter.Seq2[[]byte, error]) error {
	controller := http.NewResponseController(w)
	for piece, err := range pieces {
		if err != nil {
			return err
		}
		if err := controller.SetWriteDeadline(time.Now().Add(backupStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("api: set a deadline: %w", err)
		}
		if _, err := w.Write(piece); err != nil {
			return fmt.Errorf("api: send a file: %w", err)
		}
	}
	return nil
}
