// Package archtest holds the tests of the architecture itself. It exports
// nothing.
//
// Two kinds of rules keep the packages apart, and a test stands behind each:
//
//   - Who may import what is for the linter, in .golangci.yml. A fence that
//     nobody has ever run into may have a gap, so a test plants a breach of each
//     into a small module and demands that the real configuration reports it.
//   - Which tables a package's SQL names is beyond the linter. A comment in the
//     migrations says who owns each table, and a test reads the SQL out of the
//     string literals of every package and holds it against that.
//
// A third test holds what the program says of itself, in metrics and in the log,
// against docs/operations.md.
package archtest
