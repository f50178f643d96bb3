//! Tests that do nothing: the sequencer, journal on, against pytest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::Instant;

use async_trait::async_trait;
use xenrt_core::sequence::parse;
use xenrt_core::sequencer::{CancelHandle, ExitCode, Plan, RunOptions, run as run_plan};
use xenrt_core::testcase::{
    Claims, Registry, Requirements, TestCase, TestContext, TestDescriptor, TestResult, erase,
};

use super::{Error, Row, median};

/// Tests of one measurement of ours.
const OURS: usize = 50_000;
/// Tests of one measurement of pytest, which takes about as long for them.
const PYTEST: usize = 2_000;

/// Measures `rounds` times each, in turns.
pub(super) fn run(rounds: usize) -> Result<Vec<Row>, Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let python = installed();
    let (mut ours, mut pytest) = (Vec::new(), Vec::new());
    // The first run fills caches.
    runtime.block_on(ours_rate(OURS / 10))?;
    let mut missing = python.as_ref().err().map(ToString::to_string);
    for round in 0..rounds {
        // Who comes first changes from round to round.
        let mut measure_pytest = || match python.as_ref().map(|python| pytest_rate(python)) {
            Ok(Ok(rate)) => pytest.push(rate),
            Ok(Err(error)) => missing = Some(error.to_string()),
            Err(_) => {}
        };
        if round % 2 == 0 {
            measure_pytest();
            ours.push(runtime.block_on(ours_rate(OURS))?);
        } else {
            ours.push(runtime.block_on(ours_rate(OURS))?);
            measure_pytest();
        }
    }
    let whole = pytest.len() == ours.len();
    let ratios = ours.iter().zip(&pytest).map(|(ours, pytest)| ours / pytest).collect();
    Ok(vec![Row {
        name: "noop".to_owned(),
        unit: "tests/s".to_owned(),
        ours: median(ours),
        peer: "pytest".to_owned(),
        peer_value: whole.then(|| median(pytest)),
        ratio: whole.then(|| median(ratios)),
        note: match missing {
            Some(why) => format!("not measured: {why}"),
            None => "the target is 50; ours writes its journal, pytest no report".to_owned(),
        },
    }])
}

/// Runs of different sizes, each in a process of its own: neither speed nor memory may get worse
/// with the number of tests, but for what the results of a test take.
pub(super) fn sizes(rounds: usize) -> Result<Vec<Row>, Error> {
    let mut measured: Vec<(usize, Vec<Alone>)> =
        SIZES.iter().map(|size| (*size, Vec::new())).collect();
    for _ in 0..rounds {
        for (size, alone) in &mut measured {
            alone.push(in_a_process(*size)?);
        }
    }
    let rate = |(size, alone): &(usize, Vec<Alone>)| {
        median(alone.iter().map(|one| *size as f64 / one.seconds).collect())
    };
    let smallest = measured.first().map_or(f64::NAN, rate);
    let rows = measured.iter().map(|entry| {
        let (size, alone) = entry;
        let peak = median(alone.iter().map(|one| one.peak_kib).collect());
        let before = median(alone.iter().map(|one| one.before_kib).collect());
        Row {
            name: format!("noop-{size}"),
            unit: "tests/s".to_owned(),
            ours: rate(entry),
            peer: format!("noop-{}", SIZES[0]),
            peer_value: Some(smallest),
            ratio: Some(rate(entry) / smallest),
            note: format!(
                "peak memory {:.1} MiB, of which {:.2} KiB a test were not there before",
                peak / 1024.0,
                (peak - before) / *size as f64
            ),
        }
    });
    Ok(rows.collect())
}

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// What one run in a process of its own took.
struct Alone {
    seconds: f64,
    /// The most memory that the process had, and what it had before the run.
    peak_kib: f64,
    before_kib: f64,
}

fn in_a_process(tests: usize) -> Result<Alone, Error> {
    let program = std::env::current_exe()?;
    let output = Program::new(program).arg("bench-noop").arg(tests.to_string()).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> =
        printed.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [seconds, peak_kib, before_kib] = numbers[..] else {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("a run of {tests} tests printed {printed:?} and {errors:?}").into());
    };
    Ok(Alone { seconds, peak_kib, before_kib })
}

