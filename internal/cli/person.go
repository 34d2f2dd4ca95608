package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// personCommands are about people.
type personCommands struct {
	Upsert     personUpsert     `cmd:"" help:"Report a person: create one, or change what is given and differs."`
	List       personList       `cmd:"" help:"List people, the newest first, or search for some."`
	Show       personShow       `cmd:"" aliases:"get" help:"Show a person with codes and referrals."`
	Story      personStory      `cmd:"" help:"Show everything about a person, what was written down last first."`
	Explain    personExplain    `cmd:"" help:"Say why a person did or didn't get rewards."`
	Messages   personMessages   `cmd:"" help:"List what a person was written, the newest first."`
	Identities personIdentities `cmd:"" help:"List by what a person is known."`
	Link       personLink       `cmd:"" help:"Have a person be known by a further name, of this API or a dialect's."`
	Unlink     personUnlink     `cmd:"" help:"Take back what 'link' has done."`
	Links      personLinks      `cmd:"" help:"Show a person's share links."`
	Code       personCode       `cmd:"" help:"Find out whose code it is."`
	Track      personTrack      `cmd:"" help:"Report what a person did, with what follows from it."`
	Activities personActivities `cmd:"" help:"List what a person did, the latest first."`
	Refer      personRefer      `cmd:"" help:"Say by whose code a person came."`
	Block      personBlock      `cmd:"" help:"Have a person take part in nothing."`
	Unblock    personUnblock    `cmd:"" help:"Take back what 'block' has done."`
	Delete     personDelete     `cmd:"" help:"Forget a person, for good."`
}

// personArgument names a person.
type personArgument struct {
	Person string `arg:"" help:"The person's id (per_…) or your own for them."`
}

type personUpsert struct {
	personArgument
	Account     *string           `placeholder:"KEY" help:"The account that the person belongs to; empty: none."`
	Email       *string           `placeholder:"ADDRESS" help:"The e-mail address."`
	FirstName   *string           `placeholder:"NAME" help:"The first name."`
	LastName    *string           `placeholder:"NAME" help:"The last name."`
	Locale      *string           `placeholder:"LOCALE" help:"Such as de_DE."`
	Country     *string           `placeholder:"CODE" help:"Two letters, as in ISO 3166-1."`
	Fields      string            `placeholder:"JSON" help:"Whatever else is to be kept, in place of what there is: a JSON object, a file that has one (@FILE), or - for the standard input."`
	Unreferable *bool             `negatable:"" help:"The person takes part in no program."`
	ReferredBy  []string          `placeholder:"CODE" help:"A code by which the person came; repeatable."`
	Code        map[string]string `placeholder:"PROGRAM=CODE" help:"A code that the person is to have in a program; repeatable."`
	IP          string            `name:"ip" placeholder:"ADDRESS" help:"Where the person's own request came from."`
	Device      string            `placeholder:"COOKIE" help:"The browser's cookie: its whole value, or an id of your own for the device."`
	output
	tenantConnection
}

// Run reports a person.
func (c *personUpsert) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r := client.PersonReport{
		Account: c.Account, Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, Locale: c.Locale, Country: c.Country,
		Unreferable: c.Unreferable, ReferredBy: c.ReferredBy, Codes: c.Code, IP: c.IP, Device: c.Device,
	}
	if c.Fields != "" {
		if r.Fields, err = e.readJSON("the fields", c.Fields); err != nil {
			return err
		}
	}
	p, err := api.ReportPerson(e.ctx, c.Person, r)
	return c.showProfile(e, p, err)
}

func (o output) showProfile(e *env, p client.Profile, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(p)
	}
	s := newSheet(e.out)
	showPerson(s, p.Person)
	for _, c := range p.Codes {
		s.field("code", c.Text+" ("+c.ProgramKey+")")
	}
	for _, r := range p.Referrals {
		s.field("referred by", fmt.Sprintf("%s in %s: %s %s", r.ReferrerID, r.ProgramKey, r.ID, r.State))
	}
	return nil
}

func showPerson(s sheet, p client.Person) {
	s.field("id", p.ID)
	s.field("external id", p.ExternalID)
	if p.ExternalID == "" {
		s.field(p.Scheme, p.Key)
	}
	s.field("name", personName(p))
	s.field("e-mail", p.Email)
	s.field("account", p.Account)
	s.field("locale", p.Locale)
	s.field("country", p.Country)
	s.field("fields", string(p.Fields))
	if p.Unreferable {
		s.field("programs", "takes part in none")
	}
	if !p.BlockedAt.IsZero() {
		s.painted("blocked", cell{when(p.BlockedAt), red})
	}
	s.field("created", when(p.CreatedAt))
	s.field("updated", when(p.UpdatedAt))
}

