//! A crate outside the workspace, with `xenrt` as its only dependency, defines tests of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The crate may have to be built with all that it depends on, on a machine with other work.
const DEADLINE: Duration = Duration::from_secs(1800);

#[test]
fn a_crate_outside_the_workspace_has_its_own_tests() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = workspace.join("tests/outside-crate");
    // The versions that are at hand; without them, cargo might look for others and miss them.
    std::fs::copy(workspace.join("Cargo.lock"), outside.join("Cargo.lock"))
        .expect("the workspace has a lock file");
    let output = cargo_run(&outside, &target(workspace));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert_eq!(
        stdout,
        "outside.answers (TC-1): An outside test is a test like any other.\n\
         testcases.outside.TCAnswers is outside.answers\n\
         outside.answers passed\n\
         exit code 0\n",
        "{stderr}"
    );
}

/// The target folder of the workspace: what is built there need not be built again.
fn target(workspace: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

fn cargo_run(crate_folder: &Path, target: &Path) -> Output {
    let mut child = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--manifest-path"])
        .arg(crate_folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo can be started");
    wait(&mut child);
    child.wait_with_output().expect("the output can be read")
}

/// Waits until the child has ended, or kills it at the deadline. What it prints fits into a pipe:
/// a few lines, and the errors of one crate.
fn wait(child: &mut Child) {
    let started = Instant::now();
    while child.try_wait().expect("the child can be waited for").is_none() {
        if started.elapsed() > DEADLINE {
            child.kill().expect("the child can be killed");
            panic!("the crate was not built and run within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
