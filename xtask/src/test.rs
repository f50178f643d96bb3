//! `cargo xtask test`: everything that must hold before a change is submitted.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use xenrt_core::seconds::Readable;

/// One step: its name, what cargo is to do, and environment variables.
struct Step {
    name: &'static str,
    does: Does,
    environment: &'static [(&'static str, &'static str)],
    /// Part of `nightly` alone.
    nightly: bool,
}

/// What a step has cargo do.
enum Does {
    /// These words.
    Words(&'static [&'static str]),
    /// Build all of it with all features, and run these tests of it. Whatever is built for one such
    /// step is built for all: with fewer packages or features cargo builds everything anew.
    Tests(&'static [&'static str]),
}

impl Does {
    fn words(&self) -> Vec<&'static str> {
        match self {
            Self::Words(words) => words.to_vec(),
            Self::Tests(which) => {
                let mut words = vec!["test", "--workspace", "--features", FEATURES];
                words.extend_from_slice(which);
                words
            }
        }
    }
}

/// What is built by no default, and must be as clean as the rest.
const FEATURES: &str = "xenrt-xapi/double,xenrt/libvirt,xenrt-examples/libvirt,xtask/libvirt";

/// A snapshot that is not the one on record is an error, and not a new file.
const SNAPSHOTS: &[(&str, &str)] = &[("INSTA_UPDATE", "no")];

/// Tests that wait for what does not come, most of their time: more of them at once than processors.
const WAITING: &[(&str, &str)] = &[("RUST_TEST_THREADS", "4"), ("INSTA_UPDATE", "no")];

/// A backtrace of the test's own runtime hides what a test on real hosts says of its failure.
const BRIEF: &[(&str, &str)] = &[("RUST_BACKTRACE", "0"), ("INSTA_UPDATE", "no")];

const fn step(
    name: &'static str,
    does: Does,
    environment: &'static [(&'static str, &'static str)],
) -> Step {
    Step { name, does, environment, nightly: false }
}

const fn nightly(name: &'static str, tests: &'static [&'static str]) -> Step {
    Step { name, does: Does::Tests(tests), environment: BRIEF, nightly: true }
}

const STEPS: &[Step] = &[
    step("fmt", Does::Words(&["fmt", "--all", "--check"]), &[]),
    step(
        "clippy",
        Does::Words(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            FEATURES,
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
        &[],
    ),
    step(
        "doc",
        Does::Words(&["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"]),
        &[("RUSTDOCFLAGS", "-D warnings")],
    ),
    step(
        "features",
        Does::Words(&["check", "--package", "xenrt", "--no-default-features", "--quiet"]),
        &[],
    ),
    // What boots nothing comes first, so that a slip in a parser is told before minutes of emulation.
    step("unit", Does::Tests(&["--lib", "--bins"]), SNAPSHOTS),
    step(
        "integration",
        Does::Tests(&[
            "--test",
            "everything",
            "--test",
            "explored",
            "--test",
            "harness",
            "--test",
            "macros",
            "--test",
            "outside_crate",
            "--test",
            "ui",
            "--test",
            "remote_ssh",
            "--test",
            "reports",
            "--test",
            "resume",
            "--test",
            "sequencer",
        ]),
        SNAPSHOTS,
    ),
    step(
        "programs",
        Does::Tests(&["--examples", "--test", "bad_input", "--test", "sequence_check"]),
        SNAPSHOTS,
    ),
    // The library of tests on simulated hosts: each passes there, and each finds its fault; and its
    // answer files before the validators of their installers, where those are installed.
    step("library", Does::Tests(&["--test", "library", "--test", "answers"]), SNAPSHOTS),
    // One sequence file on toolstacks that need no hypervisor.
    step("toolstacks", Does::Tests(&["--test", "toolstacks"]), SNAPSHOTS),
    // The xapi toolstack on its double, through a real sshd: the suite for all toolstacks, and the
    // broken doubles that it must find out.
    step("xapi", Does::Tests(&["--test", "double", "--test", "memory"]), WAITING),
    // The libvirt toolstack on libvirt's own driver for tests, and on QEMU through a daemon of the
    // test's own.
    step(
        "libvirt",
        Does::Tests(&["--test", "driver", "--test", "suite", "--test", "qemu"]),
        SNAPSHOTS,
    ),
    step("doctest", Does::Tests(&["--doc"]), &[]),
    // From here on real Xen hosts are booted. The main job: it passes, and it turns red when the
    // product is broken.
    step("hosts", Does::Tests(&["--test", "hosts", "--test", "verdicts"]), BRIEF),
    step("killed", Does::Tests(&["--test", "killed"]), BRIEF),
    step("lab", Does::Tests(&["--test", "virtual_lab"]), BRIEF),
    // The verbs of a guest, live migration between two hosts included.
    step("xl", Does::Tests(&["--test", "lifecycle"]), BRIEF),
    // libvirt in dom0 of a virtual host, through ssh.
    step("libvirt-xen", Does::Tests(&["--test", "xen"]), BRIEF),
    // The same once more with other kinds of guests, and what is rare.
    nightly("xl-rare", &["--test", "lifecycle", "--", "--ignored"]),
    // Soaks of a real host, half an hour each, with something planted and with nothing.
    nightly("soak", &["--test", "hosts", "--", "--ignored"]),
    // The suite for all toolstacks on QEMU, a daemon that dies in each of its verbs, whether verdicts of
    // performance are right, and what cloud-init makes of its answers. By name: what else is ignored
    // there is the inside of a name space.
    nightly(
        "libvirt-rare",
        &[
            "--test",
            "qemu",
            "--",
            "--ignored",
            "--exact",
            "a_daemon_may_die_in_every_verb",
            "qemu_conforms",
            "cloud_init::cloud_init_does_what_its_files_say",
            "regressed::a_link_that_became_slower_is_found_and_others_are_not",
        ],
    ),
];

/// All steps that are not among those of every submission.
const NIGHTLY: &str = "nightly";

/// Runs an example with all that is built by no default; its exit code is that of this program.
pub(crate) fn example(name: &str, arguments: &[String]) -> std::io::Result<ExitCode> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--features", FEATURES, "--example", name, "--"])
        .args(arguments)
        .status()?;
    // A program that a signal ended has no code.
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// The names of the steps, in order, and of the group of those that take long.
pub(crate) fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).chain([NIGHTLY]).collect()
}