/// Runs so many tests and prints the seconds, and the peak and the earlier memory in KiB.
pub(super) fn alone(tests: usize) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let before = memory("VmRSS:")?;
    let rate = runtime.block_on(ours_rate(tests))?;
    anstream::println!("{} {} {before}", tests as f64 / rate, memory("VmHWM:")?);
    Ok(())
}

/// A line of proc_pid_status(5), in KiB.
fn memory(line: &str) -> Result<f64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let text = status.lines().find_map(|text| text.strip_prefix(line));
    let number = text.and_then(|text| text.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("/proc/self/status has no {line}").into())
}

struct Nothing;

#[async_trait]
impl TestCase for Nothing {
    async fn prepare(_: &TestContext) -> TestResult<Self> {
        Ok(Self)
    }
    async fn run(&mut self, _: &TestContext) -> TestResult {
        Ok(())
    }
}

/// Tests a second, from the text of a sequence to the end of its run.
async fn ours_rate(count: usize) -> Result<f64, Error> {
    let registry = Registry::of(vec![TestDescriptor {
        id: "bench.nothing",
        legacy: &[],
        tc: None,
        description: "Does nothing.",
        timeout: None,
        requires: Requirements { hosts: 1, abilities: &[] },
        claims: Claims::DEFAULT,
        blocker: false,
        tags: &[],
        type_name: "Nothing",
        file: file!(),
        line: line!(),
        make: erase::<Nothing>,
    }])?;
    let text = sequence_text(count)?;
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    let plan = Plan::new(&parse(&text, "noop.seq")?, &registry)?;
    let report = run_plan(plan, RunOptions::new(folder.path()), CancelHandle::new()).await;
    let seconds = started.elapsed().as_secs_f64();
    if report.exit_code != ExitCode::AllPassed || report.summary.passed as usize != count {
        return Err(format!("not all of {count} tests passed: {:?}", report.summary).into());
    }
    if report.journal.is_none() || !report.reporter_failures.is_empty() {
        return Err(format!("no journal: {}", report.reporter_failures.join("; ")).into());
    }
    Ok(count as f64 / seconds)
}

fn sequence_text(count: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::from("<xenrt>\n<testsequence>\n");
    for number in 0..count {
        writeln!(text, "  <testcase id=\"bench.nothing\" name=\"nothing-{number}\"/>")?;
    }
    text.push_str("</testsequence>\n</xenrt>\n");
    Ok(text)
}

/// Tests a second, from collection to the end.
fn pytest_rate(python: &Path) -> Result<f64, Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pytest_noop.py");
    let output = Program::new(python).arg(script).arg(PYTEST.to_string()).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let wrong = || {
        let errors = String::from_utf8_lossy(&output.stderr);
        Error::from(format!("pytest printed {:?} and {:?}", printed.trim(), errors.trim()))
    };
    let (count, seconds) = printed.trim().split_once(' ').ok_or_else(wrong)?;
    let (count, seconds): (f64, f64) =
        (count.parse().map_err(|_| wrong())?, seconds.parse().map_err(|_| wrong())?);
    Ok(count / seconds)
}

/// A Python with pytest, in the folder that cargo builds in; made at first use.
fn installed() -> Result<PathBuf, Error> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("this program is in no folder")?;
    let venv = folder.join("bench-pytest");
    let python = venv.join("bin/python");
    let mut import = Program::new(&python);
    import.args(["-c", "import pytest"]).stderr(Stdio::null());
    if import.status().is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    anstream::eprintln!("installing pytest to compare with");
    let quietly = |program: &mut Program| -> Result<(), Error> {
        let output = program.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into())
    };
    quietly(Program::new("python3").args(["-m", "venv"]).arg(&venv))
        .map_err(|error| format!("no Python environment could be made: {error}"))?;
    quietly(Program::new(&python).args(["-m", "pip", "install", "--quiet", "pytest"]))
        .map_err(|error| format!("pytest could not be installed: {error}"))?;
    Ok(python)
}
