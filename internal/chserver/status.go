package chserver

// State is what a server is doing.
type State int

// The states of a server.
const (
	// Starting: a child was started and does not answer yet.
	Starting State = iota
	// Ready: the server answers.
	Ready
	// Down: the child died or no longer answers; another will be started.
	Down
	// Stopped: Stop was called and the child is gone.
	Stopped
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Down:
		return "down"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

// Status is one change of state.
type Status struct {
	State State
	// Err says why the server is Down.
	Err error
	// Restarts counts the children started after the first.
	Restarts int
}
