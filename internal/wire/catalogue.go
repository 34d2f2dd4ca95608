package wire

import "io/fs"

// MustRead returns a JSON document of a catalogue, compact. The files are in the
// program, so no input can make it panic: a mistake in one shows in every test.
func MustRead(files fs.FS, path string) []byte {
	text, err := fs.ReadFile(files, path)
	if err != nil {
		panic("wire: " + err.Error())
	}
	compact, err := Compact(text)
	if err != nil {
		panic("wire: " + path + " " + err.Error())
	}
	return compact
}

// Published returns the names of a catalogue under which others than Grapevine may
// publish: all but that of its tests.
func Published(catalogue []EventType, testType string) []string {
	names := make([]string, 0, len(catalogue))
	for _, t := range catalogue {
		if t.Name != testType {
			names = append(names, t.Name)
		}
	}
	return names
}
