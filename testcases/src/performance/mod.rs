//! Tests of how fast things are, with a verdict that knows how sure it is.

mod lifecycle;
mod series;
mod throughput;
