package ebpfprofilingreceiver

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestContainerID(t *testing.T) {
	id, other := strings.Repeat("0a", 32), strings.Repeat("f1", 32)
	for cgroup, want := range map[string]string{
		"":                                 "",
		"0::/init.scope\n":                 "",
		"4:memory:/process_api/" + id[:32]: "",
		"0::/docker/" + id + "\n":          id,
		"0::/docker/" + id + "/init.scope": id,
		"0::/system.slice/docker-" + id + ".scope": id,
		"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" + id + ".scope": id,
		"11:cpu:/kubepods/besteffort/pod0f-1/" + id:                                                                 id,
		"0::/kubepods.slice/kubepods-pod1.slice:cri-containerd:" + id:                                               id,
		"0::/kubepods.slice/crio-" + id + ".scope/container":                                                        id,
		"0::/machine.slice/libpod-" + id + ".scope/container":                                                       id,
		"0::/machine.slice/libpod-conmon-" + id + ".scope":                                                          id,
		"12:pids:/\n3:cpu:/docker/" + id + "\n0::/\n":                                                               id,
		"0::/docker/" + other + "/docker/" + id:                                                                     id,
		"0::/docker/" + id + "0":                                                                                    "",
		"0::/docker/" + strings.ToUpper(id):                                                                         "",
	} {
		assert.Equal(t, want, containerID([]byte(cgroup)), cgroup)
	}
}

func FuzzContainerID(f *testing.F) {
	f.Add([]byte("0::/docker/" + strings.Repeat("0a", 32)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id := containerID(b); id != "" && len(id) != 64 {
			t.Fatalf("%q", id)
		}
	})
}

func TestServiceName(t *testing.T) {
	for environ, want := range map[string]string{
		"":                             "",
		"PATH=/bin\x00":                "",
		"OTEL_SERVICE_NAME=a\x00":      "a",
		"OTEL_SERVICE_NAME=\x00":       "",
		"OTEL_SERVICE_NAME=a\xff":      "a?",
		"XOTEL_SERVICE_NAME=a":         "",
		"OTEL_RESOURCE_ATTRIBUTES=x=y": "",
		"OTEL_RESOURCE_ATTRIBUTES=x=y, service.name=b,z=1":                      "b",
		"OTEL_RESOURCE_ATTRIBUTES=service.name=b\x00OTEL_SERVICE_NAME=a\x00X=1": "a",
	} {
		assert.Equal(t, want, serviceName([]byte(environ)), "%q", environ)
	}
}

func TestStartTicks(t *testing.T) {
	v, ok := startTicks([]byte("12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"))
	require.True(t, ok)
	assert.EqualValues(t, 4711, v)
	for _, bad := range []string{"", "12 (a", "12 (a) S 1 2", "12 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x"} {
		_, ok := startTicks([]byte(bad))
		assert.False(t, ok, bad)
	}
}

func TestBusySeconds(t *testing.T) {
	v, ok := busySeconds([]byte("cpu  100 200 300 40000 500 60 7 8 0 0\ncpu0 1 1 1 1"))
	require.True(t, ok)
	assert.InDelta(t, 6.67, v, 1e-9)
	for _, bad := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		_, ok := busySeconds([]byte(bad))
		assert.False(t, ok, bad)
	}
}

func TestReadProcess(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	p := readProcess(uint32(os.Getpid()), "comm", false)
	assert.Equal(t, exe, p.path)
	assert.True(t, strings.HasSuffix(p.path, "/"+p.name))
	assert.Equal(t, os.Args[0], p.command)
	assert.Equal(t, p.name, p.service)
	assert.Equal(t, processInfo{name: "kworker/0:1", service: "kernel"}, readProcess(1, "kworker/0:1", true))
	assert.Equal(t, processInfo{name: "gone", service: "gone"}, readProcess(1<<30, "gone", false))
	assert.False(t, running(uint32(os.Getpid()), 1))
}
