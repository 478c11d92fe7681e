// What it costs two threads to meet: a property of the machine's state that profiles are read with.
#pragma once

namespace harness {

// Nanoseconds that a cache line takes from one thread to another and back: the least of some series. Cores that share a last-level cache take
// about 100; where a host spreads its virtual cores over several, 400 and more, and threads that share layers wait for each other longer.
double line_round_trip_ns();

}  // namespace harness
