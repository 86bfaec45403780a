package symbol

import "context"

// enqueue has the tables of f built. f.mu is held, or nobody else knows f.
func (c *Cache) enqueue(f *File) {
	f.state.Store(stateBuilding)
	c.qmu.Lock()
	c.queue = append(c.queue, f)
	c.pending++
	c.qmu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// work builds tables until the cache is closed.
func (c *Cache) work() {
	defer close(c.done)
	// One file may have half of the cache.
	limit := int(c.maxBytes / 2 / symbolBytes)
	for {
		select {
		case <-c.stop:
			return
		case <-c.wake:
		}
		for {
			f := c.next()
			if f == nil {
				break
			}
			if err := f.build(limit); err != nil {
				c.count(errorKind(err))
			}
			c.finish()
			select {
			case <-c.stop:
				return
			default:
			}
		}
	}
}

func (c *Cache) next() *File {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	if len(c.queue) == 0 {
		c.queue = nil
		return nil
	}
	f := c.queue[0]
	c.queue = c.queue[1:]
	return f
}

func (c *Cache) finish() {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	c.pending--
	if c.pending == 0 {
		close(c.idle)
		c.idle = make(chan struct{})
	}
}

// Wait returns when all tables that were asked for are built, or with ctx's
// error.
func (c *Cache) Wait(ctx context.Context) error {
	c.qmu.Lock()
	idle, pending := c.idle, c.pending
	c.qmu.Unlock()
	if pending == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
