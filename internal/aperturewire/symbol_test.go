package aperturewire

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSplitSymbol(t *testing.T) {
	f := func(text, function, module string) {
		t.Helper()
		gotFunction, gotModule := SplitSymbol(text)
		assert.Equal(t, function, gotFunction, text)
		assert.Equal(t, module, gotModule, text)
		if function != "" {
			assert.Equal(t, text, JoinSymbol(gotFunction, gotModule))
		}
	}
	f("", "", "")
	f("leaf [app]", "leaf", "app")
	f("do_idle", "do_idle", "")
	f("main.(*T[go.shape.int]).Run [server]", "main.(*T[go.shape.int]).Run", "server")
	f("main.F[int]", "main.F[int]", "")
	f("operator new []", "operator new []", "")
	f("operator delete [] [libc++.so.1]", "operator delete []", "libc++.so.1")
	f("a [b] [c]", "a [b]", "c")
	f(" [app]", " [app]", "")
	f("0x401000", "", "")
	f("0xFFFFFFFF81000010", "", "")
	f("0x401000 [app]", "", "app")
	f("0x", "0x", "")
	f("0xg", "0xg", "")
	f("0x11112222333344445", "0x11112222333344445", "")
	f("0x1_init", "0x1_init", "")
}
