package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// usageError says that a command was called wrongly: the exit code is 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// explain says what happened and, on further lines, what to do next.
func explain(err error, asked server) string {
	if refusal, ok := errors.AsType[*client.Error](err); ok {
		return explainRefusal(refusal, asked)
	}
	if errors.Is(err, context.Canceled) {
		return "stopped before it was done"
	}
	if unreachable, ok := errors.AsType[*url.Error](err); ok {
		return explainUnreachable(unreachable, asked)
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if asked.url != "" && (errors.As(err, &syntax) || errors.As(err, &kind)) {
		return foreign(asked)
	}
	return err.Error()
}

// foreign is what to say where somebody else answers.
func foreign(asked server) string {
	return fmt.Sprintf("what answers at %s is not Grapevine\nIs the address right? It is from --url or GRAPEVINE_URL.", asked.url)
}

func explainUnreachable(err *url.Error, asked server) string {
	_, badCertificate := errors.AsType[*x509.UnknownAuthorityError](err)
	_, badName := errors.AsType[*x509.HostnameError](err)
	_, noHost := errors.AsType[*net.DNSError](err)
	switch {
	case err.Timeout():
		return fmt.Sprintf("%s did not answer in time\nWhat was asked for may have been done: look before you repeat it.", asked.url)
	case noHost:
		return fmt.Sprintf("the host of %s can't be found\nIs the address right? It is from --url or GRAPEVINE_URL.", asked.url)
	case strings.Contains(err.Err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("%s does not speak https\nTry http:// with --url or GRAPEVINE_URL, if it is on this machine.", asked.url)
	case badCertificate, badName:
		return fmt.Sprintf("the certificate of %s can't be verified: %v", asked.url, err.Err)
	}
	if failed, ok := errors.AsType[*net.OpError](err); !ok || failed.Op != "dial" {
		return fmt.Sprintf("the connection to %s broke off: %v\nWhat was asked for may have been done: look before you repeat it.", asked.url, err.Err)
	}
	return fmt.Sprintf("no server answers at %s: %v\nIs it running? Start one with 'grapevine serve', or say where it is with --url or GRAPEVINE_URL.", asked.url, err.Err)
}

// explainRefusal tells a refusal of the server in the words of the command line.
func explainRefusal(r *client.Error, asked server) string {
	if r.Code == "" {
		return fmt.Sprintf("%s (status %d)", foreign(asked), r.Status)
	}
	text := whatWasSaid(r)
	if hint := hintFor(r, asked); hint != "" {
		text += "\n" + hint
	}
	return text
}

// whatWasSaid is what the server said, with each field on a line of its own.
func whatWasSaid(r *client.Error) string {
	if len(r.Fields) == 0 {
		return r.Detail
	}
	lines := []string{"the server does not accept this:"}
	for _, f := range r.Fields {
		lines = append(lines, "  "+strings.TrimPrefix(f.Name, "query.")+": "+f.Message)
	}
	return strings.Join(lines, "\n")
}

// hintFor is what to do about a refusal, in the words of the command line where
// the table of errors has those of the API.
func hintFor(r *client.Error, asked server) string {
	switch r.Code {
	case problem.Unauthenticated.Name:
		return fmt.Sprintf("The key is from %s. It may be mistyped, revoked, expired, or that of another server than %s.", asked.keyOrigin, asked.url)
	case problem.Forbidden.Name:
		return forbidden(r, asked)
	case problem.NotFound.Name:
		return missing(asked)
	case problem.Invalid.Name, problem.Conflict.Name: // what was said is all there is to say
		return ""
	case problem.SubscriptionDisabled.Name:
		return "To enable it: grapevine subscription enable ID"
	case problem.QueryTooSlow.Name:
		return "Narrow it with --since, --until, --status, --subscription or --event."
	case problem.RateLimited.Name, problem.Unavailable.Name:
		wait := "shortly"
		if r.RetryIn > 0 {
			wait = "in " + r.RetryIn.Round(time.Second).String()
		}
		return "Nothing was changed. Try again " + wait + "."
	case problem.Internal.Name:
		return "The server has logged it under the request id " + r.RequestID + "."
	}
	if i := slices.IndexFunc(problem.Codes, func(c *problem.Code) bool { return c.Name == r.Code }); i >= 0 {
		return problem.Codes[i].Hint
	}
	return ""
}

// missing is what to do where the server knows no such thing: the reason may be
// the id, the address or the tenant.
func missing(asked server) string {
	if u, err := url.Parse(asked.url); err == nil && strings.Trim(u.Path, "/") != "" {
		return fmt.Sprintf("Check the id, and the address %s: the paths of the API, /v1/…, are looked for below it.", asked.url)
	}
	switch {
	case asked.operator && asked.tenant == "":
		return "Check the id; 'list' shows what there is."
	case asked.operator:
		return fmt.Sprintf("Check the id, and the tenant %q; 'grapevine tenant list' shows the tenants.", asked.tenant)
	case asked.tenant != "":
		return fmt.Sprintf("The key from %s is that of one tenant and sees no other; to act for the tenant %q, use its key or the operator's.", asked.keyOrigin, asked.tenant)
	}
	return "Check the id; 'list' shows what there is. The key from " + asked.keyOrigin + " sees only what belongs to its tenant."
}

func forbidden(r *client.Error, asked server) string {
	if !strings.Contains(r.Detail, "scope") {
		return fmt.Sprintf("The key from %s is not the operator's. Put that one into %s.", asked.keyOrigin, config.AdminKeyVariable)
	}
	scope := "SCOPE"
	if parts := strings.Split(r.Detail, `"`); len(parts) == 3 {
		scope = parts[1]
	}
	return fmt.Sprintf("The key is from %s. The operator makes one that may:  grapevine key create --tenant TENANT --scope %s", asked.keyOrigin, scope)
}

// isMissing reports whether the server said that there is no such thing.
func isMissing(err error) bool {
	refusal, ok := errors.AsType[*client.Error](err)
	return ok && refusal.Status == http.StatusNotFound && refusal.Code == problem.NotFound.Name
}

// names reports whether the server found fault with a field.
func names(err error, field string) bool {
	refusal, ok := errors.AsType[*client.Error](err)
	return ok && slices.ContainsFunc(refusal.Fields, func(f client.Field) bool { return f.Name == field })
}
