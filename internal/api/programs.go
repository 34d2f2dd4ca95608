package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// ProgramJSON is how a program is shown.
type ProgramJSON struct {
	ID           string          `json:"id" example:"prg_019a9c1d2f3b5e8d7c6a4f10"`
	Key          string          `json:"key" example:"give-and-get" doc:"Chosen when it was created; does not change."`
	Kind         string          `json:"kind" example:"referral"`
	Name         string          `json:"name" example:"Give $10, get $20"`
	Status       string          `json:"status" doc:"draft, active, paused or ended. Something new begins only in one that is active and within its time."`
	StartsAt     *time.Time      `json:"starts_at,omitempty" doc:"Absent: at once."`
	EndsAt       *time.Time      `json:"ends_at,omitempty" doc:"Absent: never."`
	TimeZone     string          `json:"time_zone" example:"Europe/Berlin" doc:"Whose days and months the rules follow."`
	Unit         string          `json:"unit,omitempty" example:"cents" doc:"Of rewards whose rule names none."`
	Settings     json.RawMessage `json:"settings" doc:"What the kind of program lets be chosen, moderation and fraud included."`
	RulesVersion int64           `json:"rules_version" doc:"Counts the sets of rules, from 1."`
	Version      int64           `json:"version" doc:"Counts the changes."`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
}

const (
	docSettings = "An object. Of a referral program: landing_url and allowed_hosts, where share links may lead; attribution {mode: first, last or sticky; window}; " +
		"moderation {referrer, referred: pending, approved or denied; approve_after}; fraud, what each signal leads to; accounts: convert or ignore; " +
		"clawback: keep, to_zero, negative or offset_next; messages: on or off; page {title, text, frame}."
	docRules = "A list of rules, such as {\"key\":\"friend\",\"on\":\"purchase\",\"actor\":\"referred\",\"once\":true,\"give\":{\"kind\":\"credit\",\"amount\":1000,\"unit\":\"cents\"}}."
)

type newProgramJSON struct {
	Key      string          `json:"key" minLength:"1" maxLength:"64" doc:"Small letters, digits, - and _." example:"give-and-get"`
	Kind     string          `json:"kind,omitempty" minLength:"1" doc:"Absent: referral."`
	Name     string          `json:"name,omitempty" doc:"For people; at most 200 characters. Absent: the key."`
	Status   string          `json:"status,omitempty" enum:"draft,active,paused,ended" doc:"Absent: active."`
	StartsAt *time.Time      `json:"starts_at,omitempty" doc:"Absent: at once."`
	EndsAt   *time.Time      `json:"ends_at,omitempty" doc:"Absent: never."`
	TimeZone string          `json:"time_zone,omitempty" doc:"A name of the IANA database; absent: UTC."`
	Unit     string          `json:"unit,omitempty" doc:"Of rewards whose rule names none."`
	Settings json.RawMessage `json:"settings,omitempty" doc:"What the kind of program lets be chosen; absent: the defaults."`
	Rules    json.RawMessage `json:"rules,omitempty" doc:"See PUT …/rules; absent: none."`
}

type changeProgramJSON struct {
	Name     *string             `json:"name,omitempty"`
	Status   *string             `json:"status,omitempty" enum:"draft,active,paused,ended"`
	StartsAt nullable[time.Time] `json:"starts_at,omitzero" doc:"null: at once."`
	EndsAt   nullable[time.Time] `json:"ends_at,omitzero" doc:"null: never."`
	TimeZone *string             `json:"time_zone,omitempty"`
	Unit     *string             `json:"unit,omitempty"`
	Settings json.RawMessage     `json:"settings,omitempty" doc:"Replaces all settings."`
}

// ProgramPath names a program.
type ProgramPath struct {
	ID string `path:"id" maxLength:"100" doc:"The program's id or key."`
}

