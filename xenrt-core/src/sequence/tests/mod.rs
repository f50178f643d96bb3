//! Tests of the whole way from a text to a sequence, and of what is said about bad ones.

use std::collections::{BTreeMap, BTreeSet};

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

use super::syntax::{boundary_after, boundary_before};
use super::*;
use crate::model::Memory;

mod expansion;
mod included;
mod limits;
mod originals;
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
        prop_assert_eq!(&*test.arguments[0].value, &value);
    }
}
