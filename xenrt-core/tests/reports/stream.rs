//! Streams of events as a run tells them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use xenrt_core::Blame;
use xenrt_core::remote::{CommandRecord, ExitStatus};
use xenrt_core::report::Reporter;
use xenrt_core::seconds::Seconds;
use xenrt_core::sequencer::{Event, EventKind, Level, PlannedTest, RunId, Summary, TestIndex};
use xenrt_core::testcase::{Marks, Outcome, Phase};

/// What would run in a browser if anything that a test says were taken for HTML or script.
pub(crate) const ATTACK: &str = "</script><script>document.documentElement.dataset.hacked=1</script>\
     <img src=x onerror=\"document.documentElement.dataset.hacked=2\"> <!-- \u{2028} {{7*7}} ${1}";

/// Makes events in their order and gives each to `tell`.
pub(crate) struct Stream<T> {
    tell: T,
    number: u64,
    micros: i64,
    summary: Summary,
}

pub(crate) fn planned(id: &str, name: &str) -> PlannedTest {
    let group = id.rsplit_once('.').map_or("", |(group, _)| group);
    PlannedTest {
        id: id.to_owned(),
        name: name.to_owned(),
        group: group.to_owned(),
        tc: None,
        line: 7,
        arguments: Vec::new(),
        tags: Vec::new(),
        priority: None,
        ttype: None,
        sku: None,
    }
}

pub(crate) fn seconds(seconds: f64) -> Seconds {
    Seconds(std::time::Duration::from_secs_f64(seconds))
}

impl<T: FnMut(&Event)> Stream<T> {
    pub(crate) fn begin(tests: Vec<PlannedTest>, tell: T) -> Self {
        let mut stream = Self { tell, number: 0, micros: 0, summary: Summary::default() };
        let run = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
        stream.say(
            None,
            EventKind::RunStarted {
                run: RunId(run),
                version: "0.1.0".into(),
                sequence: "sequences/nightly.seq".into(),
                lab: "two hosts of rack 1".into(),
                tests: tests.into_iter().map(Arc::new).collect(),
                origin: Box::default(),
            },
        );
        stream
    }

    pub(crate) fn say(&mut self, test: Option<u32>, what: EventKind) {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let at = start + SignedDuration::from_micros(self.micros);
        let event = Event { number: self.number, at, test: test.map(TestIndex), what };
        self.number += 1;
        (self.tell)(&event);
    }

    pub(crate) fn at(&mut self, seconds: f64) {
        self.micros = (seconds * 1e6) as i64;
    }

    pub(crate) fn start(&mut self, test: u32, lane: u32, hosts: &[&str]) {
        self.attempt(test, 1, lane, hosts);
    }

    pub(crate) fn attempt(&mut self, test: u32, attempt: u32, lane: u32, hosts: &[&str]) {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        self.say(Some(test), EventKind::TestStarted { attempt, round: 1, lane, hosts });
    }

    pub(crate) fn finish(&mut self, test: u32, outcome: Outcome, marks: Marks, took: f64) {
        self.summary.count(&outcome, &marks);
        let seconds = seconds(took);
        self.say(Some(test), EventKind::TestFinished { outcome, marks, seconds });
    }

    pub(crate) fn end(mut self, exit_code: u8) {
        let seconds = seconds(self.micros as f64 / 1e6);
        let summary = self.summary;
        self.say(None, EventKind::RunFinished { summary, exit_code, seconds });
    }
}

pub(crate) fn command(line: &str, code: i32, stdout: &str, stderr: &str) -> EventKind {
    EventKind::Command(CommandRecord {
        target: "alpha".into(),
        command: line.into(),
        status: Some(ExitStatus::Code(code)),
        error: None,
        stdout: stdout.into(),
        stderr: stderr.into(),
        seconds: seconds(0.012),
    })
}

fn step(text: &str) -> EventKind {
    EventKind::Step { text: text.into() }
}

fn failed(phase: Phase, message: &str) -> Outcome {
    Outcome::Failed { phase, message: message.into() }
}

