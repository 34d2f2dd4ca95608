package message

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	publishJob   = "theme.publish"
	keptVersions = 10 // of a tenant, the one in use among them
)

// The first and the last words of a publication. One that has failed ends with an
// entry that begins with PublishFailed.
const (
	PublishStarted   = "PUBLISH STARTED"
	PublishCompleted = "PUBLISH COMPLETED"
	PublishFailed    = "ERROR"
)

// LogEntry is one thing that a publication has to say.
type LogEntry struct {
	At      time.Time
	Message string
}

// publishSpec is what the job has to know.
type publishSpec struct {
	Version string `json:"version"`
}

// publish freezes the draft under a new version, and has a job try it.
func (s *Service) publish(tx *db.Tx, tenant id.ID) (string, error) {
	row, err := selectTheme(tx, tenant)
	if err != nil {
		return "", err
	}
	if row.publishing != "" {
		return "", problem.Conflict.New("the theme is being published: wait until its status says how that ended")
	}
	draft, err := selectDraft(tx, tenant)
	if err != nil {
		return "", err
	}
	version := newVersion()
	if err := insertVersion(tx, tenant, version, draft); err != nil {
		return "", err
	}
	if _, err := s.jobs.Add(tx, job.New{
		TenantID: tenant, Kind: publishJob, Spec: publishSpec{version}, Total: int64(len(draft.tried())),
	}); err != nil {
		return "", err
	}
	row.publishing, row.log = version, nil
	row.say(tx, PublishStarted)
	return version, upsertTheme(tx, tenant, row)
}

// newVersion returns eight random letters and digits, some 47 bits.
func newVersion() string {
	const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	made := make([]byte, 0, 8)
	var b [64]byte
	for len(made) < 8 {
		_, _ = rand.Read(b[:]) // never fails: the runtime ends the process first
		for _, n := range b {
			if n < 248 && len(made) < 8 { // the largest multiple of 62
				made = append(made, signs[n%62])
			}
		}
	}
	return string(made)
}

// PublishStatus returns what the tenant's latest publication has said so far, the
// first entry first. Where nothing was published yet it is empty.
func PublishStatus(q db.Queryer, tenant id.ID) ([]LogEntry, error) {
	row, err := selectTheme(q, tenant)
	return row.log, err
}

// Version returns the version of the tenant's theme that is in use; empty: the
// built-in theme is.
func Version(q db.Queryer, tenant id.ID) (string, error) {
	return selectInUse(q, tenant)
}

// tried lists the places whose messages are tried: one step each.
func (c *content) tried() []Place {
	locales := slices.Sorted(maps.Keys(c.Locale))
	if !slices.Contains(locales, "") {
		locales = slices.Insert(locales, 0, "")
	}
	var places []Place
	for _, locale := range locales {
		for _, of := range Types {
			places = append(places, Place{locale, of})
		}
	}
	return places
}

// publishStep tries one message. After the last one it brings the version into use.
// Its cursor is how many have been tried, and how much was wrong.
func (s *Service) publishStep(tx *db.Tx, j *job.Job) error {
	var spec publishSpec
	if err := json.Unmarshal(j.Spec, &spec); err != nil {
		return err
	}
	row, err := selectTheme(tx, j.TenantID)
	if err != nil {
		return err
	}
	whole, _, err := selectVersion(tx, j.TenantID, spec.Version)
	if err != nil {
		return err
	}
	at, failed := unpackProgress(j.Cursor)
	if places := whole.tried(); at < len(places) {
		wrong := whole.try(places[at])
		for _, sentence := range wrong {
			row.say(tx, "Failed %s: %s", inWords(places[at].Locale), sentence)
		}
		if len(wrong) == 0 {
			row.say(tx, "Rendered %s %s", places[at].Type, inWords(places[at].Locale))
		}
		j.Cursor = packProgress(at+1, failed+len(wrong))
		j.Done++
		return upsertTheme(tx, j.TenantID, row)
	}
	j.Complete()
	row.publishing = ""
	if failed > 0 {
		row.say(tx, "%s: %d mistakes; nothing was published", PublishFailed, failed)
		if err := deleteVersion(tx, j.TenantID, spec.Version); err != nil {
			return err
		}
		return upsertTheme(tx, j.TenantID, row)
	}
	row.version = spec.Version
	row.say(tx, PublishCompleted)
	if err := upsertTheme(tx, j.TenantID, row); err != nil {
		return err
	}
	if err := deleteOldVersions(tx, j.TenantID, keptVersions, spec.Version); err != nil {
		return err
	}
	return setPublished(tx, j.TenantID, spec.Version)
}

// endPublishing lets the theme be published again if the job was cancelled.
func endPublishing(tx *db.Tx, j *job.Job) error {
	if j.State != job.Cancelled {
		return nil
	}
	row, err := selectTheme(tx, j.TenantID)
	if err != nil {
		return err
	}
	row.publishing = ""
	row.say(tx, "%s: the publication was cancelled", PublishFailed)
	return upsertTheme(tx, j.TenantID, row)
}

// try renders a message with sample values, and returns a sentence for each thing
// that is wrong. The variables of a locale are looked at with its first message.
func (c *content) try(at Place) []string {
	tried, err := newTheme(*c, "")
	if err != nil {
		return []string{"the schema is not valid: " + err.Error()}
	}
	tried.manner = strict
	var wrong []string
	if at.Type == Types[0] {
		wrong = tried.described.validate("variables", c.variables(at.Locale))
	}
	if _, err := tried.render(Request{Locale: at.Locale, Type: at.Type}, sampleOf(at.Type), newAllowance()); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}

func inWords(locale string) string {
	if locale == "" {
		return "for everybody"
	}
	return "in " + locale
}

// say adds to what the publication says.
func (row *themeRow) say(tx *db.Tx, format string, args ...any) {
	row.log = append(row.log, LogEntry{tx.Now(), db.Storable(fmt.Sprintf(format, args...))})
}

func packProgress(tried, failed int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(tried)), uint64(failed)) //nolint:gosec // neither is negative
}

func unpackProgress(cursor []byte) (int, int) {
	tried, n := binary.Uvarint(cursor)
	if n <= 0 {
		return 0, 0
	}
	failed, _ := binary.Uvarint(cursor[n:])
	return int(tried), int(failed) //nolint:gosec // they were small
}
