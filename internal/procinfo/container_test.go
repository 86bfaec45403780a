package procinfo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	idA = strings.Repeat("0a", 32)
	idB = strings.Repeat("f1", 32)
)

const (
	podSystemd = "kubepods-burstable-pod0f0e2b58_7a3c_4dd1_9a34_0123456789ab.slice"
	podUUID    = "0f0e2b58-7a3c-4dd1-9a34-0123456789ab"
	podStatic  = "0123456789abcdef0123456789abcdef"
)

func TestContainerOf(t *testing.T) {
	for path, want := range map[string]Container{
		"":                                {},
		"/":                               {},
		"/init.scope":                     {},
		"/process_api/" + idA[:32]:        {},
		"/docker/" + idA + "0":            {},
		"/docker/" + strings.ToUpper(idA): {},
		"/machine.slice/machine-debian.scope/payload": {}, // systemd-nspawn
		"/docker/" + idA:                          {ID: idA, Runtime: "docker"},
		"/docker/" + idA + "/init.scope":          {ID: idA, Runtime: "docker"},
		"/../docker-" + idA + ".scope":            {ID: idA, Runtime: "docker"},
		"/system.slice/docker-" + idA + ".scope":  {ID: idA, Runtime: "docker"},
		"/system.slice/nerdctl-" + idA + ".scope": {ID: idA, Runtime: "containerd"},
		"/default/" + idA:                         {ID: idA},

		"/kubepods.slice/kubepods-burstable.slice/" + podSystemd + "/cri-containerd-" + idA + ".scope": {ID: idA, Runtime: "containerd", PodUID: podUUID},
		"/kubepods.slice/" + podSystemd + "/crio-" + idA + ".scope/container":                          {ID: idA, Runtime: "cri-o", PodUID: podUUID},
		"/kubepods.slice/" + podSystemd + ":cri-containerd:" + idA:                                     {ID: idA, Runtime: "containerd", PodUID: podUUID},
		"/system.slice/containerd.service/" + podSystemd + ":cri-containerd:" + idA:                    {ID: idA, Runtime: "containerd", PodUID: podUUID},
		"/kubelet.slice/kubelet-kubepods.slice/kubelet-" + podSystemd + "/cri-containerd-" + idA:       {ID: idA, Runtime: "containerd", PodUID: podUUID},
		"/kubepods/besteffort/pod" + podUUID + "/" + idA:                                               {ID: idA, PodUID: podUUID},
		"/kubepods/pod" + podStatic + "/" + idA:                                                        {ID: idA, PodUID: podStatic},
		"/kubepods.slice/kubepods-pod" + podStatic + ".slice/docker-" + idA + ".scope":                 {ID: idA, Runtime: "docker", PodUID: podStatic},
		"/kubepods/burstable/pod" + podUUID:                                                            {PodUID: podUUID},
		"/kubepods/burstable/pod1/" + idA:                                                              {ID: idA},
		"/elsewhere/pod" + podUUID + "/" + idA:                                                         {ID: idA},

		"/machine.slice/libpod-" + idA + ".scope/container":                                                 {ID: idA, Runtime: "podman"},
		"/machine.slice/libpod-conmon-" + idA + ".scope":                                                    {ID: idA, Runtime: "podman"},
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope/container":       {ID: idA, Runtime: "podman"},
		"/libpod_parent/libpod-" + idA:                                                                      {ID: idA, Runtime: "podman"},
		"/docker/" + idB + "/docker/" + idA:                                                                 {ID: idA, Runtime: "docker"},
		"/docker/" + idB + "/kubepods/burstable/pod" + podUUID + "/" + idA:                                  {ID: idA, PodUID: podUUID}, // kind
		"/docker/" + idB + "/kubelet.slice/kubelet-kubepods.slice/" + podSystemd + "/cri-containerd-" + idA: {ID: idA, Runtime: "containerd", PodUID: podUUID},
		"/kubepods.slice/" + podSystemd + "/cri-containerd-" + idB + ".scope/docker/" + idA + "/init.scope": {ID: idA, Runtime: "docker", PodUID: podUUID},
	} {
		assert.Equal(t, want, ContainerOf(path), path)
	}
}

func TestSetCgroups(t *testing.T) {
	for b, want := range map[string]struct {
		paths     []string
		container Container
	}{
		"":                     {},
		"garbage\n0:\n1:x:y":   {},
		"0::/\n":               {[]string{"/"}, Container{}},
		"0::/docker/" + idA:    {[]string{"/docker/" + idA}, Container{ID: idA, Runtime: "docker"}},
		"4:memory:/a\n0::/b\n": {[]string{"/b", "/a"}, Container{}},
		"12:pids:/\n3:cpu,cpuacct:/docker/" + idA + "\n1:name=systemd:/\n0::/\n": {
			[]string{"/", "/docker/" + idA}, Container{ID: idA, Runtime: "docker"},
		},
		// Not every hierarchy shows the inner container.
		"3:cpu:/docker/" + idB + "\n1:name=systemd:/docker/" + idB + "/docker/" + idA: {
			[]string{"/docker/" + idB, "/docker/" + idB + "/docker/" + idA}, Container{ID: idA, Runtime: "docker"},
		},
		"1:cpu:/\n0::/kubepods/pod" + podStatic: {
			[]string{"/kubepods/pod" + podStatic, "/"}, Container{PodUID: podStatic},
		},
	} {
		var p Info
		p.SetCgroups([]byte(b))
		assert.Equal(t, want.paths, p.Cgroups, "%q", b)
		assert.Equal(t, want.container, p.Container, "%q", b)
	}
}

func FuzzSetCgroups(f *testing.F) {
	f.Add([]byte("0::/docker/" + idA))
	f.Add([]byte("3:cpu:/kubepods.slice/" + podSystemd + "/cri-containerd-" + idA + ".scope\n0::/"))
	f.Add([]byte("1:a:/kubepods/besteffort/pod" + podUUID + "/" + idA))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Info
		p.SetCgroups(b)
		if id := p.Container.ID; id != "" && (len(id) != 64 || !isHex(id)) {
			t.Fatalf("container %q", id)
		}
		if uid := p.Container.PodUID; uid != "" && len(uid) != 32 && len(uid) != 36 {
			t.Fatalf("pod %q", uid)
		}
		if len(p.Cgroups) > maxCgroupPaths {
			t.Fatalf("%d cgroups", len(p.Cgroups))
		}
	})
}
