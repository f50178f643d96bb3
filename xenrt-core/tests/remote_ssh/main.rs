//! `SshShell` against real OpenSSH servers that these tests start on the loopback interface.

mod commands;
mod connection;
mod failures;
mod files;
mod processes;
mod sshd;
