//! Reports of runs that nobody ran: streams of events made for the occasion.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, it may panic about")]

mod browser;
mod html;
mod json;
mod junit;
mod status;
mod stream;