/// A run of an hour on two hosts in which everything happens that reports show.
pub(crate) fn everything(tell: impl FnMut(&Event)) {
    let mut tests = vec![
        planned("network.hfx745", "hfx745"),
        planned("network.throughput", "throughput"),
        planned("lifecycle.reboots", "reboots"),
        planned("lifecycle.suspend", "suspend"),
        planned("storage.resize", "resize of a thin volume while the guest writes"),
        planned("storage.attack", ATTACK),
        planned("network.flaky", "flaky"),
        planned("lifecycle.soak", "soak"),
        planned("network.pvh", "pvh"),
        planned("storage.after", "after"),
    ];
    tests[0].tc = Some("TC-19178".into());
    tests[0].arguments = vec!["loops=3".into(), "guest".into()];
    let mut run = Stream::begin(tests, tell);
    run.say(None, EventKind::PrepareStarted { step: "hosts".into() });
    run.at(95.0);
    run.say(
        None,
        EventKind::PrepareFinished { step: "hosts".into(), seconds: seconds(95.0), error: None },
    );
    run.say(None, EventKind::PrepareStarted { step: "guest tiny".into() });
    run.say(None, command("xl create /var/lib/xenrt/guests/tiny/guest.cfg", 0, "", ""));
    run.at(140.0);
    run.say(
        None,
        EventKind::PrepareFinished {
            step: "guest tiny".into(),
            seconds: seconds(45.0),
            error: None,
        },
    );
    let warning = |text: &str| EventKind::Log { level: Level::Warning, text: text.into() };
    run.say(None, warning("host beta answers slowly: 1.2 s for `true`"));

    run.start(0, 0, &["alpha"]);
    run.start(1, 1, &["beta"]);
    run.say(Some(0), step("Set the guest MTU to 100"));
    run.at(150.0);
    run.say(Some(0), EventKind::PhaseStarted { phase: Phase::Run });
    run.say(Some(0), step("Send 70000 bytes from the guest"));
    run.say(Some(0), command("ping -c 3 -s 65507 10.0.0.1", 0, "3 packets received", ""));
    run.at(190.0);
    run.say(Some(0), EventKind::PhaseStarted { phase: Phase::Check });
    run.say(
        Some(0),
        EventKind::Value { name: "dropped".into(), value: 3.0, unit: "packets".into() },
    );
    run.at(196.0);
    run.finish(0, Outcome::Passed, Marks::default(), 56.0);

    run.say(Some(1), EventKind::PhaseStarted { phase: Phase::Run });
    for round in 0..40 {
        run.at(200.0 + 4.0 * f64::from(round));
        let value =
            940.0 + 12.0 * (f64::from(round) * 0.7).sin() - if round == 29 { 90.0 } else { 0.0 };
        run.say(
            Some(1),
            EventKind::Value { name: "throughput".into(), value, unit: "Mbit/s".into() },
        );
    }
    run.finish(1, Outcome::Passed, Marks::default(), 216.0);

    run.start(2, 0, &["alpha"]);
    run.at(365.0);
    run.say(Some(2), EventKind::PhaseStarted { phase: Phase::Run });
    for round in 1..=7 {
        run.say(Some(2), step(&format!("Reboot {round}")));
        run.at(365.0 + 30.0 * f64::from(round));
        run.say(Some(2), command("xl reboot tiny", 0, "", ""));
    }
    run.say(
        Some(2),
        EventKind::Finding {
            source: "guest tiny console".into(),
            pattern: "kernel panic".into(),
            excerpt: "[   12.345678] Kernel panic - not syncing: VFS: Unable to mount root fs on \
                      unknown-block(202,1)\n[   12.345690] CPU: 0 PID: 1 Comm: swapper/0"
                .into(),
        },
    );
    run.say(
        Some(2),
        command("xl list tiny", 1, "", "tiny is an invalid domain identifier (rc=-6)"),
    );
    run.at(590.0);
    run.say(Some(2), EventKind::PhaseStarted { phase: Phase::Evidence });
    for file in [
        "commands.log",
        "alpha/xl-dmesg.txt",
        "alpha/dmesg.txt",
        "tiny-console.txt",
        "state #1 50%.txt",
    ] {
        run.say(Some(2), EventKind::Evidence { file: format!("tests/002-reboots/{file}") });
    }
    run.at(612.0);
    run.say(Some(2), EventKind::PhaseStarted { phase: Phase::Undo });
    run.at(620.0);
    run.finish(
        2,
        failed(
            Phase::Run,
            "guest \"tiny\" stopped while it was being rebooted: it is Crashed\nthe end of its \
             console:\n  [   12.345678] Kernel panic - not syncing: VFS: Unable to mount root fs",
        ),
        Marks { flaky: false, leaked: vec!["domain tiny on alpha".into()] },
        255.0,
    );

    run.start(3, 1, &["beta"]);
    run.at(700.0);
    run.say(Some(3), warning("the test did not read its argument lops; did you mean loops?"));
    run.finish(
        3,
        Outcome::Errored {
            phase: Phase::Prepare,
            blame: Blame::Infrastructure,
            message: "cannot reach host beta: connection refused".into(),
        },
        Marks::default(),
        80.0,
    );
    run.start(4, 0, &["alpha", "beta"]);
    run.at(1500.0);
    run.finish(4, Outcome::Passed, Marks::default(), 800.0);

    run.start(5, 0, &[ATTACK]);
    run.say(Some(5), step(ATTACK));
    run.say(Some(5), warning(ATTACK));
    run.say(Some(5), command(ATTACK, 1, ATTACK, ATTACK));
    run.say(Some(5), EventKind::Value { name: ATTACK.into(), value: 1.0, unit: ATTACK.into() });
    run.say(
        Some(5),
        EventKind::Finding {
            source: ATTACK.into(),
            pattern: ATTACK.into(),
            excerpt: ATTACK.into(),
        },
    );
    run.say(Some(5), EventKind::Evidence { file: format!("javascript:alert(1)//{ATTACK}") });
    run.at(1530.0);
    run.finish(5, failed(Phase::Run, ATTACK), Marks::default(), 30.0);

    for attempt in 1..=3 {
        run.attempt(6, attempt, 1, &["beta"]);
        run.at(1530.0 + 60.0 * f64::from(attempt));
        let value = 10.0 * f64::from(attempt);
        run.say(Some(6), EventKind::Value { name: "latency".into(), value, unit: "ms".into() });
        let (outcome, seconds) = (failed(Phase::Run, "no answer within 5 s"), seconds(60.0));
        if attempt < 3 {
            let what = EventKind::AttemptFinished { attempt, round: 1, outcome, seconds };
            run.say(Some(6), what);
        }
    }
    run.finish(6, Outcome::Passed, Marks { flaky: true, leaked: Vec::new() }, 180.0);

    run.start(7, 0, &["alpha"]);
    for round in 1..=24u32 {
        if round > 1 {
            let (attempt, lane, hosts) = (1, 0, vec!["alpha".to_owned()]);
            run.say(Some(7), EventKind::TestStarted { attempt, round, lane, hosts });
        }
        run.at(1710.0 + 70.0 * f64::from(round));
        let value = 412.0 + 3.5 * f64::from(round);
        run.say(
            Some(7),
            EventKind::Value { name: "memory of xenstored".into(), value, unit: "KiB".into() },
        );
        let what = EventKind::AttemptFinished {
            attempt: 1,
            round,
            outcome: Outcome::Passed,
            seconds: seconds(70.0),
        };
        run.say(Some(7), what);
    }
    run.finish(7, Outcome::Passed, Marks::default(), 1680.0);
    run.finish(
        8,
        Outcome::Skipped { reason: "host alpha: xl has no PVH here".into() },
        Marks::default(),
        0.0,
    );
    run.finish(9, Outcome::Blocked { by: "storage.attack failed".into() }, Marks::default(), 0.0);
    run.end(1);
}

/// A run of `count` tests that do nothing, in four lanes, one in a thousand of which fails.
pub(crate) fn many(count: u32, tell: impl FnMut(&Event)) {
    let tests = (0..count).map(|n| planned(&format!("noop.group{}", n % 7), &format!("noop({n})")));
    let mut run = Stream::begin(tests.collect(), tell);
    for test in 0..count {
        run.at(f64::from(test) * 0.000_12);
        run.start(test, test % 4, &[]);
        run.at(f64::from(test) * 0.000_12 + 0.000_4);
        let outcome = if test % 1000 == 500 {
            failed(Phase::Run, &format!("lost packet {}", test % 3))
        } else {
            Outcome::Passed
        };
        run.finish(test, outcome, Marks::default(), 0.000_4);
    }
    run.end(1);
}

/// Tells a stream to a reporter, to its end.
pub(crate) fn report(reporter: &mut dyn Reporter, make: impl FnOnce(&mut dyn FnMut(&Event))) {
    make(&mut |event| reporter.event(event).unwrap());
    reporter.flush().unwrap();
    reporter.end().unwrap();
}
