package hosted

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

const (
	maxForm = 8 << 10 // bytes
	maxName = 100     // characters
	maxCode = 256     // bytes
)

// form is what somebody has typed, with what is wrong with it by the field's name.
type form struct {
	First, Last, Email string
	Token              string // a secret of this form
	Wrong              map[string]string
}

// labels are what the fields are called on the page.
var labels = map[string]string{"first_name": "First name", "last_name": "Last name", "email": "E-mail address"}

// refuse notes what is wrong with a field. The first mistake counts.
func (f *form) refuse(field, what string) {
	if f.Wrong == nil {
		f.Wrong = make(map[string]string)
	}
	if f.Wrong[field] == "" {
		f.Wrong[field] = labels[field] + " " + what + "."
	}
}

// readBody reads the form of a request.
func readBody(w http.ResponseWriter, r *http.Request) error {
	if a, ok := w.(*edge.Writer); ok {
		w = a.ResponseWriter // the server's own closes the connection if there is too much
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.TooLarge.New("the form has more than %d KiB", maxForm>>10)
	}
	if err != nil {
		return problem.Malformed.New("the form could not be read")
	}
	return nil
}

// readForm reads what was typed, and returns it with the normal form of the address.
func readForm(fields url.Values) (form, string) {
	typed := func(name string) string { return strings.TrimSpace(fields.Get(name)) }
	f := form{First: typed("first_name"), Last: typed("last_name"), Email: typed("email"), Token: fields.Get("form")}
	if !isFormToken(f.Token) {
		f.Token = rand.Text()
	}
	if f.First == "" {
		f.refuse("first_name", "is missing")
	}
	if utf8.RuneCountInString(f.First) > maxName {
		f.refuse("first_name", "is too long")
	}
	if utf8.RuneCountInString(f.Last) > maxName {
		f.refuse("last_name", "is too long")
	}
	address, ok := email.Normalize(f.Email)
	switch {
	case f.Email == "":
		f.refuse("email", "is missing")
	case !ok:
		f.refuse("email", "must be one such as anna@example.com")
	}
	return f, address
}

// isFormToken reports whether a text is what crypto/rand.Text makes.
func isFormToken(text string) bool {
	return len(text) == len(rand.Text()) && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// register registers whoever has sent the form, and has the browser be known as that
// person's. It answers in the same way whether the address was known or not.
func (h *Hosted) register(w http.ResponseWriter, r *http.Request, p page) error {
	who, _, err := h.visitor(r, p)
	if err != nil {
		return err
	}
	if who != nil { // the page is open twice
		return toPage(w, r, p)
	}
	if !p.program.Runs(time.Now()) {
		return errClosed
	}
	if err := readBody(w, r); err != nil {
		return err
	}
	f, address := readForm(r.PostForm)
	if len(f.Wrong) > 0 {
		return h.showWrong(w, p, f)
	}
	if !h.limits.registrations.take(r, time.Now()) {
		w.Header().Set("Retry-After", "180")
		return problem.RateLimited.New("too many people have registered from your network: try again in some minutes")
	}
	visits := h.Visits(r, p.tenant).Visit("", time.Now())
	done, err := h.referrals.Enter(r.Context(), p.tenant.ID, referral.Entry{
		Program: p.program, Address: address, Form: f.Token,
		Patch:      person.Patch{FirstName: &f.First, LastName: &f.Last, Email: &f.Email},
		ReferredBy: referredBy(r, visits), Device: visits.ID, IP: edge.Address(r), Back: h.backTo(p),
	})
	if refused := f.adopt(err); refused {
		return h.showWrong(w, p, f)
	}
	if err != nil {
		return err
	}
	h.setCookie(w, r, cookie{visitsCookie, p.tenant, visits.Value(), p.framed})
	if err := h.recognise(w, r, p, done.Person.ID); err != nil {
		return err
	}
	return toPage(w, r, p)
}

// adopt notes what was refused of the fields, and reports whether anything was.
func (f *form) adopt(err error) bool {
	refusal, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return false
	}
	for _, field := range refusal.Fields {
		if labels[field.Name] != "" {
			f.refuse(field.Name, field.Message)
		}
	}
	return len(f.Wrong) > 0
}

// referredBy returns the code that the page was opened with. Where the browser's
// visits have it, they say more: by which link its user came.
func referredBy(r *http.Request, visits attribution.Cookie) string {
	text := r.URL.Query().Get(codeParameter)
	if len(text) > maxCode || slices.Contains(visits.Codes(), code.Fold(text)) {
		return ""
	}
	return text
}

func (h *Hosted) showWrong(w http.ResponseWriter, p page, f form) error {
	v := p.view()
	v.Form = f
	return h.render(w, http.StatusUnprocessableEntity, "form", v)
}

// toPage sends the browser to the page, so that loading it again sends no form.
func toPage(w http.ResponseWriter, r *http.Request, p page) error {
	http.Redirect(w, r, p.path+p.view().Query, http.StatusSeeOther)
	return nil
}

// join has somebody who is known be in this program too.
func (h *Hosted) join(w http.ResponseWriter, r *http.Request, p page) error {
	who, _, err := h.visitor(r, p)
	if err != nil {
		return err
	}
	if who != nil {
		if !p.program.Runs(time.Now()) {
			return errClosed
		}
		if err := h.referrals.Join(r.Context(), p.tenant.ID, who.ID, p.program.ID); err != nil {
			return err
		}
	}
	return toPage(w, r, p)
}

// leave has the browser be nobody's again.
func (h *Hosted) leave(w http.ResponseWriter, r *http.Request, p page) error {
	h.setCookie(w, r, cookie{name: personCookie, of: p.tenant, framed: p.framed})
	return toPage(w, r, p)
}

// tokenParameter names the token of a link to the own page.
const tokenParameter = "token"

// backTo returns what makes links to the pages of people; nil where the server's
// address is only what the request says, and might be another's.
func (h *Hosted) backTo(p page) func(token string) string {
	if h.url == "" {
		return nil
	}
	return func(token string) string {
		return h.url + p.path + "/back?" + url.Values{tokenParameter: {token}}.Encode()
	}
}

// showBack shows a button to whoever opens a link to the own page, since programs
// that look at the links in messages open them too.
func (h *Hosted) showBack(w http.ResponseWriter, r *http.Request, p page) error {
	v := p.view()
	v.Token = r.URL.Query().Get(tokenParameter)
	if err := h.referrals.CheckPageLink(r.Context(), p.tenant.ID, v.Token); err != nil {
		return backError(err)
	}
	return h.render(w, http.StatusOK, "back", v)
}

// back has the browser be known as the person's that the link is for.
func (h *Hosted) back(w http.ResponseWriter, r *http.Request, p page) error {
	if err := readBody(w, r); err != nil {
		return err
	}
	of, err := h.referrals.UsePageLink(r.Context(), p.tenant.ID, r.PostForm.Get(tokenParameter))
	if err != nil {
		return backError(err)
	}
	if err := h.recognise(w, r, p, of); err != nil {
		return err
	}
	return toPage(w, r, p)
}

// backError tells of a link that is not good in the words of the pages.
func backError(err error) error {
	if errors.Is(err, referral.ErrNoPageLink) {
		return errStale
	}
	return err
}
