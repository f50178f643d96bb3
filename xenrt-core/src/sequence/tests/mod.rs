//! Tests of the whole way from a text to a sequence, and of what is said about bad ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

use super::syntax::{boundary_after, boundary_before};
use super::*;
use crate::model::Memory;

mod schema;

const WHOLE: &str = r#"<?xml version="1.0"?>
<xenrt>
  <!-- everything that is carried out -->
  <variables>
    <PRODUCT_VERSION>Tampa</PRODUCT_VERSION>
    <MEMORY>512</MEMORY>
    <PATCHES>
      <HF1>one &amp; ${PRODUCT_VERSION}</HF1>
    </PATCHES>
  </variables>
  <prepare>
    <host/>
    <host id="1" alias="target">
      <vm name="tiny">
        <distro>debian</distro>
        <vcpus>2</vcpus>
        <memory>${MEMORY}</memory>
        <network device="0"/>
        <network device="1" bridge="xenbr1"/>
        <disk device="3" size="16"/>
        <disk device="1" size="8" number="2"/>
      </vm>
      <vm name="plain"/>
    </host>
  </prepare>
  <testsequence group="Outer" host="RESOURCE_HOST_0">
    <testcase id="testcases.xenserver.tc.network.TCHfx745" tc="TC-19178"/>
    <parallel workers="2" guest="tiny">
      <serial group="Inner" blocker="yes">
        <testcase id="a.b" name="again" host="target" blocker="t">
          <arg>loops=5</arg>
          <arg> http://x/?a=b </arg>
          <arg>guest=%PATCHES:HF1%</arg>
        </testcase>
      </serial>
    </parallel>
  </testsequence>
</xenrt>
"#;

#[test]
fn a_whole_file_is_read() {
    let sequence = parse(WHOLE, "whole.seq").unwrap();
    assert_eq!(sequence.warnings, []);
    assert_eq!(sequence.variables["PATCHES/HF1"], "one & Tampa");
    let [first, second] = &sequence.prepare.hosts[..] else { panic!("{sequence:?}") };
    assert_eq!((first.name().as_str(), &first.alias), ("RESOURCE_HOST_0", &None));
    assert_eq!(second.alias.as_deref(), Some("target"));
    let [tiny, plain] = &second.guests[..] else { panic!("{second:?}") };
    assert_eq!((tiny.vcpus, tiny.memory), (Some(2), Some(Memory::mib(512))));
    assert_eq!(tiny.vifs[1].network.as_deref(), Some("xenbr1"));
    let sizes: Vec<_> = tiny.disks.iter().map(|disk| disk.size).collect();
    assert_eq!(sizes, [Memory::gib(8), Memory::gib(8), Memory::gib(16)]);
    assert_eq!((plain.distro.as_str(), plain.vcpus), ("generic-linux", None));

    let tests = sequence.tests.unwrap();
    let [Node::Test(hfx745), Node::Block(parallel)] = &tests.steps[..] else { panic!("{tests:?}") };
    assert_eq!(hfx745.tc.as_deref(), Some("TC-19178"));
    assert_eq!(hfx745.group.as_deref(), Some("Outer"));
    let at = hfx745.id_place;
    assert_eq!(&WHOLE[at.offset..at.offset + at.length], &*hfx745.id);
    assert_eq!((at.line, at.column), (27, 19));
    assert_eq!(parallel.kind, BlockKind::Parallel { workers: Some(2) });
    let Node::Block(serial) = &parallel.steps[0] else { panic!("{parallel:?}") };
    let Node::Test(again) = &serial.steps[0] else { panic!("{serial:?}") };
    assert!(serial.blocker && again.blocker == Some(true) && !parallel.blocker);
    assert_eq!(again.group.as_deref(), Some("Inner"));
    assert_eq!(again.host, Some(HostChoice::Named("target".into())));
    assert_eq!(again.guest.as_deref(), Some("tiny"));
    let arguments: Vec<_> =
        again.arguments.iter().map(|a| (a.name.as_deref(), a.value.as_str())).collect();
    let expected = [(Some("loops"), "5"), (None, "http://x/?a=b"), (Some("guest"), "one & Tampa")];
    assert_eq!(arguments, expected);
}

#[test]
fn what_is_given_from_outside_wins() {
    let given = BTreeMap::from([("MEMORY".into(), "1024".into())]);
    let sequence = parse_with(WHOLE, "whole.seq", &given).unwrap();
    assert_eq!(sequence.prepare.hosts[1].guests[0].memory, Some(Memory::gib(1)));
    assert_eq!(sequence.variables["MEMORY"], "1024");
}

#[test]
fn what_is_read_otherwise_or_changes_nothing_is_told() {
    let text = r#"<xenrt>
      <variables><A>1</A><A>2</A><PREPARE_WORKER>4</PREPARE_WORKER></variables>
      <default name="D" value="1"/><default name="D" value="2"/>
      <collection name="c"><testcase id="a"/></collection>
      <prepare>
        <host id="0" license="free">
          <storage type="nfs" name="s" default="yes"/>
          <bridge name="b" type="x"/>
          <vm name="g"><postinstall action="cpucorespersocketset(4)#"/></vm>
          <NETWORK><PHYSICAL/></NETWORK>
        </host>
      </prepare>
      <testsequence blocker="0">
        <for iter="I" values="1,2"><testcase id="a" blocker="1"/></for>
        <include collection="c"><param name="P" value=""/></include>
      </testsequence>
    </xenrt>"#;
    let sequence = parse(text, "odd.seq").unwrap();
    let warnings: Vec<String> = sequence.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"));
}

