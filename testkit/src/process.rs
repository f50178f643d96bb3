//! Processes of this machine, and waiting for what they do.

use std::process::Command as Program;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A number of seconds to sleep that no other test uses, so that its process can be found.
pub fn unique_sleep() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("sleep 7{:07}.{number:03}", std::process::id())
}

/// Whether a process runs whose whole command line is `line`.
pub fn runs(line: &str) -> bool {
    let found = Program::new("pgrep").args(["-xf", &line.replace('.', "\\.")]).output().unwrap();
    !found.stdout.is_empty()
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let _ = Program::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
}

/// Waits for something that no call of the shell waits for.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`until`], while the tasks of the test go on.
pub async fn until_async(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All processes of this machine with their parents.
pub(crate) fn processes() -> Vec<(u32, u32)> {
    let listed = Program::new("ps").args(["-eo", "pid=,ppid="]).output().unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        })
        .collect()
}
