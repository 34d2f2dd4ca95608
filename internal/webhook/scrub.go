package webhook

import (
	"context"
	"log/slog"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// How long what was removed may still be in the database's log: so long that many
// removals share the work of emptying it.
const (
	scrubDelay = 10 * time.Second
	scrubAgain = time.Second // after reads have kept it from being emptied
)

// scrubSoon has the log emptied in a while.
func (s *Service) scrubSoon() {
	select {
	case s.scrubs <- struct{}{}:
	default:
	}
}

// scrubLoop empties the log some time after something was removed.
func (s *Service) scrubLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.scrubs:
		}
		wait := scrubDelay
		for {
			if !pause(ctx, wait) { // closing the database empties the log too
				return
			}
			select { // what was removed meanwhile goes with it
			case <-s.scrubs:
			default:
			}
			err := s.db.Scrub(ctx)
			if err == nil {
				break
			}
			s.log.DebugContext(ctx, "log_not_emptied", slog.String("error", err.Error()))
			wait = scrubAgain
		}
	}
}

// forgetResponses removes what the attempts of a span's events have kept of the
// answers.
func (s *Service) forgetResponses(ctx context.Context, of span) error {
	for done := false; !done; {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			n, err := clearResponses(tx, of, maxRemoved)
			done = n < maxRemoved
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