/// A file for each thing that can be wrong.
const WRONG: &[(&str, &str)] = &[
    ("empty", ""),
    ("text_alone", "  hello\n"),
    ("never_closed", "<xenrt>\n <testsequence>\n  <serial>\n"),
    ("closed_by_another", "<xenrt>\n <testsequence>\n </serial>\n</xenrt>"),
    ("half_a_tag", "<xenrt>\n <testsequence group=\"a"),
    ("without_quotes", "<xenrt>\n <testsequence group=a/>\n</xenrt>"),
    ("attribute_twice", "<xenrt>\n <testsequence group=\"a\" group=\"b\"/>\n</xenrt>"),
    ("bad_reference", "<xenrt>\n <testsequence group=\"a & b\"/>\n</xenrt>"),
    (
        "unknown_reference",
        "<xenrt>\n <testsequence><testcase id=\"a\"><arg>x=&nbsp;</arg></testcase></testsequence>\n</xenrt>",
    ),
    ("document_type", "<!DOCTYPE xenrt>\n<xenrt/>"),
    ("two_roots", "<xenrt/>\n<xenrt/>"),
    ("another_root", "<suite/>"),
    (
        "unknown_element",
        "<xenrt>\n <testsequence>\n  <serail group=\"a\"/>\n </testsequence>\n</xenrt>",
    ),
    (
        "unknown_attribute",
        "<xenrt>\n <testsequence>\n  <serial grup=\"a\"/>\n </testsequence>\n</xenrt>",
    ),
    ("misplaced", "<xenrt>\n <testcase id=\"a\"/>\n <prepare><vm name=\"a\"/></prepare>\n</xenrt>"),
    (
        "yaml",
        "<xenrt>\n <prepare>\n  { \"hots\": [], \"hosts\": [{\"vms\": [{\"nme\": \"a\"}]}] }\n </prepare>\n</xenrt>",
    ),
    ("not_yaml", "<xenrt>\n <prepare>\n  { \"hosts\": [ \n </prepare>\n</xenrt>"),
    ("include", "<xenrt>\n <include filename=\"other.seq\"/>\n</xenrt>"),
    (
        "collections",
        "<xenrt>\n <collection name=\"c\"><include collection=\"d\"/></collection>\n <collection name=\"d\"><include collection=\"c\"/></collection>\n <testsequence><include collection=\"c\"/><include collection=\"e\"/></testsequence>\n</xenrt>",
    ),
    (
        "loops",
        "<xenrt>\n <testsequence><for iter=\"A,B\" values=\"(1,2,3),(4)\"><testcase id=\"a\"/></for><for iter=\"A\" values=\"1\" limit=\"many\"/></testsequence>\n</xenrt>",
    ),
    (
        "modern",
        "<xenrt>\n <testsequence timeout=\"90\"><testcase id=\"a\" retries=\"-1\" requires=\"pv,hvn\" claim=\"mine\" repeat=\"0\" duration=\"soon\" depends=\"g:b\"/><action action=\"sleep\"/></testsequence>\n</xenrt>",
    ),
    (
        "machines",
        "<xenrt>\n <prepare>\n  <pool master=\"M\"><host id=\"0\" alias=\"N\" productType=\"xenservr\" noipv4=\"yes\"/><storage type=\"nsf\" name=\"s\"/><NETWORK controller=\"c\"><PHYSICAL speed=\"fast\" bond-mode=\"all\"><NIC/></PHYSICAL></NETWORK></pool>\n  <host id=\"1\"><vm name=\"a\"><postinstall action=\"os.system('x')+1\"/><network device=\"0\" ip=\"1.2.3.4\"/><script name=\"s\"/><arch>arm</arch></vm></host>\n  <cloud>{ \"zones\": </cloud>\n </prepare>\n</xenrt>",
    ),
    (
        "missing",
        "<xenrt>\n <prepare><host><vm><network/><disk device=\"0\"/></vm></host></prepare>\n <testsequence><testcase/></testsequence>\n</xenrt>",
    ),
    (
        "numbers",
        "<xenrt>\n <prepare><host id=\"first\"><vm name=\"a\"><vcpus>0</vcpus><memory>512 MiB</memory></vm></host></prepare>\n <testsequence><parallel workers=\"many\"/></testsequence>\n</xenrt>",
    ),
    ("truth", "<xenrt>\n <testsequence blocker=\"maybe\"/>\n</xenrt>"),
    (
        "empty_values",
        "<xenrt>\n <testsequence group=\"\"><testcase id=\"a\"><arg/></testcase></testsequence>\n</xenrt>",
    ),
    ("bad_guest_name", "<xenrt>\n <prepare><host><vm name=\"a/b\"/></host></prepare>\n</xenrt>"),
    (
        "duplicates",
        "<xenrt>\n <prepare>\n  <host><vm name=\"a\"><vcpus>1</vcpus><vcpus>2</vcpus></vm></host>\n  <host alias=\"m\"><vm name=\"a\"><network device=\"0\"/><network device=\"0\"/></vm></host>\n  <host id=\"1\" alias=\"m\"/>\n </prepare>\n <prepare/>\n</xenrt>",
    ),
    (
        "dangling",
        "<xenrt>\n <prepare><host alias=\"source\"><vm name=\"tiny\"/></host></prepare>\n <testsequence>\n  <testcase id=\"a\" host=\"sauce\"/>\n  <serial guest=\"tinny\"><testcase id=\"b\" host=\"RESOURCE_HOST_7\"/></serial>\n </testsequence>\n</xenrt>",
    ),
    (
        "undefined",
        "<xenrt>\n <variables><MEMORY>1</MEMORY><A>${B}</A><C>${A}</C></variables>\n <testsequence group=\"x ${MEMROY}\"><testcase id=\"%C%\"/></testsequence>\n</xenrt>",
    ),
    ("circle", "<xenrt>\n <variables><A>${B}</A><B>${A}</B></variables>\n</xenrt>"),
    ("stray_text", "<xenrt>\n <testsequence>\n  <serial> -> </serial>\n </testsequence>\n</xenrt>"),
    ("attribute_of_a_variable", "<xenrt>\n <variables><A value=\"1\"/></variables>\n</xenrt>"),
];