const (
	exampleRules   = `[{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,"if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":2000,"unit":"cents"}}]`
	exampleProgram = `{"key":"spring-sale","name":"Give $10, get $20","time_zone":"Europe/Berlin","settings":{"landing_url":"https://www.example.com/welcome","moderation":{"referrer":"pending"}},"rules":` + exampleRules + `}`
)

func (s *server) programRoutes() {
	register(s, route{
		id: "create-program", method: http.MethodPost, path: "/v1/programs", tag: tagPrograms, access: canManage,
		summary: "Create a program", description: "Whoever is reported from now on is in it, with a code. `settings`: " + docSettings,
		status: http.StatusCreated, errors: []*problem.Code{problem.Conflict}, example: exampleProgram,
	}, s.createProgram)
	register(s, route{
		id: "list-programs", method: http.MethodGet, path: "/v1/programs", tag: tagPrograms, access: canRead,
		summary: "List programs", description: "All of them, a hundred at most, the oldest first.",
	}, s.listPrograms)
	register(s, route{
		id: "get-program", method: http.MethodGet, path: "/v1/programs/{id}", tag: tagPrograms, access: canRead,
		summary: "Get a program",
	}, s.getProgram)
	register(s, route{
		id: "update-program", method: http.MethodPatch, path: "/v1/programs/{id}", tag: tagPrograms, access: canManage,
		summary: "Change a program", description: "What is not given stays; settings are replaced as a whole. What was begun in a program that is paused or ended goes on.",
		example: `{"status":"paused"}`,
	}, s.updateProgram)
	s.ruleRoutes()
}

func (s *server) createProgram(ctx context.Context, r request[none, newProgramJSON]) (ProgramJSON, error) {
	b := r.body
	kind := b.Kind
	if kind == "" {
		kind = referral.KindName
	}
	p, err := s.opts.Programs.Create(ctx, r.tenant.ID, program.New{
		Key: b.Key, Kind: kind, Name: b.Name, Status: program.Status(b.Status), StartsAt: timeOf(b.StartsAt), EndsAt: timeOf(b.EndsAt),
		Zone: b.TimeZone, Unit: b.Unit, Settings: b.Settings, Rules: b.Rules,
	})
	return showProgram(p), err
}

func (s *server) listPrograms(ctx context.Context, r request[none, none]) (page[ProgramJSON], error) {
	programs, err := s.opts.Programs.All(ctx, r.tenant.ID)
	return pageOf(programs, "", showProgram), err
}

func (s *server) getProgram(ctx context.Context, r request[ProgramPath, none]) (ProgramJSON, error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	return showProgram(p), err
}

func (s *server) updateProgram(ctx context.Context, r request[ProgramPath, changeProgramJSON]) (ProgramJSON, error) {
	p, err := s.opts.Programs.Named(ctx, r.tenant.ID, r.params.ID)
	if err != nil {
		return ProgramJSON{}, err
	}
	b := r.body
	patch := program.Patch{Name: b.Name, Zone: b.TimeZone, Unit: b.Unit}
	if b.Status != nil {
		patch.Status = new(program.Status(*b.Status))
	}
	if b.StartsAt.Set {
		patch.StartsAt = new(timeOf(b.StartsAt.Value))
	}
	if b.EndsAt.Set {
		patch.EndsAt = new(timeOf(b.EndsAt.Value))
	}
	if b.Settings != nil {
		patch.Settings = &b.Settings
	}
	p, err = s.opts.Programs.Update(ctx, r.tenant.ID, p.ID, patch)
	return showProgram(p), err
}

func showProgram(p *program.Program) ProgramJSON {
	if p == nil {
		return ProgramJSON{}
	}
	return ProgramJSON{
		ID: program.ProgramID.Format(p.ID), Key: p.Key, Kind: p.Kind, Name: p.Name, Status: string(p.Status),
		StartsAt: optionalTime(p.StartsAt), EndsAt: optionalTime(p.EndsAt), TimeZone: p.Zone.String(), Unit: p.Unit, Settings: p.Settings,
		RulesVersion: p.RulesVersion, Version: p.Version, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}
