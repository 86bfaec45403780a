// Package alerts keeps alert rules, their states and their history in ClickHouse.
//
// ClickHouse has no transactions, but it stores a block of rows whole or not at
// all, and of several inserts with the same deduplication token only the first.
// That is a compare and set: every version of a thing (a revision of a rule, a
// state, a number, an epoch of the lease) is one row, inserted with a token made
// of the version's name and with a random nonce; whoever finds his own nonce when
// he reads the version back was the first, all others were not. The server makes
// the check and the insert under one lock (MergeTree) or in one transaction of
// Keeper (ReplicatedMergeTree), and does not forget tokens when it is killed.
//
// # How long tokens are remembered
//
// A table remembers its last 100,000 tokens, and on a cluster no longer than a
// week. So it is looked first whether the version is the next one: a call that
// comes later than that finds newer versions and is refused. Should one have been
// suspended between this look and its insert for as long as that, there are two
// rows of one version; then the first one counts, for everybody.
//
// # Tokens without a row
//
// A server that is killed between remembering a token and making its row visible
// would refuse a version that nobody has. On a single server, where a row can be
// seen as soon as its token is refused, the insert is then repeated with another
// token. On a cluster this cannot happen, because Keeper takes token and row at
// once; there a row that cannot be seen is one that has not reached the replica
// that was asked, and is waited for.
//
// # Replicas
//
// Tokens are checked by Keeper, reads see one replica, which may lag. A read that
// is behind costs a conflict or a wait, never a second winner. Reads and inserts
// ask for the first replica that is up (load_balancing = in_order), so that they
// mostly meet on one. Sequential consistency proper (insert_quorum with
// select_sequential_consistency) is not used: with two replicas, losing one would
// stop all alerts.
package alerts
