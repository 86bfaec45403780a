package ebpfprofilingreceiver
import ("time";"go.uber.org/zap")
type budget struct{}
type budgetState struct{ overhead float64; throttled map[string]float64 }
func newBudget(*Config, *profilers, *zap.Logger) *budget { return &budget{} }
func (b *budget) observe(map[string]time.Duration, time.Duration) budgetState { return budgetState{} }
