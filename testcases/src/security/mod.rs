//! Tests of what guests must not be able to do to one another and to the host.

mod events;
mod spoofing;
mod xenstore;
