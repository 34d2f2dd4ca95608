package referral

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// PageLink is the type of the message that leads somebody back to the own page.
//
// Whoever has the link in it is taken for that person. So it is good once and for an
// hour, and is told with the event, for the mailer, and nowhere else: the message and
// the fact have [SecretLink] in its place, and of its token only a hash is stored.
const PageLink message.Type = "page_link"

// pageLinkAge is how long such a link is good, and how often somebody gets one at most:
// anybody can type anybody's address.
const pageLinkAge = time.Hour

// SecretLink stands in the text of a message for the link that is not kept.
const SecretLink = "{link}"

// ErrNoPageLink refuses a token that is not good: it was made up, used or replaced, or
// has expired.
var ErrNoPageLink = problem.Forbidden.New("the link is not good any more")

// pageToken is what a link to the own page is known by.
type pageToken struct {
	person id.ID
	secret string
}

func newPageToken(of id.ID) pageToken { return pageToken{of, rand.Text()} }

func (t pageToken) String() string { return t.person.String() + t.secret }

func (t pageToken) hash() []byte {
	sum := sha256.Sum256([]byte(t.secret))
	return sum[:]
}

// parsePageToken reads a token as String writes it.
func parsePageToken(text string) (pageToken, bool) {
	var t pageToken
	if len(text) != hex.EncodedLen(len(t.person))+len(rand.Text()) {
		return t, false
	}
	shown := text[:hex.EncodedLen(len(t.person))]
	if _, err := hex.Decode(t.person[:], []byte(shown)); err != nil {
		return t, false
	}
	t.secret = text[len(shown):]
	return t, true
}

// writeBack sends somebody the link to the own page, unless that was done lately.
func (s *Service) writeBack(c *fact.Command, e Entry, of id.ID) error {
	if e.Back == nil || !e.Program.Settings.writes() {
		return nil
	}
	_, before, err := selectPageLink(c.Tx(), c.Tenant(), of)
	if err != nil || c.Now().Sub(before) < pageLinkAge {
		return err
	}
	token := newPageToken(of)
	if err := upsertPageLink(c.Tx(), c.Tenant(), of, token.hash()); err != nil {
		return err
	}
	m := message.Message{
		TenantID: c.Tenant(), PersonID: of, Type: PageLink, Subject: "Your page at " + e.Program.Title(), CreatedAt: c.Now(),
		Message: "Somebody, perhaps you, has registered with this e-mail address at " + e.Program.Title() +
			", where you have a page already.\n\nThis link leads there, once and within an hour: " + SecretLink +
			"\n\nIf it wasn't you, there is nothing that you need to do.\n",
	}
	if _, err := message.Record(c.Tx(), &m); err != nil {
		return err
	}
	_, err = c.Append(fact.Fact{
		Type: MessageSent, Subject: fact.Ref{Kind: MessageSubject, ID: m.ID}, Version: 1,
		Data: &Message{ID: m.ID, PersonID: of, Type: string(PageLink), Subject: m.Subject, Message: m.Message, link: e.Back(token.String())},
	})
	return err
}

// Told returns the text as it is to be sent.
func (m *Message) Told() string {
	if m.link == "" {
		return m.Message
	}
	return strings.ReplaceAll(m.Message, SecretLink, m.link)
}

// CheckPageLink returns ErrNoPageLink for a token that is not good now.
func (s *Service) CheckPageLink(ctx context.Context, tenant id.ID, token string) error {
	t, ok := parsePageToken(token)
	if !ok {
		return ErrNoPageLink
	}
	return s.db.Read(ctx, func(q db.Queryer) error {
		hash, created, err := selectPageLink(q, tenant, t.person)
		if err == nil && (!bytes.Equal(hash, t.hash()) || time.Since(created) >= pageLinkAge) {
			return ErrNoPageLink
		}
		return err
	})
}

// UsePageLink uses a token up, and returns whom it is for. It returns ErrNoPageLink for
// one that is not good; of two who use it at once one is told so.
func (s *Service) UsePageLink(ctx context.Context, tenant id.ID, token string) (id.ID, error) {
	t, ok := parsePageToken(token)
	if !ok {
		return id.ID{}, ErrNoPageLink
	}
	return t.person, s.db.Write(ctx, func(tx *db.Tx) error {
		used, err := usePageLink(tx, tenant, t.person, t.hash(), tx.Now().Add(-pageLinkAge))
		if err == nil && !used {
			return ErrNoPageLink
		}
		return err
	})
}