/// Runs the steps that are named, or those of every submission, up to the first that fails, and
/// prints how long each took.
pub(crate) fn run(only: &[String]) -> ExitCode {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let named = |step: &&Step| {
        only.iter().any(|name| name == step.name || (step.nightly && name == NIGHTLY))
    };
    let steps: Vec<&Step> = match only {
        [] => STEPS.iter().filter(|step| !step.nightly).collect(),
        _ => STEPS.iter().filter(named).collect(),
    };
    let flaky = flaky_folder();
    // What an earlier run noted says nothing about this one.
    let _ = std::fs::remove_dir_all(&flaky);
    for step in steps {
        let words = step.does.words();
        anstream::eprintln!("==> {} (cargo {})", step.name, words.join(" "));
        let started = Instant::now();
        let status = Command::new(&cargo)
            .args(&words)
            .envs(step.environment.iter().copied())
            .stdin(Stdio::null())
            .status();
        times.push((step.name, started.elapsed()));
        let failure = match status {
            Ok(status) if status.success() => continue,
            Ok(status) => status.to_string(),
            Err(error) => format!("cargo could not be started: {error}"),
        };
        print_times(&times);
        print_flaky(&flaky);
        anstream::eprintln!(
            "step `{0}` failed ({failure}); run it alone with: cargo xtask test {0}",
            step.name
        );
        return ExitCode::FAILURE;
    }
    print_times(&times);
    print_flaky(&flaky);
    ExitCode::SUCCESS
}

/// Where tests on emulated hosts note that they passed in their second try only.
fn flaky_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    target.join("tmp").join("flaky")
}

/// Tells what was flaky, and why it failed at first: a pass in the second try is no secret.
fn print_flaky(folder: &Path) {
    let Ok(notes) = std::fs::read_dir(folder) else { return };
    for path in notes.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let why = std::fs::read_to_string(&path).unwrap_or_else(|error| error.to_string());
        let last: Vec<&str> = why.trim_end().lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        anstream::eprintln!(
            "FLAKY {name}: passed in its second try; the first, whole in {}:\n    {}",
            path.display(),
            last.join("\n    ")
        );
    }
}

fn print_times(times: &[(&str, Duration)]) {
    anstream::eprintln!("\ntimes:");
    for (name, time) in times {
        anstream::eprintln!("  {name:<12} {:>11}", Readable(*time).to_string());
    }
}
