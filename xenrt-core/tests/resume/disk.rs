//! Disks that are full. A limit on the size of files does to a journal what a full disk does, and
//! needs no disk.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use xenrt_core::report::Journal;
use xenrt_core::sequencer::PastRun;

use crate::kill::wait;
use crate::observed::{ends, every_test_ended_once};
use crate::program::Job;

/// The program with a journal that cannot grow beyond `kib`. The signal that a process gets for a
/// file that is too large is ignored, so that it gets an error as for a full disk.
fn limited(job: &Job, how: &str, kib: u32) -> Command {
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -S -f {kib}; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    command.args(job.arguments(how)).stdin(Stdio::null());
    command
}

pub(crate) fn full() {
    let folder = tempfile::tempdir().unwrap();
    let job = Job { folder: folder.path().to_owned(), tests: 400, workers: 1, micros: 0 };
    let output = limited(&job, "new", 128).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "no test minds: {said}");
    assert_eq!(said.matches("cannot be written").count(), 1, "{said}");
    let recorded = ends(&job.run_folder()).len();
    assert!((1..400).contains(&recorded), "{recorded} ends are on record");
    let past = PastRun::open(&job.run_folder()).unwrap();
    assert_eq!(past.finished, None);
    // Still no room: said, and no test minds.
    let output = limited(&job, "resume", 128).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Room again.
    let status = wait(&mut job.command("resume").spawn().unwrap());
    assert!(status.success(), "{status}");
    every_test_ended_once(&job);
}

pub(crate) fn room_again() {
    let folder = tempfile::tempdir().unwrap();
    let job = Job { folder: folder.path().to_owned(), tests: 400, workers: 1, micros: 3000 };
    let mut child = limited(&job, "new", 128).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = said.next().expect("it says that there is no room").unwrap();
    assert!(first.contains("cannot be written"), "{first}");
    let pid = child.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.unwrap().success());
    let status = wait(&mut child);
    let rest: Vec<_> = said.map(Result::unwrap).collect();
    assert!(status.success(), "{status}: {rest:?}");
    assert!(rest.iter().any(|line| line.contains("has caught up")), "{rest:?}");
    assert!(Journal::read(&job.run_folder().join(Journal::FILE)).unwrap().damage.is_none());
    every_test_ended_once(&job);
}
