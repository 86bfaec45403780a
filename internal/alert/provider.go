package alert

// Provider has a Store that survives restarts and is shared by all replicas. An
// extension that keeps data offers it, and APIs with alerts find it by the ID of
// that extension.
type Provider interface {
	// AlertStore returns the store, always the same. It may be asked for before
	// the extension is started; its methods fail until the data can be reached.
	AlertStore() Store
}
