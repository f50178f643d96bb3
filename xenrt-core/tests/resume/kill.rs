//! `kill -9` at random moments.

use std::collections::BTreeSet;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::observed::{ends, every_test_ended_once, nothing_is_left_behind, random, visits};
use crate::program::Job;

const KILLS: usize = 50;
/// A child that ends neither by itself nor by SIGKILL is a bug worth a failure.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn at_random_moments() {
    let mut random = random();
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let folder = tempfile::tempdir().unwrap();
        // Slow tests are killed in their midst, fast ones between their end and what follows.
        let (tests, micros) = [(400, 500), (4000, 0)][runs % 2];
        let workers = [1, 1, 3, 3][runs % 4];
        let job = Job { folder: folder.path().to_owned(), tests, workers, micros };
        runs += 1;
        kills += until_the_end(&job, (KILLS - kills).min(KILLS / 4), &mut random);
        every_test_ended_once(&job);
        nothing_is_left_behind(&job);
    }
    eprintln!("{kills} kills in {runs} runs");
}

/// What was on record, and what had been visited, when a process died.
struct Death {
    ended: BTreeSet<String>,
    visits: usize,
}

/// Starts the run, kills it at most `most` times, and lets it come to its end. How often it was
/// killed.
fn until_the_end(job: &Job, most: usize, random: &mut impl rand::Rng) -> usize {
    let mut deaths: Vec<Death> = Vec::new();
    loop {
        // A run whose first event was not written yet cannot be told from none.
        let how = if ends_or_began(job) { "resume" } else { "new" };
        let mut child = job.command(how).stderr(Stdio::piped()).spawn().unwrap();
        let status = if deaths.len() < most {
            // Now and then while it starts, mostly in the midst of tests.
            if random.random_bool(0.8) {
                until_it_is_at_work(job, &mut child);
            }
            std::thread::sleep(Duration::from_micros(random.random_range(0..40_000)));
            child.kill().unwrap();
            wait(&mut child)
        } else {
            wait(&mut child)
        };
        if let Some(code) = status.code() {
            let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
            assert!(code == 0 || code == 100, "{how}: exit code {code}: {said}");
            break;
        }
        let death = Death {
            ended: ends(&job.run_folder()).into_keys().collect(),
            visits: visits(job).len(),
        };
        check_record(job, &deaths, &death);
        deaths.push(death);
    }
    check_no_visit_after_the_end(job, &deaths);
    deaths.len()
}

/// Waits until it visits a test, or ends.
fn until_it_is_at_work(job: &Job, child: &mut Child) {
    let size = || std::fs::metadata(job.visits()).map_or(0, |visits| visits.len());
    let before = size();
    let started = Instant::now();
    while size() == before && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < DEADLINE, "the run does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ends_or_began(job: &Job) -> bool {
    xenrt_core::sequencer::PastRun::open(&job.run_folder()).is_ok()
}

/// Of the tests that came to their end since the process before died, only as many may lack a
/// recorded end as were at work when it was killed.
fn check_record(job: &Job, earlier: &[Death], death: &Death) {
    let since = earlier.last().map_or(0, |death| death.visits);
    let visits = visits(job);
    let left = visits[since..].iter().filter(|(what, _)| what == "leave");
    let lost: Vec<_> = left.filter(|(_, name)| !death.ended.contains(name)).collect();
    assert!(
        lost.len() <= job.workers,
        "{} tests ended, something followed, and their end is not on record: {lost:?}",
        lost.len()
    );
}

/// No test whose end was on record when a process died was entered again after that.
fn check_no_visit_after_the_end(job: &Job, deaths: &[Death]) {
    let visits = visits(job);
    for (number, death) in deaths.iter().enumerate() {
        let entered = visits[death.visits..].iter().filter(|(what, _)| what == "enter");
        let again: Vec<_> = entered.filter(|(_, name)| death.ended.contains(name)).collect();
        assert!(again.is_empty(), "entered again after kill {number}: {again:?}");
    }
}

pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the program did not end within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let job =
        Job { folder: folder.path().to_owned(), tests: 100_000, workers: 1, micros: 1_000_000 };
    let mut child = job.command("new").spawn().unwrap();
    let started = Instant::now();
    while visits(&job).is_empty() {
        assert!(started.elapsed() < DEADLINE, "the run does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = job.command("resume").output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(101), "{said}");
    assert!(said.contains(&format!("process {} is at work in it", child.id())), "{said}");
    // A dead process holds no lock.
    let mut third = job.command("resume").spawn().unwrap();
    let started = Instant::now();
    let before = visits(&job).len();
    while visits(&job).len() == before {
        assert!(started.elapsed() < DEADLINE, "the run does not go on");
        std::thread::sleep(Duration::from_millis(2));
    }
    third.kill().unwrap();
    third.wait().unwrap();
}
