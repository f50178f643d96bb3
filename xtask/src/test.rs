//! `cargo xtask test`: everything that must hold before a change is submitted.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use xenrt_core::seconds::Readable;

/// One step: its name, the words for cargo, and environment variables.
struct Step {
    name: &'static str,
    words: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// What is built by no default, and must be as clean as the rest.
const FEATURES: &str = "xenrt-xapi/double,xenrt/libvirt,xenrt-examples/libvirt,xtask/libvirt";

/// A backtrace of the test's own runtime hides what a test on real hosts says of its failure.
const BRIEF: &[(&str, &str)] = &[("RUST_BACKTRACE", "0")];

const STEPS: &[Step] = &[
    Step { name: "fmt", words: &["fmt", "--all", "--check"], environment: &[] },
    Step {
        name: "clippy",
        words: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            FEATURES,
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
        environment: &[],
    },
    Step {
        name: "doc",
        words: &["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step {
        name: "features",
        words: &["check", "--package", "xenrt", "--no-default-features", "--quiet"],
        environment: &[],
    },
    // What boots nothing comes first, so that a slip in a parser is told before minutes of emulation.
    Step { name: "unit", words: &["test", "--workspace", "--lib", "--bins"], environment: &[] },
    Step {
        name: "integration",
        words: &["test", "--package", "xenrt", "--package", "xenrt-core", "--test", "*"],
        environment: &[("INSTA_UPDATE", "no")],
    },
    Step {
        name: "programs",
        words: &[
            "test",
            "--package",
            "xenrt-examples",
            "--lib",
            "--examples",
            "--test",
            "bad_input",
            "--test",
            "sequence_check",
        ],
        environment: &[],
    },
    // The library of tests on simulated hosts: each passes there, and each finds its fault; and its answer files
    // before the validators of their installers, where those are installed.
    Step {
        name: "library",
        words: &["test", "--package", "xenrt-testcases", "--test", "library", "--test", "answers"],
        environment: &[("INSTA_UPDATE", "no")],
    },
    // One sequence file on toolstacks that need no hypervisor.
    Step {
        name: "toolstacks",
        words: &["test", "--package", "xenrt-testcases", "--test", "toolstacks"],
        environment: &[],
    },
    // The xapi toolstack on its double, through a real sshd: the suite for all toolstacks, and the
    // broken doubles that it must find out.
    Step {
        name: "xapi",
        words: &["test", "--package", "xenrt-xapi", "--features", "double", "--lib", "--tests"],
        environment: &[("INSTA_UPDATE", "no")],
    },
    // The libvirt toolstack on libvirt's own driver for tests, and on QEMU through a daemon of the
    // test's own.
    Step {
        name: "libvirt",
        words: &[
            "test",
            "--package",
            "xenrt-libvirt",
            "--features",
            "virt",
            "--lib",
            "--test",
            "driver",
            "--test",
            "suite",
            "--test",
            "qemu",
        ],
        environment: &[("INSTA_UPDATE", "no")],
    },
    Step { name: "doctest", words: &["test", "--workspace", "--doc"], environment: &[] },
    // From here on real Xen hosts are booted. The main job: it passes, and it turns red when the
    // product is broken.
    Step {
        name: "hosts",
        words: &["test", "--package", "xenrt-testcases", "--test", "hosts", "--test", "verdicts"],
        environment: BRIEF,
    },
    Step {
        name: "killed",
        words: &["test", "--package", "xenrt-examples", "--test", "killed"],
        environment: BRIEF,
    },
    Step { name: "lab", words: &["test", "--package", "xenrt-lab", "--tests"], environment: BRIEF },
    // Every verb of a guest, live migration between two hosts included.
    Step { name: "xl", words: &["test", "--package", "xenrt-xl", "--tests"], environment: BRIEF },
    // libvirt in dom0 of a virtual host, through ssh.
    Step {
        name: "libvirt-xen",
        words: &["test", "--package", "xenrt-libvirt", "--features", "virt", "--test", "xen"],
        environment: BRIEF,
    },
];

/// The names of the steps, in order.
pub(crate) fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the steps that are named, or all of them, up to the first that fails, and prints how long
/// each took.
pub(crate) fn run(only: &[String]) -> ExitCode {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let named = |step: &&Step| only.iter().any(|name| name == step.name);
    let steps: Vec<&Step> = match only {
        [] => STEPS.iter().collect(),
        _ => STEPS.iter().filter(named).collect(),
    };
    let flaky = flaky_folder();
    // What an earlier run noted says nothing about this one.
    let _ = std::fs::remove_dir_all(&flaky);
    for step in steps {
        anstream::eprintln!("==> {} (cargo {})", step.name, step.words.join(" "));
        let started = Instant::now();
        let status = Command::new(&cargo)
            .args(step.words)
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
