//! Runs that are killed, cut short and damaged, and go on.
//!
//! Started as `resume program ...`, this is the program that is killed; otherwise it runs the tests.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, it may panic about")]

mod damage;
mod disk;
mod kill;
mod observed;
mod program;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(program::WORD) {
        return program::main(words.collect());
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let tests = vec![
        trial("killed_at_random_moments_every_test_ends_once", kill::at_random_moments),
        trial("a_run_folder_has_one_process_at_a_time", kill::one_at_a_time),
        trial("a_journal_cut_anywhere_is_gone_on_with", damage::cut_anywhere),
        trial("a_journal_damaged_anywhere_is_gone_on_with", damage::damaged_anywhere),
        trial("a_full_disk_fails_no_test_and_loses_no_end", disk::full),
        trial("a_journal_catches_up_once_there_is_room", disk::room_again),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
