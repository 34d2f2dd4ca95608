package app

import (
	"context"
	"log/slog"
	"time"
)

// pruneEvery is how often clicks are looked for that are too old to be anybody's, and
// entries of block lists that have expired.
const pruneEvery = time.Hour

// keepPruning removes what share links have left behind of visitors who never became
// known, and what has expired of block lists, until the function that it returns is
// called.
func (a *App) keepPruning(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			a.pruneTouches(ctx)
			a.pruneBlocklists(ctx)
			timer := time.NewTimer(pruneEvery)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (a *App) pruneTouches(ctx context.Context) {
	begun := time.Now()
	removed, err := a.programs.referrals.PruneTouches(ctx, begun)
	took := slog.Duration("took", time.Since(begun))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.log.ErrorContext(ctx, "touches_not_pruned", slog.Int64("removed", removed), took, slog.String("error", err.Error()))
	case removed > 0:
		a.log.InfoContext(ctx, "touches_pruned", slog.Int64("removed", removed), took)
	}
}

func (a *App) pruneBlocklists(ctx context.Context) {
	begun := time.Now()
	removed, err := a.programs.blocklist.Prune(ctx, begun)
	took := slog.Duration("took", time.Since(begun))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.log.ErrorContext(ctx, "blocklists_not_pruned", slog.Int64("removed", removed), took, slog.String("error", err.Error()))
	case removed > 0:
		a.log.InfoContext(ctx, "blocklists_pruned", slog.Int64("removed", removed), took)
	}
}