#[test]
fn what_is_wrong_is_said_plainly() {
    let mut told = String::new();
    let mut kinds = BTreeSet::from([
        DiagnosticKind::NoEffect,
        DiagnosticKind::ReadOtherwise,
        DiagnosticKind::LimitExceeded,
    ]);
    for (name, text) in WRONG {
        let error = parse(text, &format!("{name}.seq")).unwrap_err();
        kinds.extend(error.diagnostics().iter().map(Diagnostic::kind));
        told.push_str(&format!("{error}\n\n"));
    }
    assert_eq!(kinds, BTreeSet::from(DiagnosticKind::ALL), "a kind of error is never shown");
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_wrong_is_shown_in_its_line() {
    let mut shown = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    for (name, text) in WRONG {
        let report = parse(text, &format!("{name}.seq")).unwrap_err().into_report();
        handler.render_report(&mut shown, &report).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_byte_order_mark_and_windows_lines_change_nothing() {
    let plain = parse(WHOLE, "x").unwrap();
    let windows = parse(&format!("\u{feff}{}", WHOLE.replace('\n', "\r\n")), "x").unwrap();
    assert_eq!(windows.variables, plain.variables);
    let ids = |sequence: &Sequence| format!("{:?}", sequence.tests).matches("a.b").count();
    assert_eq!(ids(&windows), ids(&plain));
    let Some(Node::Test(test)) = windows.tests.unwrap().steps.into_iter().next() else { panic!() };
    assert_eq!((test.id_place.line, test.id_place.column), (27, 19));
}

#[test]
fn depth_is_limited() {
    let text = format!("<xenrt><testsequence>{}", "<serial>".repeat(100_000));
    let error = parse(&text, "deep.seq").unwrap_err();
    assert!(error.to_string().contains("more than 64 elements"), "{error}");
}

#[test]
fn a_file_that_is_not_text_says_where() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"<xenrt>\n<!-- gr\xfc\xdfe -->\n</xenrt>").unwrap();
    let error = read(file.path(), &BTreeMap::new()).unwrap_err();
    let place = error.diagnostics()[0].place();
    assert_eq!((place.line, place.column), (2, 8), "{error}");
    let missing = read(std::path::Path::new("/nowhere/x.seq"), &BTreeMap::new()).unwrap_err();
    assert!(matches!(missing, SequenceError::Read { .. }));
}

/// All that must hold for any text at all.
fn check(text: &str) {
    let diagnostics = match parse(text, "any.seq") {
        Ok(sequence) => sequence.warnings,
        Err(error) => {
            let errors = error.diagnostics().iter().filter(|d| d.severity() == Severity::Error);
            assert!(errors.count() > 0, "refused without an error: {text:?}");
            error.diagnostics().to_vec()
        }
    };
    for diagnostic in diagnostics {
        let place = diagnostic.place();
        let part = text.get(place.offset..place.offset + place.length);
        assert!(part.is_some(), "{place:?} is not in {text:?}");
        let line = text[..place.offset].matches('\n').count() + 1;
        assert_eq!(place.line as usize, line, "{text:?}");
    }
}

/// Pieces of which nearly right files are made.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "<xenrt>",
        "</xenrt>",
        "<variables>",
        "</variables>",
        "<A>",
        "</A>",
        "${A}",
        "%A%",
        "${",
        "<prepare>",
        "</prepare>",
        "<host",
        " id=\"0\"",
        " alias='x'",
        "/>",
        ">",
        "</host>",
        "<vm name=\"a\">",
        "</vm>",
        "<vcpus>",
        "</vcpus>",
        "7",
        "<testsequence>",
        "</testsequence>",
        "<parallel workers=\"2\">",
        "</parallel>",
        "<testcase id=\"a\">",
        "</testcase>",
        "<arg>",
        "</arg>",
        "x=y",
        "&amp;",
        "&",
        "&#x41;",
        "<!-- c -->",
        "<!--",
        "<![CDATA[x]]>",
        "\r\n",
        "ä",
        "<pool>",
        "<?xml version=\"1.0\"?>",
        "\u{feff}",
        "=",
        "\"",
        "'",
        "<",
        "</",
    ]);
    prop_oneof![9 => words.prop_map(str::to_owned), 1 => "(?s).{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        check(&text);
    }

    #[test]
    fn no_mix_of_pieces_makes_it_panic(pieces in prop::collection::vec(piece(), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn no_change_of_a_right_file_makes_it_panic(
        changes in prop::collection::vec((0.0..1.0_f64, 0_usize..12, piece()), 1..6)
    ) {
        let mut text = WHOLE.to_owned();
        for (where_to, length, new) in changes {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
            let start = boundary_before(&text, (where_to * text.len() as f64) as usize);
            let end = boundary_after(&text, start + length);
            text.replace_range(start..end, &new);
        }
        check(&text);
    }

    #[test]
    fn arguments_split_at_the_first_equals_sign(name in "[a-zA-Z_][a-zA-Z0-9_./-]{0,10}", value in "[a-z=&<>]{1,10}") {
        let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let text = format!(
            "<xenrt><testsequence><testcase id='a'><arg>{name}={escaped}</arg></testcase></testsequence></xenrt>"
        );
        let tests = parse(&text, "x").unwrap().tests.unwrap();
        let Node::Test(test) = &tests.steps[0] else { panic!("{tests:?}") };
        prop_assert_eq!(test.arguments[0].name.as_deref(), Some(name.as_str()));
        prop_assert_eq!(&test.arguments[0].value, &value);
    }
}

/// The original's own files, where they are at hand: in `$XENRT_SEQUENCES`, or beside the workspace.
fn real_files() -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("XENRT_SEQUENCES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/sequences"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "seq"));
    files.sort();
    Some(files)
}

