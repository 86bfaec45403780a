package apertureapiextension

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// invoke calls a method by its name, over gRPC.
func (f *fixture) invoke(t *testing.T, method string, req proto.Message) (reflect.Value, error) {
	t.Helper()
	out := reflect.ValueOf(f.rpc).MethodByName(method).Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(req)})
	err, _ := out[1].Interface().(error)
	return out[0], err
}

// Every field of every read method, as the service's descriptor lists them, is
// refused by its name if its value makes no sense.
func TestHostileRPCFields(t *testing.T) {
	f := hostileFixture(t)
	methods := aggregatorv1.File_aperture_proto.Services().Get(0).Methods()
	require.Equal(t, 5, methods.Len())
	for i := range methods.Len() {
		method := methods.Get(i)
		if method.Name() == "Push" {
			continue // its messages are tested in the receiver
		}
		typ, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
		require.NoError(t, err)
		fields := method.Input().Fields()
		for j := range fields.Len() {
			field := fields.Get(j)
			t.Run(string(method.Name())+"/"+string(field.Name()), func(t *testing.T) {
				for _, value := range badValues(t, field) {
					req := typ.New()
					if kind := method.Input().Fields().ByName("event_type"); kind != nil {
						req.Set(kind, protoreflect.ValueOfString("cpu"))
					}
					req.Set(field, value)
					resp, err := f.invoke(t, string(method.Name()), req.Interface())
					if err == nil && method.Name() == "Diff" && field.Name() == "event_type" {
						assert.Contains(t, resp.Interface().(*aggregatorv1.DiffResponse).GetError(), "event_type", "upstream answers with status OK")
						continue
					}
					if err == nil && method.Name() == "Query" && field.Name() == "agent_id" {
						continue // no batch is of that agent
					}
					require.Equal(t, codes.InvalidArgument, status.Code(err), err)
					assert.Contains(t, status.Convert(err).Message(), string(field.Name()))
				}
			})
		}
	}
	_, err := f.rpc.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
	require.NoError(t, err)
}

func badValues(t *testing.T, field protoreflect.FieldDescriptor) []protoreflect.Value {
	t.Helper()
	switch {
	case field.Kind() == protoreflect.Int64Kind:
		return []protoreflect.Value{protoreflect.ValueOfInt64(-1), protoreflect.ValueOfInt64(math.MinInt64)}
	case field.Name() == "event_type":
		return []protoreflect.Value{
			protoreflect.ValueOfString("no such kind"), protoreflect.ValueOfString("\x00"), protoreflect.ValueOfString(strings.Repeat("x", 100_000)),
		}
	case field.Kind() == protoreflect.StringKind:
		return []protoreflect.Value{protoreflect.ValueOfString(strings.Repeat("x", 100_000))}
	case field.Kind() == protoreflect.Uint32Kind:
		return nil // every limit makes sense: it is cut down
	}
	t.Fatalf("add values for %s", field.FullName())
	return nil
}

// The largest values that a field can have are answered.
func TestHostileRPCExtremes(t *testing.T) {
	f := hostileFixture(t)
	most, none := int64(math.MaxInt64), int64(0)
	for _, limit := range []uint32{0, 1, math.MaxUint32} {
		for _, method := range []proto.Message{
			&aggregatorv1.QueryRequest{Limit: limit},
			&aggregatorv1.QueryStorageRequest{Limit: limit, TimeStartNs: &none, TimeEndNs: &most},
			&aggregatorv1.AggregateRequest{Limit: limit, TimeStartNs: &none, TimeEndNs: &most},
			&aggregatorv1.AggregateRequest{Limit: limit, TimeStartNs: &most, TimeEndNs: &most},
			&aggregatorv1.DiffRequest{
				Limit: limit, EventType: "cpu", BaselineStartNs: &none, BaselineEndNs: &most, ComparisonStartNs: &most, ComparisonEndNs: &most,
			},
		} {
			name := strings.TrimSuffix(string(method.ProtoReflect().Descriptor().Name()), "Request")
			_, err := f.invoke(t, name, method)
			require.NoError(t, err, "%s %v", name, method)
		}
	}
	end := int64(1)
	_, err := f.rpc.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{TimeStartNs: &most, TimeEndNs: &end})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	assert.Contains(t, status.Convert(err).Message(), "time_end_ns")
}
