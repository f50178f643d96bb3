//! What people and programs read of a run, live and replayed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use regex::Regex;
use xenrt_core::model::GuestSpec;
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_core::report::{Console, JUnit, Journal, Reporter, replay};
use xenrt_core::sequencer::{CancelHandle, Event, EventKind, ExitCode, RunOptions};
use xenrt_core::testcase::{TestDescriptor, TestError};

use crate::support::{FakeLab, Outline, args, blocker, host_step, run_plan, serial, test};

/// Where a console writes, for a look at it afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Without what differs from run to run.
fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (what, by) in [
        (r"\[ *[0-9.]+ (µs|ms|s)\]", "[       time]"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[uuid]"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]*Z", "[when]"),
        (r#"time="[0-9.]*""#, r#"time="[time]""#),
        (r#""seconds":[0-9.e-]+"#, r#""seconds":0"#),
        (r"at \S*\.rs:\d+:\d+", "at [place]"),
        (r"0\.\d{3} s\]", "[time]]"),
    ] {
        text = Regex::new(what).unwrap().replace_all(&text, by).into_owned();
    }
    text
}

fn tests() -> Vec<TestDescriptor> {
    let mut tests = vec![
        case!("net.pass", |cx| {
            cx.step("measure");
            cx.value("throughput", 940.5, "Mbit/s");
            cx.value("nothing", f64::NAN, "Mbit/s");
            cx.args().get::<u32>("loops")?;
            Ok(())
        }),
        case!("net.fail", |cx| {
            for step in 1..=7 {
                cx.step(format!("step {step}"));
            }
            cx.info("only in the journal");
            cx.default_host()?.dom0().run(&Command::new("false")).await?;
            Ok(())
        }),
        case!("net.error", prepare: |cx| {
            cx.warn("this may go wrong");
            Err(io::Error::other("disk <full> & \u{1b}[31mred\u{1b}[0m \u{7}").into())
        }, |_cx| { Ok(()) }),
        case!("net.skip", |_cx| { Err(TestError::skip("no PVH here")) }),
        case!("net.leak", |cx| {
            cx.default_host()?.define_guest(&GuestSpec::new("stray")).await?;
            Ok(())
        }),
        case!("net.panic", |_cx| { panic!("two\nlines") }),
    ];
    tests[0].tc = Some("TC-1");
    tests
}

async fn whole_run(change: impl FnOnce(&mut RunOptions)) -> Outline {
    let steps = vec![
        args(test("net.pass"), &[("loops", "3"), ("lops", "4")]),
        test("net.fail"),
        test("net.error"),
        test("net.skip"),
        serial([blocker(test("net.leak")), blocker(test("net.panic")), test("net.pass")]),
    ];
    let hosts = vec![host_step(0, Some("SUT"), &["shared"])];
    run_plan(tests(), hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(Arc::new(FakeLab::of(&["alpha"])));
        change(options);
    })
    .await
}

#[tokio::test]
async fn a_replayed_journal_gives_what_the_run_gave() {
    let shown = Shared::default();
    let live = tempfile::tempdir().unwrap();
    let live = live.path().join("reports/junit.xml");
    let outline = whole_run(|options| {
        options.reporters.push(Box::new(Console::to_writer(shown.clone(), false)));
        options.reporters.push(Box::new(JUnit::new(&live)));
    })
    .await;
    let xml = std::fs::read_to_string(&live).unwrap();

    let journal = outline.folder.path().join(Journal::FILE);
    let content = Journal::read(&journal).unwrap();
    assert_eq!(content.events, outline.events);
    assert_eq!(content.damage, None);
    let shown_again = Shared::default();
    replay(&content.events, &mut Console::to_writer(shown_again.clone(), false)).unwrap();
    assert_eq!(shown_again.text(), shown.text());
    let again = outline.folder.path().join("again.xml");
    replay(&content.events, &mut JUnit::new(&again)).unwrap();
    assert_eq!(std::fs::read_to_string(&again).unwrap(), xml);

    insta::assert_snapshot!("console", redacted(&shown.text()));
    insta::assert_snapshot!("junit", redacted(&xml));
    let lines = std::fs::read_to_string(&journal).unwrap();
    insta::assert_snapshot!("journal", redacted(&lines));
}

