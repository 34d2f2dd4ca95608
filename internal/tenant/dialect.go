package tenant

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// The setting by which a tenant has a dialect sign with the server's RSA key, and
// the value that says so.
const (
	settingJWS = "jws"
	jwsOn      = "on"
)

// Dialects returns those that the server speaks, the default first. Nobody
// changes what it returns.
func (s *Service) Dialects() []wire.Dialect { return s.dialects }

// dialect returns the one of that name, or nil if the server does not speak it.
func (s *Service) dialect(name string) wire.Dialect {
	i := slices.IndexFunc(s.dialects, func(d wire.Dialect) bool { return d.Name() == name })
	if i < 0 {
		return nil
	}
	return s.dialects[i]
}

// spoken returns the named dialects in the server's order, each once, and notes
// it if the server does not speak one of them.
func (s *Service) spoken(c *problem.Checks, names []string) []string {
	if slices.ContainsFunc(names, func(name string) bool { return s.dialect(name) == nil }) {
		c.Add("dialects", "may only name what this server speaks: %s", strings.Join(s.dialectNames(), ", "))
		return nil
	}
	return slices.DeleteFunc(s.dialectNames(), func(name string) bool { return !slices.Contains(names, name) })
}

func (s *Service) dialectNames() []string {
	names := make([]string, len(s.dialects))
	for i, d := range s.dialects {
		names[i] = d.Name()
	}
	return names
}

// Settings returns what a tenant chose of a dialect's settings, whether it speaks
// the dialect or not. It returns problem.NotFound for a dialect that the server
// does not speak.
func (s *Service) Settings(ctx context.Context, tenant id.ID, dialect string) (wire.Settings, error) {
	if s.dialect(dialect) == nil {
		return nil, noDialect()
	}
	var chosen wire.Settings
	err := s.db.Read(ctx, func(q db.Queryer) error {
		if _, err := living(q, tenant); err != nil {
			return err
		}
		var err error
		chosen, err = settingsOf(q, speaking{tenant, dialect})
		return err
	})
	return chosen, err
}

// SetSettings replaces what a tenant chose of a dialect's settings; what is
// missing has its default from now on. It returns problem.Invalid, which names
// "settings" or one of them, for a name or a value that the dialect does not
// have, and problem.NotFound as Settings does.
func (s *Service) SetSettings(ctx context.Context, tenant id.ID, dialect string, chosen wire.Settings) error {
	d := s.dialect(dialect)
	if d == nil {
		return noDialect()
	}
	if err := checkSettings(d, chosen); err != nil {
		return err
	}
	if wantsRSA(d, chosen) {
		// The key is made now, where it is not there, and not when an attempt waits
		// for it.
		if _, err := s.rsaKey(ctx); err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := living(tx, tenant); err != nil {
			return err
		}
		was, err := settingsOf(tx, speaking{tenant, dialect})
		if err != nil {
			return err
		}
		if err := s.forgetIdentities(tx, tenant, dialect); err != nil {
			return err
		}
		if err := replaceSettings(tx, speaking{tenant, dialect}, chosen); err != nil {
			return err
		}
		return auditSettings(ctx, tx, speaking{tenant, dialect}, was, chosen)
	})
}

// checkSettings names every setting that the dialect does not have, and every
// value that its setting does not.
func checkSettings(d wire.Dialect, chosen wire.Settings) error {
	var c problem.Checks
	var names []string
	known := make(map[string]wire.Setting)
	for _, setting := range d.Settings() {
		names = append(names, setting.Name)
		known[setting.Name] = setting
	}
	unknown := false
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		setting, ok := known[name]
		switch {
		case !ok:
			unknown = true
		case !slices.Contains(setting.Values, chosen[name]):
			c.Add("settings."+name, "must be one of: %s", strings.Join(setting.Values, ", "))
		}
	}
	switch {
	case unknown && len(names) == 0:
		c.Add("settings", "must be empty: this dialect has none")
	case unknown:
		c.Add("settings", "may only name what this dialect has: %s", strings.Join(names, ", "))
	}
	return c.Err()
}

// wantsRSA reports whether the dialect, set like this, signs with the server's
// RSA key.
func wantsRSA(d wire.Dialect, chosen wire.Settings) bool {
	return slices.ContainsFunc(d.Settings(), func(s wire.Setting) bool {
		return s.Name == settingJWS && chosen.Of(s) == jwsOn
	})
}

func noDialect() error { return problem.NotFound.New("there is no such dialect") }
