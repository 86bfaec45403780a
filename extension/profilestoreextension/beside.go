package profilestoreextension

import (
	"context"
	"sync"
)

// beside runs all of runs until f returns, and waits for them to end.
func beside(ctx context.Context, f func(context.Context), runs ...func(context.Context)) {
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, one := range runs {
		running.Go(func() { one(run) })
	}
	f(ctx)
	stop()
	running.Wait()
}