func personName(p client.Person) string { return strings.TrimSpace(p.FirstName + " " + p.LastName) }

type personList struct {
	Search string `arg:"" optional:"" help:"How an e-mail address, a first name, a last name or a whole name begins, or a code, an account or an id."`
	listing
	tenantConnection
}

// Run lists people.
func (c *personList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Profile]{
		get: func(p client.Page) (client.List[client.Profile], error) {
			return api.People(e.ctx, c.Search, p)
		},
		widths: []int{28, 20, 24, 30}, header: []string{"ID", "EXTERNAL ID", "NAME", "E-MAIL", "CODE"},
		row: func(p client.Profile) []cell {
			code, state := "", plain
			if len(p.Codes) > 0 {
				code = p.Codes[0].Text
			}
			if !p.BlockedAt.IsZero() {
				state = red
			}
			return []cell{{p.ID, state}, {p.ExternalID, plain}, {personName(p.Person), plain}, {p.Email, plain}, {code, plain}}
		},
	}.show(e, c.listing)
}

type personShow struct {
	personArgument
	output
	tenantConnection
}

// Run shows a person.
func (c *personShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	p, err := api.Person(e.ctx, c.Person)
	return c.showProfile(e, p, err)
}

type personCode struct {
	Code string `arg:"" help:"The code, however it is written."`
	output
	tenantConnection
}

// Run shows whose code it is.
func (c *personCode) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	owner, err := api.Code(e.ctx, c.Code)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(owner)
	}
	showOwner(newSheet(e.out), owner)
	return nil
}

func showOwner(s sheet, owner client.CodeOwner) {
	s.field("code", owner.Text+" ("+owner.ProgramKey+")")
	if owner.Disabled {
		s.painted("disabled", cell{"nobody is credited for it", red})
	}
	showPerson(s, owner.Person)
}

type personLinks struct {
	personArgument
	Engagement string `enum:",UNKNOWN,EMBED,POPUP,HOSTED,MOBILE,EMAIL" default:"" placeholder:"MEDIUM" help:"Where the links are shown: EMBED, POPUP, HOSTED, MOBILE, EMAIL or UNKNOWN; HOSTED unless said otherwise."`
	output
	tenantConnection
}

// Run shows share links.
func (c *personLinks) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	all, err := api.Links(e.ctx, c.Person, c.Engagement)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		e.note("The person is in no program.")
	}
	table := newTable(e.out, 20, 20)
	for _, l := range all {
		if !c.JSON {
			table.row(cell{l.ProgramKey, plain}, cell{l.Code, plain}, cell{l.URL, plain})
		} else if err := e.line(l); err != nil {
			return err
		}
	}
	return nil
}

type personRefer struct {
	personArgument
	Code string `arg:"" help:"The code."`
	output
	tenantConnection
}

// Run starts a referral.
func (c *personRefer) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.ReferPerson(e.ctx, c.Person, c.Code)
	return c.showReferral(e, r, err)
}

type personBlock struct {
	personArgument
	output
	tenantConnection
}

// Run blocks a person.
func (c *personBlock) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).BlockPerson)
}

type personUnblock struct {
	personArgument
	output
	tenantConnection
}

// Run unblocks a person.
func (c *personUnblock) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).UnblockPerson)
}

// steer does something with a person and shows how that one then stands.
func (c personArgument) steer(e *env, connection tenantConnection, how output, do func(*client.Client, context.Context, string) (client.Person, error)) error {
	api, err := connection.dial(e)
	if err != nil {
		return err
	}
	p, err := do(api, e.ctx, c.Person)
	if err != nil {
		return err
	}
	if how.JSON {
		return e.document(p)
	}
	showPerson(newSheet(e.out), p)
	return nil
}

type personDelete struct {
	personArgument
	Remember bool `help:"Have nobody be known by the external id again."`
	confirmation
	tenantConnection
}

// Run forgets a person.
func (c *personDelete) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	p, err := api.Person(e.ctx, c.Person)
	if err != nil {
		return err
	}
	if err := c.ask(e, fmt.Sprintf("This removes what is known of %s (%s), for good; that there was somebody, and what it led to, stays.", c.Person, p.ID)); err != nil {
		return err
	}
	forget := api.DeletePerson
	if c.Remember {
		forget = api.ForgetPersonForEver
	}
	if err := forget(e.ctx, p.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Forgot %s.\n", p.ID)
	return nil
}
