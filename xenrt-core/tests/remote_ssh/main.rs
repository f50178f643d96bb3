//! `SshShell` against real OpenSSH servers that these tests start on the loopback interface.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test by its panic")]

mod commands;
mod connection;
mod failures;
mod files;
mod processes;
