package saasquatch

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// named is what a path says of a subscription's URL: the text behind
// /subscription/, escapes included, and the query.
type named struct{ path, query string }

// testSuffix ends the path that tests a subscription.
const testSuffix = "/test"

// tested returns what is left without the /test at the end. Only that one is taken
// off, and only as it stands: a URL may itself end so, and then its own is encoded
// or stands before. Where a proxy has decoded the path of a URL that has a query,
// the /test has become the query's end.
func (n named) tested() (named, bool) {
	if path, ok := strings.CutSuffix(n.path, testSuffix); ok && path != "" {
		return named{path, n.query}, true
	}
	if query, ok := strings.CutSuffix(n.query, testSuffix); ok && n.decoded() {
		return named{n.path, query}, true
	}
	return n, false
}

// decoded reports whether a proxy has decoded the path: an encoded URL has no
// slash.
func (n named) decoded() bool { return strings.Contains(n.path, "/") }

// spellings returns what the URL may have been, the likeliest first. A path that
// arrives encoded has one reading. One that was decoded is the URL as it is; its
// own query may have become the request's.
func (n named) spellings() []string {
	unescaped, err := url.PathUnescape(n.path)
	if err != nil {
		return nil
	}
	if !n.decoded() {
		return []string{unescaped}
	}
	plain := []string{n.path, unescaped}
	if n.query == "" {
		return plain
	}
	withQuery := make([]string, 0, len(plain))
	for _, path := range plain {
		withQuery = append(withQuery, path+"?"+n.query)
	}
	return append(withQuery, plain...)
}

// find returns the subscriptions that the path names, all with the same URL; none
// if it names none, or if proxies have made several URLs look alike.
func (n named) find(subs []*webhook.Subscription) []*webhook.Subscription {
	spellings := n.spellings()
	for _, spelling := range spellings {
		if found := withURL(subs, spelling); len(found) > 0 {
			return found
		}
	}
	if !n.decoded() {
		return nil
	}
	for _, spelling := range spellings { // a proxy may have made one slash of several
		like := slices.DeleteFunc(slices.Clone(subs), func(s *webhook.Subscription) bool { return collapse(s.URL) != collapse(spelling) })
		if len(like) > 0 && len(withURL(like, like[0].URL)) == len(like) {
			return like
		}
	}
	return nil
}

func withURL(subs []*webhook.Subscription, raw string) []*webhook.Subscription {
	return slices.DeleteFunc(slices.Clone(subs), func(s *webhook.Subscription) bool { return s.URL != raw })
}

var slashes = regexp.MustCompile(`//+`)

// collapse writes one slash where there are several.
func collapse(raw string) string { return slashes.ReplaceAllString(raw, "/") }
