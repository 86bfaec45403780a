package bpf

// -mcpu=v3 (kernel 5.1) gives 32-bit arithmetic and jumps, which is smaller and
// easier on the verifier than bpf2go's default of v1.
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem proc procObj proc.bpf.c
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem cpu cpuObj cpu.bpf.c
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem lockuser lockuserObj lockuser.bpf.c
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem lockkernel lockkernelObj lockkernel.bpf.c
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem syscall syscallObj syscall.bpf.c
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem offcpu offcpuObj offcpu.bpf.c
//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" -no-global-types -go-package bpf -output-stem offcpusampled offcpusampledObj offcpusampled.bpf.c
