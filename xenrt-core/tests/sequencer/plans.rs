//! Sequences into plans.

use xenrt_core::sequence::{LoadedFile, Loader, Node, Place, ReadOptions};
use xenrt_core::sequencer::{CancelHandle, ExitCode, Plan, Selection};
use xenrt_core::testcase::{Registry, TestDescriptor};

use crate::support::{args, blocker, host_step, parallel, run_plan, sequence, serial, test};

fn tests() -> Vec<TestDescriptor> {
    let mut tests = vec![
        case!("net.ping", |_cx| { Ok(()) }),
        case!("net.flood", |_cx| { Ok(()) }),
        case!("disk.fill", |_cx| { Ok(()) }),
    ];
    tests[1].tags = &["slow"];
    tests[2].tc = Some("TC-77");
    tests
}

fn steps() -> Vec<Node> {
    vec![
        blocker(test("net.ping")),
        parallel(Some(2), [args(test("net.flood"), &[("loops", "3")]), test("net.ping")]),
        serial([test("disk.fill")]),
    ]
}

fn plan() -> Plan {
    let hosts = vec![host_step(0, Some("SUT"), &["shared"]), host_step(1, None, &[])];
    Plan::new(&sequence(hosts, steps()), &Registry::of(tests()).unwrap()).unwrap()
}

#[test]
fn a_plan_is_shown_as_a_tree() {
    insta::assert_snapshot!(plan());
}

#[test]
fn every_unknown_test_is_told_with_its_place_and_the_nearest_name() {
    let mut unknown = vec![test("net.pong"), test("net.ping"), test("zzzzzzz")];
    for (line, node) in (10..).zip(&mut unknown) {
        let Node::Test(test) = node else { continue };
        test.id_place = Place { offset: 0, length: 1, line, column: 5 };
    }
    let registry = Registry::of(tests()).unwrap();
    let error = Plan::new(&sequence(vec![], vec![serial(unknown)]), &registry).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    insta::assert_snapshot!(error);
}

#[test]
fn an_unknown_test_is_shown_in_its_line_with_the_nearest_name() {
    let text =
        "<xenrt>\n  <testsequence>\n    <testcase id=\"net.pong\"/>\n  </testsequence>\n</xenrt>\n";
    let sequence = xenrt_core::sequence::parse(text, "pings.seq").unwrap();
    let error = Plan::new(&sequence, &Registry::of(tests()).unwrap()).unwrap_err();
    insta::assert_snapshot!("in_a_line", error);
    let shown = |text: &str| {
        let theme = miette::GraphicalTheme::unicode_nocolor();
        let mut shown = String::new();
        miette::GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .render_report(&mut shown, &error.clone().into_report(text))
            .unwrap();
        shown
    };
    insta::assert_snapshot!(shown(text));
    // Of a text that is another one by now, no line is shown.
    insta::assert_snapshot!(shown("<xenrt/>"));
}

fn selected(run: &[&str], skip: &[&str]) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let selection = Selection { run: words(run), skip: words(skip), ..Selection::default() };
    plan().select(&selection).tests().map(|test| test.label()).collect()
}

#[test]
fn a_selection_goes_by_id_name_group_number_and_tag() {
    assert_eq!(selected(&[], &[]).len(), 4);
    assert_eq!(selected(&["net"], &[]), ["net.ping", "net.flood", "net/ping(1)"]);
    assert_eq!(selected(&["net/ping"], &[]), ["net.ping", "net/ping(1)"]);
    assert_eq!(selected(&["PING(1)"], &[]), ["net/ping(1)"]);
    assert_eq!(selected(&["slow"], &[]), ["net.flood"]);
    assert_eq!(selected(&["tc-77"], &[]), ["disk.fill"]);
    assert_eq!(selected(&["net"], &["ping"]), ["net.flood"]);
    assert_eq!(selected(&["nothing"], &[]), [""; 0]);
}

#[tokio::test]
async fn a_dry_run_touches_nothing_and_an_empty_selection_runs_nothing() {
    let outline = run_plan(tests(), vec![], steps(), CancelHandle::new(), |options| {
        options.dry_run = true;
    })
    .await;
    assert!(outline.events.is_empty());
    assert_eq!(std::fs::read_dir(outline.folder.path()).unwrap().count(), 0);
    let outline = run_plan(tests(), vec![], steps(), CancelHandle::new(), |options| {
        options.selection.run.push("nothing".into());
    })
    .await;
    assert_eq!(outline.report.exit_code, ExitCode::NothingRan);
}

/// One file in memory.
#[derive(Debug)]
struct OneFile(&'static str);

impl Loader for OneFile {
    fn load(&self, name: &str, _: usize) -> std::io::Result<LoadedFile> {
        Ok(LoadedFile { name: name.to_owned(), bytes: self.0.into() })
    }
}

#[test]
fn an_unknown_test_of_an_included_file_is_told_there() {
    let lib = "<xenrt>\n  <collection name='c'>\n    <testcase id='net.pong'/>\n  </collection>\n</xenrt>\n";
    let text = "<xenrt>\n  <include filename='lib.seq'/>\n  <testsequence>\n    <testcase id='net.pin'/>\n    <include collection='c'/>\n  </testsequence>\n</xenrt>\n";
    let sequence = ReadOptions::new().loader(OneFile(lib)).parse(text, "main.seq").unwrap();
    let error = Plan::new(&sequence, &Registry::of(tests()).unwrap()).unwrap_err();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let mut shown = format!("{error}\n\n");
    miette::GraphicalReportHandler::new_themed(theme)
        .render_report(&mut shown, &error.clone().into_report(text))
        .unwrap();
    insta::assert_snapshot!(shown);
}
