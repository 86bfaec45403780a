// Package notify tells people of alerts: by an Alertmanager, which knows whom to
// tell, when to be silent and what belongs together, and by plain webhooks.
//
// Where requests go is configured by who runs the collector, never by users of
// an API. Still every connection passes a [Guard], which looks at the address
// that is really dialled: a name that suddenly leads to the metadata service of
// a cloud is not followed.
package notify
