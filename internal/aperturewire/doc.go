// Package aperturewire reads and writes the payload of an Aperture push: a
// message of profiling events in bincode's fixed-width little-endian encoding.
//
// # Format
//
// u32, i32, u64 and i64 are 4 or 8 bytes, little-endian, two's complement. A
// string or list is its u64 length and then its bytes or elements; an optional
// value is one byte, 0 or 1, and then the value if 1; an enum is its u32 index
// and then the fields of the variant. Nothing is aligned or framed. Strings are
// UTF-8. Bytes after a message of the current schema are ignored.
//
//	message = version u32 (1) · sequence u64 · events list of event
//	event   = 0: CPU sample | 1: lock wait | 2: system call | 3: GPU kernel
//	cpu     = timestamp u64 · pid i32 · tid i32 · cpu_id u32 · user_stack list of u64 ·
//	          kernel_stack list of u64 · comm string ·
//	          user_stack_symbols, kernel_stack_symbols list of optional string
//	lock    = timestamp u64 · pid i32 · tid i32 · lock_addr u64 · hold_time_ns u64 · wait_time_ns u64 ·
//	          stack_trace list of u64 · comm string · stack_symbols list of optional string
//	syscall = timestamp u64 · pid i32 · tid i32 · syscall_id u32 · duration_ns u64 · return_value i64 · comm string
//	gpu     = timestamp u64 · pid i32 · kernel_name string · duration_ns u64 · grid_size 3×u32 · block_size 3×u32
//
// Old agents send the same without the lists of symbols and with the same
// version. [Decode] tries the current schema and then the old one, as the
// upstream aggregator does. Unlike it, Decode wants a message of the old schema
// to fill the payload: otherwise a damaged list of symbols would turn a message
// of one event into one of the old schema, whose symbols are silently lost.
//
// # Memory
//
// Decode checks the whole payload first and allocates nothing but the error of
// a bad one; events are then read one by one with [Message.Events]. So memory is
// bounded by the payload whatever it claims, and what is read (strings, stacks)
// aliases the payload: it is valid for as long as the payload is not changed,
// and keeping any of it keeps the whole payload.
package aperturewire
