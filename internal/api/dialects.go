package api

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

type dialectJSON struct {
	Name     string        `json:"name" example:"saasquatch"`
	Spoken   bool          `json:"spoken" doc:"Whether the tenant speaks it."`
	Signing  string        `json:"signing" doc:"What requests are signed with: secret, the subscription's own; key, that of the dialect's API; none." example:"key"`
	Settings []settingJSON `json:"settings" doc:"What a tenant may choose."`
	Fields   []fieldJSON   `json:"fields" doc:"What a publication says besides type and data."`
}

type settingJSON struct {
	Name        string   `json:"name" example:"payload_version"`
	Description string   `json:"description"`
	Values      []string `json:"values" doc:"What it may be, the default first."`
}

type fieldJSON struct {
	Name        string `json:"name" example:"waitlist_id"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

type dialectSettingsJSON struct {
	Dialect  string              `json:"dialect" example:"saasquatch"`
	Settings []chosenSettingJSON `json:"settings"`
}

type chosenSettingJSON struct {
	Name        string   `json:"name" example:"payload_version"`
	Description string   `json:"description"`
	Values      []string `json:"values" doc:"What it may be, the default first."`
	Value       string   `json:"value" doc:"What it is." example:"2016"`
}

type changeSettingsJSON struct {
	Settings map[string]string `json:"settings" doc:"What the tenant chooses, by the settings' names; what is missing has its default."`
}

type dialectPath struct {
	Dialect string `path:"dialect" doc:"The dialect's name."`
}

func (s *server) dialectRoutes() {
	register(s, route{
		id: "list-dialects", method: http.MethodGet, path: "/v1/dialects", tag: tagDialects, access: canRead,
		summary: "List dialects", description: "All that this server speaks, the default first.",
	}, s.listDialects)
	register(s, route{
		id: "get-dialect-settings", method: http.MethodGet, path: "/v1/dialects/{dialect}/settings", tag: tagDialects, access: canRead,
		summary: "Get a dialect's settings", description: "All that there are, as they are for the tenant.",
	}, s.getDialectSettings)
	register(s, route{
		id: "set-dialect-settings", method: http.MethodPut, path: "/v1/dialects/{dialect}/settings", tag: tagDialects, access: canManage,
		summary:     "Set a dialect's settings",
		description: "Replaces all that the tenant chose. Attempts that begin from now on are signed by it, and events that are published from now on have its shapes.",
		example:     `{"settings":{"payload_version":"2020"}}`,
	}, s.setDialectSettings)
}

func (s *server) listDialects(_ context.Context, r request[none, none]) (page[dialectJSON], error) {
	return pageOf(s.opts.Tenants.Dialects(), "", func(d wire.Dialect) dialectJSON {
		return showDialect(d, r.tenant.Speaks(d.Name()))
	}), nil
}

func (s *server) getDialectSettings(ctx context.Context, r request[dialectPath, none]) (dialectSettingsJSON, error) {
	d, err := s.dialect(r.params)
	if err != nil {
		return dialectSettingsJSON{}, err
	}
	chosen, err := s.opts.Tenants.Settings(ctx, r.tenant.ID, d.Name())
	return showSettings(d, chosen), err
}

func (s *server) setDialectSettings(ctx context.Context, r request[dialectPath, changeSettingsJSON]) (dialectSettingsJSON, error) {
	d, err := s.dialect(r.params)
	if err != nil {
		return dialectSettingsJSON{}, err
	}
	err = s.opts.Tenants.SetSettings(ctx, r.tenant.ID, d.Name(), r.body.Settings)
	return showSettings(d, r.body.Settings), err
}

func (s *server) dialect(p dialectPath) (wire.Dialect, error) {
	for _, d := range s.opts.Tenants.Dialects() {
		if d.Name() == p.Dialect {
			return d, nil
		}
	}
	return nil, problem.NotFound.New("there is no such dialect")
}

func showDialect(d wire.Dialect, spoken bool) dialectJSON {
	shown := dialectJSON{Name: d.Name(), Spoken: spoken, Signing: string(d.Signing()), Settings: []settingJSON{}, Fields: []fieldJSON{}}
	for _, setting := range d.Settings() {
		shown.Settings = append(shown.Settings, settingJSON(setting))
	}
	for _, f := range d.Fields() {
		shown.Fields = append(shown.Fields, fieldJSON{Name: f.Name, Description: f.Description, Required: f.Required})
	}
	return shown
}

func showSettings(d wire.Dialect, chosen wire.Settings) dialectSettingsJSON {
	shown := dialectSettingsJSON{Dialect: d.Name(), Settings: []chosenSettingJSON{}}
	for _, setting := range d.Settings() {
		shown.Settings = append(shown.Settings, chosenSettingJSON{
			Name: setting.Name, Description: setting.Description, Values: setting.Values, Value: chosen.Of(setting),
		})
	}
	return shown
}
