#!/bin/sh
# Regenerates the Go code beside aperture.proto. protoc must be in PATH (Debian:
# protobuf-compiler); its Go plugins are pinned by internal/tools/go.mod. They
# are built into a temporary folder because protoc wants to execute them itself.
set -eu
cd "$(dirname "$0")"
tools=../../../../internal/tools
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
(cd "$tools" && go build -o "$bin/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc)
protoc --plugin="$bin/protoc-gen-go" --plugin="$bin/protoc-gen-go-grpc" \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	-I . aperture.proto
# The version of protoc would make the output depend on the machine.
sed -i '/^\/\/ [-\t ]*protoc  *v/d' aperture.pb.go aperture_grpc.pb.go
