//! Whatever explodes ends, and what holds for any file.

use super::expansion::outline;
use super::originals::compat;
use super::*;

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