/// What a file of the original's own gives, read as the original did.
fn compat() -> ReadOptions {
    ReadOptions::new().mode(Mode::Compat)
}

/// Skipped, which is said, where the files are not at hand.
macro_rules! real_files_or_skip {
    () => {
        match real_files() {
            Some(files) => files,
            None => {
                eprintln!("skipped: no sequence files in $XENRT_SEQUENCES or ../shared/sequences");
                return;
            }
        }
    };
}

#[test]
fn every_file_of_the_original_loads_in_the_compatible_mode() {
    let files = real_files_or_skip!();
    let refused: Vec<String> = files
        .iter()
        .filter_map(|file| compat().read(file).err().map(|error| error.to_string()))
        .collect();
    assert_eq!(refused, [""; 0], "{} of {} files", refused.len(), files.len());
}

/// How often each thing is in the plans of all files: a change of any reading shows here.
#[test]
fn the_files_of_the_original_have_the_same_plans_as_ever() {
    let files = real_files_or_skip!();
    if files.len() != 2676 {
        eprintln!("skipped: the snapshot is of 2676 files, not of {}", files.len());
        return;
    }
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for file in &files {
        let sequence = compat().read(file).unwrap();
        count(&sequence, &mut |what, number| *counts.entry(what).or_default() += number);
    }
    let lines: Vec<String> =
        counts.iter().map(|(what, number)| format!("{what}: {number}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

fn count(sequence: &Sequence, add: &mut dyn FnMut(&'static str, usize)) {
    add("files", 1);
    add("variables", sequence.variables.len());
    add("semaphores", sequence.semaphores.len());
    add("limits of values", sequence.perfcheck.len());
    add("schedulers", usize::from(sequence.scheduler.is_some()));
    add("not carried out", sequence.not_carried_out().len());
    add("warnings", sequence.warnings.len());
    for prepare in [&sequence.preprepare, &sequence.prepare] {
        add("hosts", prepare.hosts.len());
        add("nested hosts", prepare.hosts.iter().filter(|host| host.nested.is_some()).count());
        add("allhosts", prepare.all_hosts.len());
        add("pools", prepare.pools.len());
        add("shared hosts", prepare.shared_hosts.len());
        add("private VLANs", prepare.vlans.len());
        add("clouds", prepare.clouds.len());
        add("cloud machines", prepare.cloud_machines.len());
        let shared = prepare.shared_hosts.iter().flat_map(|host| &host.guests);
        for guest in prepare.guests().map(|(_, guest)| guest).chain(shared) {
            add("guests", 1);
            add("VIFs", guest.vifs.len());
            add("disks", guest.disks.len());
            add("actions after installation", guest.after_install.len());
            add("guests from files", usize::from(guest.import.is_some()));
            add("guests with memory", usize::from(guest.memory.is_some()));
        }
        let topologies = prepare.hosts.iter().filter_map(|host| host.topology.as_ref());
        let topologies =
            topologies.chain(prepare.pools.iter().filter_map(|pool| pool.topology.as_ref()));
        for topology in topologies {
            add("topologies", 1);
            add("physical networks", topology.networks.len());
            for network in &topology.networks {
                add("network interfaces", network.nics.len());
                add("VLANs", network.vlans.len());
            }
        }
        add("storage of hosts", prepare.hosts.iter().map(|host| host.storage.len()).sum());
        add("storage of pools", prepare.pools.iter().map(|pool| pool.storage.len()).sum());
    }
    if let Some(block) = &sequence.tests {
        add("test sequences", 1);
        count_block(block, add);
    }
}

fn count_block(block: &Block, add: &mut dyn FnMut(&'static str, usize)) {
    match block.kind {
        BlockKind::Serial => add("serial blocks", 1),
        BlockKind::Parallel { workers } => {
            add("parallel blocks", 1);
            add("parallel blocks with workers", usize::from(workers.is_some()));
        }
    }
    add("finally blocks", block.finally.len());
    for step in &block.steps {
        match step {
            Node::Block(block) => count_block(block, add),
            Node::Test(test) => {
                add("tests", 1);
                add("arguments", test.arguments.len());
                add("dependencies", test.depends.len());
                add("blockers", usize::from(test.blocker == Some(true)));
            }
            Node::Action(_) => add("actions", 1),
        }
    }
    for finally in &block.finally {
        count_block(finally, add);
    }
}

/// The defects that the files have, each with its line.
#[test]
fn the_strict_mode_names_every_defect_of_the_original_s_files() {
    let files = real_files_or_skip!();
    let mut told: BTreeMap<DiagnosticKind, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let Err(error) = ReadOptions::new().read(file) else { continue };
        for problem in error.diagnostics() {
            // A variable of the lab or of the command line is not a defect.
            if problem.severity() == Severity::Error
                && problem.kind() != DiagnosticKind::UndefinedVariable
            {
                let name = file.file_name().unwrap().to_string_lossy();
                let line = format!("{name}:{}: {}", problem.place().line, problem.message());
                told.entry(problem.kind()).or_default().insert(line);
            }
        }
    }
    for never in [
        DiagnosticKind::MalformedXml,
        DiagnosticKind::UnknownElement,
        DiagnosticKind::UnknownAttribute,
        DiagnosticKind::LimitExceeded,
    ] {
        assert_eq!(told.get(&never), None, "{never:?}");
    }
    let stray = told.get(&DiagnosticKind::MisplacedElement).cloned().unwrap_or_default();
    if files.len() == 2676 {
        let lines = [14, 22];
        let expected: BTreeSet<String> = ["clearwaterstoragebvt1.seq", "tampastoragebvt1.seq"]
            .into_iter()
            .flat_map(|file| {
                lines.map(|line| format!("{file}:{line}: <serial> cannot stand in <xenrt>"))
            })
            .collect();
        assert_eq!(stray, expected);
    }
}

// ---- expansion ----

/// The tests of a sequence as a tree of text.
fn outline(sequence: &Sequence) -> String {
    let mut text = String::new();
    if let Some(root) = &sequence.tests {
        outline_block(root, 0, &mut text);
    }
    text
}

fn outline_block(block: &Block, depth: usize, text: &mut String) {
    for step in &block.steps {
        text.push_str(&"  ".repeat(depth));
        match step {
            Node::Block(inner) => {
                let group = inner.group.as_deref().unwrap_or("-");
                text.push_str(&format!("{:?} {group}\n", inner.kind));
                outline_block(inner, depth + 1, text);
            }
            Node::Test(test) => {
                let arguments: Vec<String> = test
                    .arguments
                    .iter()
                    .map(|it| format!("{}={}", it.name.as_deref().unwrap_or("-"), it.value))
                    .collect();
                let name = test.name.as_deref().unwrap_or("-");
                text.push_str(&format!("{} {name} [{}]\n", test.id, arguments.join(" ")));
            }
            Node::Action(action) => text.push_str(&format!("{:?}\n", action.action)),
        }
    }
    for inner in &block.finally {
        text.push_str(&format!("{}finally\n", "  ".repeat(depth)));
        outline_block(inner, depth + 1, text);
    }
}

#[test]
fn what_is_expanded_is_as_it_is_written_out() {
    let text = r#"<xenrt>
  <default name="PAIRS" value="(0,1),(2)"/>
  <default name="DISTROS" value="a,b,c,d"/>
  <variables><WORKERS>3</WORKERS><DISTROS>w,x,y,z</DISTROS></variables>
  <collection name="ops">
    <serial group="${WHO}">
      <testcase id="ops.one" name="${WHO}-${I}"/>
      <testcase id="ops.two" filter="slow"/>
      <finally><testcase id="ops.off"><arg>guest=${WHO}</arg></testcase></finally>
    </serial>
  </collection>
  <testsequence>
    <parallel workers="%WORKERS%">
      <for iter="P,S" values="${PAIRS}" defaults="9,8"><testcase id="pair"><arg>p=${P}</arg><arg>${S}<!-- c -->t=${P}</arg></testcase></for>
      <for iter="I" values="%DISTROS%" offset="1" limit="2">
        <include collection="ops" exclude="slow,big"><param name="WHO" value="w${I}"/></include>
      </for>
      <for iter="E" values="-,e"><testcase id="e${E}"/></for>
    </parallel>
    <ifin item="b" list="a, b"><testcase id="in"/></ifin>
    <ifnotin item="b" list="a,b"><testcase id="notin"/></ifnotin>
    <ifeq x="${WORKERS}" y="3"><testcase id="eq"/></ifeq>
    <ifnoteq x="${WORKERS}" y="3"><testcase id="noteq"/></ifnoteq>
    <action action="sleep"><arg>90</arg></action>
    <action action="prepare"/>
    <marvintests path="component/test_accounts.py" class="TestAccounts" tags="basic"><arg>x=1</arg></marvintests>
    <testcase id="typed"><arg name="loops" value="50"/><arg name="text">a=b</arg></testcase>
  </testsequence>
</xenrt>"#;
    let sequence = parse(text, "expand.seq").unwrap();
    insta::assert_snapshot!(outline(&sequence));
    assert_eq!(sequence.variables["DISTROS"], "w,x,y,z");
    let given = BTreeMap::from([("DISTROS".to_owned(), "m,n".to_owned())]);
    let sequence = parse_with(text, "expand.seq", &given).unwrap();
    assert!(outline(&sequence).contains("wn-n") && !outline(&sequence).contains("wx-x"));
}

#[test]
fn the_description_in_yaml_means_the_same_as_elements() {
    let yaml = r#"<xenrt><prepare>
{ "pools": [ { "id": 0, "name": "P", "master": "M",
    "hosts": [ { "id": 0, "name": "M", "product_version": "Tampa", "install_sr_type": "ext", "extra_config": {"a": [1, true]} }, { "id": 1 } ],
    "srs": [ { "type": "nfs", "name": "nfs1", "default": true, "options": ["jumbo", "v4"] } ],
    "network": { "controller": "dvsc", "physical_networks": [
      { "network": "NSEC", "bond_mode": "lacp", "jumbo": "yes", "nics": 2, "management": true, "storage": {"mode": "static"}, "vms": true,
        "vlans": [ { "network": "VR02", "vms": true } ] },
      { "specified_nics": [3], "management": "static" } ] },
    "vms": [ { "name": "dvsc", "file_name": "c.xva", "user": true } ] } ],
  "multihosts": { "start": 2, "end": 3 },
  "utilityvms": [ { "name": "u" } ],
  "vlans": [ { "name": "CLIENT" } ],
  "hosts": [ { "id": 4,
    "vm_groups": [ { "basename": "g", "number": 2, "memory": 512 } ],
    "vms": [ { "name": "v", "distro": "debian", "vcpus": 2, "cores_per_socket": 1, "memory": 256, "sr": "nfs1", "arch": "x86-64",
      "guestparams": {"a": "b"}, "boot_params": "quiet", "vifs": [ { "device": 0, "network": "NPRI" } ],
      "disks": [ { "device": 0, "size": 8, "count": 2, "format": "yes" } ], "postinstall": [ { "action": "shutdown" }, "start" ], } ] } ],
  "cloud": { "zones": [ { "networktype": "Advanced", "pods": [ { "clusters": [ { "XRT_Hosts": 2, "hypervisor": "KVM", "XRT_KVMHostIds": "3,4" } ] } ] } ] } }
</prepare></xenrt>"#;
    let elements = r#"<xenrt><prepare>
  <pool id="0" name="P" master="M">
    <host id="0" alias="M" productVersion="Tampa" installsr="ext" extraConfig="a: [1, true]"/><host id="1"/>
    <storage type="nfs" name="nfs1" default="true" options="jumbo,v4"/>
    <NETWORK controller="dvsc">
      <PHYSICAL network="NSEC" bond-mode="lacp" jumbo="yes"><NIC/><NIC/><MANAGEMENT/><STORAGE mode="static"/><VMS/><VLAN network="VR02"><VMS/></VLAN></PHYSICAL>
      <PHYSICAL><NIC enum="3"/><MANAGEMENT mode="static"/></PHYSICAL>
    </NETWORK>
    <vm name="dvsc"><file user="true">c.xva</file></vm>
  </pool>
  <allhosts start="2" stop="3"/>
  <sharedhost><vm name="u"/></sharedhost>
  <vlan name="CLIENT"/>
  <host id="4">
    <vmgroup basename="g" number="2"><memory>512</memory></vmgroup>
    <vm name="v"><distro>debian</distro><vcpus>2</vcpus><corespersocket>1</corespersocket><memory>256</memory><storage>nfs1</storage><arch>x86-64</arch>
      <guestparams>a=b</guestparams><bootparams>quiet</bootparams><network device="0" bridge="NPRI"/>
      <disk device="0" size="8" number="2" format="yes"/><postinstall action="shutdown"/><postinstall action="start"/></vm>
  </host>
  <cloud>{ "zones": [ { "networktype": "Advanced", "pods": [ { "clusters": [ { "XRT_Hosts": 2, "hypervisor": "KVM", "XRT_KVMHostIds": "3,4" } ] } ] } ] }</cloud>
</prepare></xenrt>"#;
    let (yaml, elements) = (parse(yaml, "x").unwrap(), parse(elements, "x").unwrap());
    let plain = |sequence: &Sequence| {
        let text = format!("{:#?}", sequence.prepare);
        let place = regex::Regex::new(r"Place \{[^}]*\}").unwrap();
        place.replace_all(&text, "_").into_owned()
    };
    let (yaml, elements) = (plain(&yaml), plain(&elements));
    for (left, right) in yaml.lines().zip(elements.lines()) {
        assert_eq!(left, right, "\n{yaml}\n\n{elements}");
    }
    assert_eq!(yaml.len(), elements.len());
}

#[test]
fn machines_are_counted_and_made() {
    let text = r#"<xenrt><prepare>
      <pool><allhosts start="1"><vm name="a"/></allhosts></pool><host id="0"/>
    </prepare><testsequence><testcase id="a" host="RESOURCE_HOST_5"/></testsequence></xenrt>"#;
    let sequence = parse(text, "x").unwrap();
    assert_eq!(sequence.prepare.machines(), 2);
    let made = sequence.prepare.with_machines(3);
    let ids: Vec<u32> = made.hosts.iter().map(|host| host.id).collect();
    assert_eq!(
        (ids, &made.pools[0].hosts[..], made.pools[0].master),
        (vec![0, 1, 2], &[1, 2][..], Some(1))
    );
    assert_eq!(made.guests().count(), 2);
}

#[test]
fn nested_hosts_have_their_containers_prepared_first() {
    let text = r#"<xenrt><prepare><host container="3" vname="xs0" vmemory="2048" vnetworks="NPRI,NSEC"/></prepare></xenrt>"#;
    let sequence = parse(text, "x").unwrap();
    assert_eq!(sequence.preprepare.hosts[0].id, 3);
    let nested = sequence.prepare.hosts[0].nested.as_ref().unwrap();
    assert_eq!(nested.networks, [NetworkRole::Primary, NetworkRole::Secondary]);
    assert_eq!(nested.memory, Some(Memory::gib(2)));
}

#[test]
fn modern_words_have_their_types() {
    let text = r#"<xenrt><testsequence timeout="1h 30m" seed="7">
      <serial repeat="3" duration="12h">
        <testcase id="a" timeout="90s" retries="2" requires="suspend, pv" claim="shared" host="any" repeat="4" depends="b, g:c"/>
        <serial group="g"><testcase id="x.c"/></serial><testcase id="b"/>
      </serial></testsequence></xenrt>"#;
    let root = parse(text, "x").unwrap().tests.unwrap();
    assert_eq!((root.timeout.unwrap().as_secs(), root.seed), (5400, Some(7)));
    let Node::Block(soak) = &root.steps[0] else { panic!("{root:?}") };
    assert_eq!((soak.rounds.times, soak.rounds.duration.unwrap().as_secs()), (Some(3), 43_200));
    let Node::Test(test) = &soak.steps[0] else { panic!("{soak:?}") };
    assert_eq!(
        (test.timeout.unwrap().as_secs(), test.retries, test.claim),
        (90, Some(2), Some(Claim::Shared))
    );
    assert_eq!((&test.host, test.rounds.times), (&Some(HostChoice::Any), Some(4)));
    assert_eq!(test.requires.len(), 2);
    assert_eq!((test.depends[1].group.as_deref(), &*test.depends[1].name), (Some("g"), "c"));
}

// ---- included files ----

/// Files in memory.
#[derive(Debug, Clone, Default)]
struct Memories(BTreeMap<String, String>);

impl Loader for Memories {
    fn load(&self, name: &str, _: usize) -> std::io::Result<LoadedFile> {
        match self.0.get(name) {
            Some(text) => Ok(LoadedFile { name: name.to_owned(), bytes: text.clone().into() }),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

fn memories(files: &[(&str, &str)]) -> Memories {
    Memories(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn another_file_gives_definitions_and_its_problems_are_told_there() {
    let files = memories(&[
        (
            "lib.seq",
            "<xenrt><include filename='more.seq'/><collection name='c'>\n<testcase id='${A}' grup='x'/></collection><semaphores><S count='2'/></semaphores><testsequence><testcase id='not'/></testsequence></xenrt>",
        ),
        ("more.seq", "<xenrt><variables><A>a</A></variables></xenrt>"),
    ]);
    let text = "<xenrt>\n<include filename='lib.seq'/>\n<testsequence>\n<include collection='c'/>\n</testsequence></xenrt>";
    let error = ReadOptions::new().loader(files.clone()).parse(text, "main.seq").unwrap_err();
    assert!(error.to_string().starts_with("lib.seq:2:21: unknown attribute `grup`"), "{error}");
    let options = compat().loader(files);
    let sequence = options.parse(text, "main.seq").unwrap();
    assert_eq!(outline(&sequence), "a - []\n");
    assert_eq!(sequence.semaphores["s"], 2);
    let Some(Node::Test(test)) = sequence.tests.unwrap().steps.into_iter().next() else { panic!() };
    // Where the file itself includes it.
    assert_eq!(test.place.line, 4);
}

#[test]
fn files_that_include_themselves_are_refused() {
    let files = memories(&[
        ("a.seq", "<xenrt><include filename='b.seq'/></xenrt>"),
        ("b.seq", "<xenrt><include filename='a.seq'/></xenrt>"),
    ]);
    let text = "<xenrt><include filename='a.seq'/></xenrt>";
    let error = ReadOptions::new().loader(files).parse(text, "main.seq").unwrap_err();
    let told = error.to_string();
    assert!(told.contains("break the circle a.seq -> b.seq -> a.seq"), "{told}");
}

// ---- limits ----

#[test]
fn whatever_explodes_ends_with_the_name_of_a_limit() {
    let laughs: String = (1..30)
        .map(|level| format!("<L{level}>{}</L{level}>", format!("${{L{}}}", level - 1).repeat(10)))
        .collect();
    let nested = "<for iter='I' values='1,2,3,4,5,6,7,8,9,0'>".repeat(12)
        + "<testcase id='a'/>"
        + &"</for>".repeat(12);
    let empty = "<for iter='I' values='1,2,3,4,5,6,7,8,9,0'>".repeat(12) + &"</for>".repeat(12);
    let chain: String = (0..40)
        .map(|n| format!("<collection name='c{n}'><include collection='c{}'/><include collection='c{}'/></collection>", n + 1, n + 1))
        .collect();
    let many: String = (0..300).map(|n| format!(" a{n}='1'")).collect();
    let long = "x".repeat(2000);
    let cases: Vec<(&str, String, Limits)> = vec![
        ("text", format!("<xenrt><variables><L0>ha</L0>{laughs}</variables><testsequence group='${{L29}}'/></xenrt>"), Limits::default()),
        ("steps", format!("<xenrt><testsequence>{nested}</testsequence></xenrt>"), Limits { steps: 10_000, ..Limits::default() }),
        ("steps", format!("<xenrt><testsequence>{empty}</testsequence></xenrt>"), Limits { steps: 10_000, ..Limits::default() }),
        ("steps", format!("<xenrt>{chain}<collection name='c40'><testcase id='a'/></collection><testsequence><include collection='c0'/></testsequence></xenrt>"), Limits { steps: 10_000, ..Limits::default() }),
        ("steps", "<xenrt><prepare><host><vmgroup basename='g' number='100000'/></host></prepare></xenrt>".into(), Limits { steps: 10_000, ..Limits::default() }),
        ("depth", "<xenrt>".to_owned() + &"<serial>".repeat(100), Limits::default()),
        ("attributes", format!("<xenrt><testsequence{many}/></xenrt>"), Limits::default()),
        ("bytes", format!("<xenrt><!--{long}--></xenrt>"), Limits { bytes: 1000, ..Limits::default() }),
        ("expanded", format!("<xenrt><variables><A>{long}</A></variables><testsequence><for iter='I' values='1,2,3,4,5,6,7,8,9'><testcase id='${{A}}'/></for></testsequence></xenrt>"), Limits { expanded: 8000, ..Limits::default() }),
    ];
    for (limit, text, limits) in cases {
        let error = ReadOptions::new().limits(limits).parse(&text, "big.seq").unwrap_err();
        let told = error.to_string();
        assert!(told.contains(&format!("the limit is `{limit}`")), "{limit}: {told:.500}");
    }
}

#[test]
fn only_so_many_problems_are_told() {
    let text = format!("<xenrt><testsequence>{}</testsequence></xenrt>", "<x/>".repeat(500));
    let limits = Limits { problems: 10, ..Limits::default() };
    let error = ReadOptions::new().limits(limits).parse(&text, "x").unwrap_err();
    assert!(error.diagnostics().len() <= 12, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What a loop unrolls to is what is written out by hand.
    #[test]
    fn a_loop_is_its_rounds(values in prop::collection::vec("[a-z0-9]{1,6}", 1..8), offset in 0_usize..4, limit in 0_usize..8) {
        let list = values.join(",");
        let looped = format!("<xenrt><testsequence><for iter='I' values='{list}' offset='{offset}' limit='{limit}'><testcase id='t.${{I}}'><arg>v=${{I}}</arg></testcase></for></testsequence></xenrt>");
        let rounds: String = values.iter().skip(offset).take(limit).map(|v| format!("<testcase id='t.{v}'><arg>v={v}</arg></testcase>")).collect();
        let written = format!("<xenrt><testsequence>{rounds}</testsequence></xenrt>");
        prop_assert_eq!(outline(&parse(&looped, "x").unwrap()), outline(&parse(&written, "x").unwrap()));
    }

    /// What is right strictly is right compatibly, and means the same.
    #[test]
    fn the_compatible_mode_accepts_what_the_strict_one_does(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        if let Ok(strict) = parse(&text, "x") {
            let compat = compat().parse(&text, "x").unwrap();
            prop_assert_eq!(strict.prepare, compat.prepare);
            prop_assert_eq!(strict.tests, compat.tests);
        }
    }
}

/// A file for each element with all of its attributes, and the same with one that is not known, and
/// with an element that is not known in it.
fn vocabulary_files() -> Vec<String> {
    use vocabulary::{Content, Kind, Word};
    fn value(kind: Kind) -> String {
        match kind {
            Kind::Free | Kind::Text => "a".into(),
            Kind::Flag => "yes".into(),
            Kind::Number(least, _) => least.max(1).to_string(),
            Kind::Decimal => "1.5".into(),
            Kind::Duration => "90s".into(),
            Kind::Words(words) => words[0].into(),
            Kind::Storage => "nfs".into(),
            Kind::Product => "kvm".into(),
            Kind::Abilities => "pv,suspend".into(),
            Kind::Address => "10.0.0.1/8".into(),
            Kind::Speed => "10G".into(),
        }
    }
    fn open(word: Word, all: bool, more: &str) -> String {
        let attributes: String = word
            .attributes()
            .filter(|attribute| all || attribute.required)
            .map(|attribute| format!(" {}=\"{}\"", attribute.name.name(), value(attribute.kind)))
            .collect();
        format!("<{}{attributes}{more}>", word.tag().name())
    }
    let mut files = Vec::new();
    for word in Word::ALL {
        // The way from the root.
        let mut way = vec![*word];
        while let Some(parent) = way.last().and_then(|word| word.parents().next()) {
            way.push(parent);
        }
        way.reverse();
        let around: String =
            way[..way.len() - 1].iter().map(|word| open(*word, false, "")).collect();
        let close: String = way[..way.len() - 1]
            .iter()
            .rev()
            .map(|word| format!("</{}>", word.tag().name()))
            .collect();
        let text = match word.content() {
            Content::Text(kind) | Content::Optional(kind) => value(kind),
            _ => String::new(),
        };
        let end = format!("</{}>", word.tag().name());
        for (all, more, inside) in [
            (true, "", text.as_str()),
            (false, "", text.as_str()),
            (true, " unheard=\"of\"", text.as_str()),
            (true, "", "<unheard/>"),
            (true, "", "<xenrt/>"),
        ] {
            files.push(format!("{around}{}{inside}{end}{close}", open(*word, all, more)));
        }
    }
    files
}
