//! Tests of what guests must not be able to do to one another and to the host.

mod spoofing;
mod xenstore;
