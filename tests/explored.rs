//! What an exploration prints as a test compiles as it is.

include!("ui/pass/explored.rs");
