//! One sequence file on toolstacks that need no hypervisor: `hfx745.seq`, as it is, on the double of
//! xapi through a real sshd and on simulated hosts. On real Xen hosts: `tests/hosts`.
//!
//! Called as a program of a dom0, this is the double; otherwise it runs the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use xenrt_testcases as _;

mod lab;
mod oversized_packets;

fn main() -> ExitCode {
    let called = std::env::args().next().unwrap_or_default();
    let called = called.rsplit('/').next().unwrap_or_default();
    if xenrt_xapi::double::PROGRAMS.contains(&called) {
        return xenrt_xapi::double::main();
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let tests = vec![
        trial("oversized_packets_pass_on_xapi", oversized_packets::on_xapi),
        trial("a_netback_that_disconnects_is_found_on_xapi", oversized_packets::broken_on_xapi),
        trial(
            "a_premise_that_does_not_hold_is_no_pass_on_xapi",
            oversized_packets::premise_on_xapi,
        ),
        trial("oversized_packets_pass_on_simulated_hosts", oversized_packets::on_sim),
        trial(
            "a_netback_that_disconnects_is_found_on_simulated_hosts",
            oversized_packets::broken_on_sim,
        ),
        trial("a_premise_that_does_not_hold_is_no_pass_on_sim", oversized_packets::premise_on_sim),
        trial("a_dom0_without_ping_is_no_lost_guest", oversized_packets::no_ping_on_sim),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
