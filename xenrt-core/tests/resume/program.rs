//! The program that is killed: a run of tests that do nothing but say that they were there.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use xenrt_core::sequence;
use xenrt_core::sequencer::{
    CancelHandle, ClaimedRun, IfChanged, Plan, ResumeError, RunOptions, resume, run,
};
use xenrt_core::testcase::{
    Claims, Registry, Requirements, TestCase, TestContext, TestDescriptor, TestResult, erase,
};

/// The first argument that makes the program of the test's executable.
pub(crate) const WORD: &str = "program";

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) folder: PathBuf,
    pub(crate) tests: usize,
    /// Side by side.
    pub(crate) workers: usize,
    /// How long a test takes, in microseconds.
    pub(crate) micros: u64,
}

impl Job {
    pub(crate) fn run_folder(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// A line for each time that a test was entered or left.
    pub(crate) fn visits(&self) -> PathBuf {
        self.folder.join("visits")
    }

    /// The command that starts or goes on with it.
    pub(crate) fn command(&self, how: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(self.arguments(how)).stdin(Stdio::null());
        command
    }

    pub(crate) fn arguments(&self, how: &str) -> Vec<String> {
        vec![
            WORD.to_owned(),
            how.to_owned(),
            self.folder.display().to_string(),
            self.tests.to_string(),
            self.workers.to_string(),
            self.micros.to_string(),
        ]
    }

    pub(crate) fn plan(&self) -> Plan {
        let mut text = format!("<xenrt>\n<testsequence><parallel workers=\"{}\">\n", self.workers);
        for number in 0..self.tests {
            let (folder, micros) = (self.folder.display(), self.micros);
            text.push_str(&format!(
                "<testcase id=\"kill.visit\" name=\"visit-{number}\"><arg>folder={folder}</arg>\
                 <arg>micros={micros}</arg><arg>name=visit-{number}</arg></testcase>\n"
            ));
        }
        text.push_str("</parallel></testsequence>\n</xenrt>\n");
        let sequence = sequence::parse(&text, "visits.seq").unwrap();
        Plan::new(&sequence, &registry()).unwrap()
    }
}

pub(crate) fn main(words: Vec<String>) -> ExitCode {
    let [how, folder, tests, workers, micros] = words.try_into().unwrap();
    let job = Job {
        folder: folder.into(),
        tests: tests.parse().unwrap(),
        workers: workers.parse().unwrap(),
        micros: micros.parse().unwrap(),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = RunOptions::new(job.run_folder());
    let report = runtime.block_on(async {
        if how == "new" {
            return Ok(run(job.plan(), options, CancelHandle::new()).await);
        }
        let claimed = ClaimedRun::claim(&job.run_folder())?;
        resume(job.plan(), claimed, IfChanged::Refuse, options, CancelHandle::new()).await
    });
    match report {
        Ok(report) => report.exit_code.into(),
        Err(error @ ResumeError::Finished(..)) => {
            eprintln!("{error}");
            ExitCode::from(100)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(101)
        }
    }
}

fn registry() -> Registry {
    Registry::of(vec![TestDescriptor {
        id: "kill.visit",
        legacy: &[],
        tc: None,
        description: "Says that it was there.",
        timeout: None,
        requires: Requirements { hosts: 1, abilities: &[] },
        tags: &[],
        claims: Claims::DEFAULT,
        blocker: false,
        type_name: "Visit",
        file: file!(),
        line: line!(),
        make: erase::<Visit>,
    }])
    .unwrap()
}

struct Visit;

#[async_trait]
impl TestCase for Visit {
    async fn prepare(_: &TestContext) -> TestResult<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> TestResult {
        let folder: String = cx.args().get_or("folder", String::new())?;
        let name: String = cx.args().get_or("name", String::new())?;
        let micros: u64 = cx.args().get_or("micros", 0)?;
        say(Path::new(&folder), &format!("enter {name}\n"));
        // The work of the test, which is what it is to be killed in; a timer takes a millisecond at
        // the least.
        if micros > 0 {
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        say(Path::new(&folder), &format!("leave {name}\n"));
        Ok(())
    }
}

/// One write, so that a line is there or not.
fn say(folder: &Path, line: &str) {
    let visits = std::fs::File::options().append(true).create(true).open(folder.join("visits"));
    visits.unwrap().write_all(line.as_bytes()).unwrap();
}
