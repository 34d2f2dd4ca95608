package node

// Kill ends what the node does, as a crash would: it leaves no word.
func (n *Node) Kill() {
	n.stop()
	n.running.Wait()
}