#[tokio::test]
async fn a_console_has_colours_only_where_it_is_told_so() {
    let outline = whole_run(|_| ()).await;
    for colour in [false, true] {
        let shown = Shared::default();
        let mut console = Console::to_writer(shown.clone(), colour).run_folder("results");
        replay(&outline.events, &mut console).unwrap();
        assert_eq!(shown.text().contains('\u{1b}'), colour);
        assert!(shown.text().contains("results/tests/001-fail"), "{}", shown.text());
        assert!(shown.text().contains("results/journal.jsonl"));
    }
}

#[tokio::test]
async fn the_journal_of_a_killed_run_is_read_up_to_where_it_breaks_off() {
    let outline = whole_run(|_| ()).await;
    let journal = outline.folder.path().join(Journal::FILE);
    let bytes = std::fs::read(&journal).unwrap();
    for cut in [bytes.len() - 1, bytes.len() - 20, bytes.len() / 2, 3, 0] {
        std::fs::write(&journal, &bytes[..cut]).unwrap();
        let content = Journal::read(&journal).unwrap();
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(content.events, outline.events[..whole], "cut at {cut}");
        let at_end_of_line = cut == 0 || bytes[cut - 1] == b'\n';
        let torn = content.damage.as_ref().is_some_and(|damage| damage.torn);
        assert_eq!(torn, !at_end_of_line, "cut at {cut}");
        let mut junit = JUnit::new(outline.folder.path().join("killed.xml"));
        replay(&content.events, &mut junit).unwrap();
        junit.write().unwrap();
    }
    let mut lines = String::from_utf8(bytes).unwrap();
    lines.insert_str(0, "{\"number\":0}\n");
    std::fs::write(&journal, lines).unwrap();
    let content = Journal::read(&journal).unwrap();
    let damage = content.damage.unwrap().to_string();
    assert!(content.events.is_empty() && damage.contains("line 1"), "{damage}");
}

#[tokio::test]
async fn tests_of_a_killed_run_are_errors_in_junit() {
    let outline = whole_run(|_| ()).await;
    let started = |event: &Event| {
        event.test.is_some_and(|test| test.0 == 1)
            && matches!(event.what, EventKind::TestStarted { .. })
    };
    let until = outline.events.iter().position(started).unwrap();
    let mut junit = JUnit::new(outline.folder.path().join("killed.xml"));
    replay(&outline.events[..=until], &mut junit).unwrap();
    let xml = junit.to_xml().unwrap();
    assert!(xml.contains("the run ended before the test did"));
    assert_eq!(xml.matches("the run ended before the test began").count() / 2, 5);
}

/// Fails at its `.0`th event, by an error or a panic.
struct Faulty(usize, bool);

impl Reporter for Faulty {
    fn name(&self) -> String {
        "the faulty one".into()
    }
    fn event(&mut self, _: &Event) -> io::Result<()> {
        self.0 -= 1;
        match (self.0, self.1) {
            (0, true) => panic!("a bug in a reporter"),
            (0, false) => Err(io::Error::other("the disk is full")),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_reporter_that_fails_is_left_out_and_no_test_minds() {
    let tests = || vec![case!("t.pass", |_cx| { Ok(()) })];
    let run = |panics| {
        let steps = vec![test("t.pass"), test("t.pass")];
        run_plan(tests(), vec![], steps, CancelHandle::new(), move |options| {
            // In front of the others, so that they hear of it.
            options.reporters.insert(0, Box::new(Faulty(3, panics)));
        })
    };
    for (panics, why) in [(false, "the disk is full"), (true, "it panicked")] {
        let outline = run(panics).await;
        assert_eq!(outline.report.exit_code, ExitCode::AllPassed);
        let said = format!("the faulty one failed and is left out from here on: {why}");
        assert_eq!(outline.report.reporter_failures, [said.as_str()]);
        let warnings = outline.shown(|what| match what {
            EventKind::Log { text, .. } => Some(text.clone()),
            _ => None,
        });
        assert_eq!(warnings, [said]);
        let numbers: Vec<u64> = outline.events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (0..outline.events.len() as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_made_is_said_and_no_test_minds() {
    let tests = vec![case!("t.pass", |_cx| { Ok(()) })];
    let outline = run_plan(tests, vec![], vec![test("t.pass")], CancelHandle::new(), |options| {
        options.run_folder = "/dev/null/results".into();
    })
    .await;
    assert_eq!(outline.report.exit_code, ExitCode::AllPassed);
    assert_eq!(outline.report.journal, None);
    assert!(outline.report.reporter_failures[0].contains("cannot make the journal"));
}
