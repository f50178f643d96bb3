//! Tests of what every guest goes through: start, stop, reboot, suspend, pause, crash, rename.

mod concurrent;
mod crash;
mod crash_dump;
mod install;
mod itself;
mod names;
mod pause;
mod power;
mod rename;
mod save;
mod suspend;
