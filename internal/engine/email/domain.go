package email

import (
	_ "embed"
	"strings"
)

// The lists hold a domain a line, in the normal form; a line that begins with # is
// a comment.
var (
	//go:embed free.txt
	freeList string
	//go:embed disposable.txt
	disposableList string

	free       = domains(freeList)
	disposable = domains(disposableList)
)

// Free reports whether anybody may have a mailbox at the domain (a normal form), so
// that two people at it need have nothing to do with each other. The list has the
// large providers; it can't have all of them.
func Free(domain string) bool { return free[domain] }

// Disposable reports whether mailboxes at the domain (a normal form), or at one
// above it, are made to be thrown away. The list has the best known services; there
// are new ones every day.
func Disposable(domain string) bool {
	return Within(domain, func(d string) bool { return disposable[d] })
}

// Within reports whether listed holds for the domain or for one above it.
func Within(domain string, listed func(domain string) bool) bool {
	for domain != "" {
		if listed(domain) {
			return true
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return false
}

// domains reads a list.
func domains(list string) map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			set[line] = true
		}
	}
	return set
}
