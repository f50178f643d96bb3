//! The whole of `Host` and `Guest` on real xl hosts.
//!
//! Each test gets pristine hosts of the virtual lab. With `XENRT_TEST_LAB=lab.toml` they run on the
//! hosts of that lab file instead, which must have an image `tiny` that boots as PV and PVH.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::{devices, failures, lifecycle, migration, on_hosts, planted};
use xenrt_core::model::GuestKind;

macro_rules! on_one_host {
    ($($(#[$attribute:meta])* $name:ident => $body:expr;)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            on_hosts(stringify!($name), 1, |mut hosts| ($body)(hosts.remove(0))).await;
        }
    )*};
}

on_one_host! {
    every_verb_on_pv => |host| lifecycle::every_verb(host, GuestKind::Pv);
    every_verb_on_pvh => |host| lifecycle::every_verb(host, GuestKind::Pvh);
    a_guest_that_reboots_has_not_ended => lifecycle::reboots_and_never_ends;
    a_suspended_guest_can_be_ended => lifecycle::ends_of_a_suspended_guest;
    #[ignore = "in `cargo xtask test nightly`"]
    nasty_names_reach_xl_as_they_are => lifecycle::nasty_names;
    illegal_transitions_are_refused => lifecycle::illegal_transitions;
    #[ignore = "in `cargo xtask test nightly`"]
    two_guests_at_once => lifecycle::two_at_once;
    #[ignore = "in `cargo xtask test nightly`"]
    hot_plug_on_pv => |host| devices::hot_plug(host, GuestKind::Pv);
    hot_plug_on_pvh => |host| devices::hot_plug(host, GuestKind::Pvh);
    #[ignore = "in `cargo xtask test nightly`"]
    changes_while_halted => devices::changed_while_halted;
    #[ignore = "in `cargo xtask test nightly`"]
    networks_come_and_go => devices::networks;
    a_domain_vanishes => failures::vanished_domain;
    #[ignore = "in `cargo xtask test nightly`"]
    a_pv_guest_panics => |host| failures::panicking_guest(host, GuestKind::Pv);
    a_pvh_guest_panics => |host| failures::panicking_guest(host, GuestKind::Pvh);
    #[ignore = "in `cargo xtask test nightly`"]
    a_guest_never_boots => failures::never_boots;
    #[ignore = "in `cargo xtask test nightly`"]
    refusals_say_what_they_mean => failures::refusals;
    #[ignore = "in `cargo xtask test nightly`"]
    a_planted_bug_is_found_and_shrunk => planted::vcpus_above_one;
    a_foreign_domain_is_adopted => failures::adopted_guest;
    evidence_is_collected => failures::evidence;
}

macro_rules! on_two_hosts {
    ($($(#[$attribute:meta])* $name:ident => $body:expr;)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            on_hosts(stringify!($name), 2, |mut hosts| {
                let target = hosts.remove(1);
                $body(hosts.remove(0), target)
            })
            .await;
        }
    )*};
}

on_two_hosts! {
    live_migration => migration::live;
    #[ignore = "in `cargo xtask test nightly`"]
    a_migration_that_is_given_up_leaves_one_guest => migration::given_up;
    #[ignore = "in `cargo xtask test nightly`"]
    migrations_that_cannot_be => migration::refused;
}
