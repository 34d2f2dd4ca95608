package saasquatch

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// maxCookies is how long what a client sends as its cookies may be.
const maxCookies = 16 << 10

// visited is a code in a cookie, with the time until which it counts.
type visited struct {
	code  string
	until int64 // seconds; zero: for ever
}

// cookieCodes reads what the vendor's JavaScript client keeps in the cookie
// "_saasquatch" of the tenant's own site and sends along: base64url of
//
//	{"app.referralsaasquatch.com":{"acme_CODE":{"codes":{"program":"CODE"},"codesExp":{"CODE":1234567}}}}
//
// It returns the codes of the tenant that have not expired, the one that counts
// longest first, since that one is the latest. What can't be read has no codes: it
// is a browser's, and nobody typed it.
func cookieCodes(text, alias string, now time.Time) []string {
	if text == "" || len(text) > maxCookies {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "="))
	if err != nil {
		return nil
	}
	var domains map[string]map[string]struct {
		Codes   map[string]string  `json:"codes"`
		Expires map[string]float64 `json:"codesExp"`
	}
	if json.Unmarshal(raw, &domains) != nil {
		return nil
	}
	var found []visited
	for _, domain := range domains {
		for key, kept := range domain {
			if !strings.EqualFold(key, alias+"_CODE") {
				continue
			}
			for _, code := range kept.Codes {
				until := seconds(kept.Expires[code])
				if code != "" && (until == 0 || until > now.Unix()) {
					found = append(found, visited{code, until})
				}
			}
		}
	}
	return latestFirst(found)
}

// seconds reads a time in seconds, or in milliseconds where it would be in the far
// future otherwise.
func seconds(number float64) int64 {
	const year3000 = 32503680000
	switch {
	case number <= 0 || number > 1e15:
		return 0
	case number > year3000:
		return int64(number / 1000)
	default:
		return int64(number)
	}
}

func latestFirst(found []visited) []string {
	slices.SortFunc(found, func(a, b visited) int { return cmp.Or(cmp.Compare(b.until, a.until), cmp.Compare(a.code, b.code)) })
	codes := make([]string, 0, min(len(found), maxCodes))
	for _, v := range found {
		if len(codes) < maxCodes && !slices.Contains(codes, v.code) {
			codes = append(codes, v.code)
		}
	}
	return codes
}
