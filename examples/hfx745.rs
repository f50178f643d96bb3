//! TCHfx745 on a real Xen host: by default in the virtual lab, with `--lab FILE` on yours.

use std::process::ExitCode;

use clap::Parser;
use xenrt_examples::{BuiltInSequence, RunArgs};
// Linking the library of tests puts all of them into this program's registry.
use xenrt_testcases as _;

/// Runs TCHfx745: packets larger than 64 KiB from a guest to dom0 are dropped at netback, and the
/// guest does not lose connectivity.
///
/// Exit codes: 0 all passed, 1 some failed, 2 bad usage or input, 3 some errored and none failed,
/// 4 the preparation failed, 5 nothing was run, 130 cancelled.
#[derive(Parser)]
#[command(after_help = "Examples:
  hfx745                                  on a Xen host in the virtual lab
  hfx745 --lab lab.toml --junit out.xml   on a host of yours
  hfx745 --sequence my.seq --dry-run      what a sequence of yours would run")]
struct Args {
    #[command(flatten)]
    run: RunArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let sequence = BuiltInSequence {
        name: "testcases/sequences/hfx745.seq",
        text: include_str!("../testcases/sequences/hfx745.seq"),
    };
    xenrt_examples::run(Args::parse().run, sequence).await
}
