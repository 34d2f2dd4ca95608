package pgcluster

import "testing"

func TestTheVersionIsReadFromWhatTheBinariesSay(t *testing.T) {
	for text, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"initdb (PostgreSQL) 18.0":                               18,
		"initdb (PostgreSQL) 19devel":                            19,
		"postgres (PostgreSQL) 17":                               17,
		"postgres (PostgreSQL) ":                                 0,
		"postgres (EnterpriseDB)":                                0,
		"":                                                       0,
	} {
		if got, err := majorVersion(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
}
