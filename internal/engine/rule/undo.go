package rule

// MatchUndo reports whether an event of that type takes back an effect that the
// rule had for a cause. Both documents are as encoding/json reads them with
// UseNumber. In the rule's match the right side of a comparison is a path, too, if
// it begins as one does, with event or cause and a full stop. Where there is
// nothing at a path, nothing matches but ne.
func (r *Rule) MatchUndo(on string, event, cause any) bool {
	if r.UndoOn == nil || r.UndoOn.Event != on {
		return false
	}
	e := &evaluation{in: &Input{Documents: map[string]any{"event": event, "cause": cause}}}
	x, err := r.UndoOn.match.explain(e)
	return err == nil && x.Holds
}
