package dispatch

// Books is what a dispatcher holds in memory.
type Books struct {
	Bytes, InFlight, Waiting, Booked, Refilling int
}

// Books returns what the dispatcher holds now: nothing, once it has nothing to
// do.
func (d *Dispatcher) Books() Books {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := Books{Bytes: d.bytes, InFlight: d.inFlight[prompt] + d.inFlight[slow], Refilling: d.refilling + len(d.refills)}
	for _, q := range d.queues {
		b.Booked += len(q.booked)
		b.Waiting += q.lanes[0].len() + q.lanes[1].len()
		if q.refilling {
			b.Refilling++
		}
	}
	return b
}
