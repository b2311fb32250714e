package main

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress is a bar on a terminal for work that takes more than a second. All
// methods may be called from several goroutines, and on nil.
type progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	timer *time.Timer
	shown bool
	what  string
	step  int // of barSteps
}

const barSteps = 100

// newProgress returns nil if stderr is no terminal or nothing is to be shown.
func newProgress(stderr io.Writer, quiet bool) *progress {
	if quiet || !isTerminal(stderr) {
		return nil
	}
	p := &progress{bar: progressbar.NewOptions(barSteps,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetRenderBlankState(false),
		progressbar.OptionSetWidth(30),
	)}
	p.timer = time.AfterFunc(time.Second, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.shown = true
		p.draw()
	})
	return p
}

// set says what is being done and the share that is done.
func (p *progress) set(what string, done float64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	step := min(int(done*barSteps), barSteps-1) // the last step would end the line
	if what == p.what && step == p.step {
		return
	}
	p.what, p.step = what, step
	p.draw()
}

func (p *progress) draw() {
	if p.shown {
		p.bar.Describe(p.what)
		p.bar.Set(p.step)
	}
}

// clear takes the bar away for good.
func (p *progress) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
	if p.shown {
		p.bar.Clear()
	}
	p.shown = false
}
