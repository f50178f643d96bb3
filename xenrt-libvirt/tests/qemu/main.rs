//! The toolstack on QEMU, through a libvirtd of the test's own.
//!
//! Each test runs itself again in name spaces of its own: with a network that nobody else sees,
//! folders of libvirt's that nobody else has, and processes that end with it.

#![cfg(feature = "virt")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod boot;
mod cloud_init;
mod daemon;
mod life;
mod local;
mod migration;
mod namespace;
mod native_snapshots;
mod oversized_packets;
mod regressed;
mod suite;
mod world;

#[test]
fn a_guest_lives_on_qemu() {
    world::run_inside("life::inside");
}

#[test]
fn a_daemon_may_die_at_any_time() {
    world::run_inside("daemon::inside");
}

/// Five minutes where QEMU emulates.
#[test]
#[ignore = "in `cargo xtask test nightly`"]
fn a_daemon_may_die_in_every_verb() {
    world::run_inside("daemon::in_every_verb");
}

#[test]
fn a_guest_moves_while_it_runs() {
    world::run_inside("migration::inside");
}

#[test]
fn firmware_boots_a_disk() {
    world::run_inside("boot::inside");
}

#[test]
fn libvirt_keeps_snapshots_in_images() {
    world::run_inside("native_snapshots::inside");
}

#[test]
fn hfx745_runs_as_it_is() {
    world::run_inside("oversized_packets::inside");
}

/// What the suite says of QEMU. It takes a quarter of an hour where QEMU emulates.
#[test]
#[ignore = "in `cargo xtask test nightly`"]
fn qemu_conforms() {
    world::run_inside("suite::inside");
}
