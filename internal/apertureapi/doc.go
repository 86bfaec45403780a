// Package apertureapi holds the interfaces through which the parts of the
// Aperture API find each other:
//
//   - the aperture_api extension answers queries ([QueryServer]) and knows
//     whether the pipelines keep up ([Registry]);
//   - the aperture receiver, which owns the gRPC port, passes the query methods
//     on to it and tells agents to slow down when it says so;
//   - the profile_buffer processor registers its view of recent batches
//     ([LiveView]) with it.
//
// The receiver and the processor name the extension by its component ID. The
// package holds no behaviour, so none of the three depends on another.
package apertureapi
