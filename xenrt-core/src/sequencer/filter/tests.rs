use proptest::prelude::*;

use super::{Filter, Subject};
use crate::sequencer::PlannedTest;

fn tests() -> Vec<PlannedTest> {
    let test = |id: &str, name: &str, group: &str| PlannedTest {
        id: id.into(),
        name: name.into(),
        group: group.into(),
        tc: None,
        line: 1,
        arguments: Vec::new(),
        tags: Vec::new(),
        priority: None,
        ttype: None,
        sku: None,
    };
    vec![
        PlannedTest {
            priority: Some(1),
            tags: vec!["smoke".into(), "slow".into()],
            tc: Some("TC-1".into()),
            ..test("lifecycle.reboot", "reboot", "Basic")
        },
        PlannedTest {
            priority: Some(2),
            arguments: vec!["loops=100".into(), "quick".into(), "empty=".into()],
            ..test("lifecycle.reboot", "reboot(1)", "Stress")
        },
        PlannedTest {
            priority: Some(3),
            sku: Some("Enterprise".into()),
            ttype: Some("nightly".into()),
            tc: Some("TC-19178".into()),
            ..test("network.hfx745", "hfx745", "Network a/b")
        },
    ]
}

/// The numbers of the tests that the filter selects; the last one has a host and a guest.
fn selected(filter: &str) -> Vec<usize> {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{error}"));
    let again = Filter::parse(&filter.to_string()).unwrap();
    let of = |filter: &Filter| {
        let tests = tests();
        let admits = |at: &usize| {
            let last = *at == 2;
            let host = last.then_some("RESOURCE_HOST_1");
            let guest = last.then_some("tiny");
            filter.admits(Subject { test: &tests[*at], host, guest })
        };
        (0..tests.len()).filter(admits).collect::<Vec<_>>()
    };
    assert_eq!(of(&filter), of(&again), "{filter}");
    of(&filter)
}

#[test]
fn every_predicate_selects_by_its_own() {
    for (filter, expected) in [
        ("all()", vec![0, 1, 2]),
        ("none()", vec![]),
        ("id(boot)", vec![0, 1]),
        ("id(=lifecycle.reboot)", vec![0, 1]),
        ("id(=reboot)", vec![]),
        ("test(reboot)", vec![0, 1]),
        ("test(=REBOOT)", vec![0]),
        ("name(~hfx)", vec![2]),
        (r"test(reboot\(1\))", vec![1]),
        ("test(Stress/reb)", vec![1]),
        ("group(basic)", vec![0]),
        ("group(asi)", vec![]),
        ("group(~asi)", vec![0]),
        ("tag(smoke)", vec![0]),
        ("tag(smo)", vec![]),
        ("tc(TC-1)", vec![0]),
        ("tc(~TC-1)", vec![0, 2]),
        ("sku(enterprise)", vec![2]),
        ("ttype(#night*)", vec![2]),
        ("host(RESOURCE_HOST_1)", vec![2]),
        ("guest(tiny)", vec![2]),
        ("prio(1)", vec![0]),
        ("prio(<=2)", vec![0, 1]),
        ("prio( < 2 )", vec![0]),
        ("prio(>=2)", vec![1, 2]),
        ("prio(>2)", vec![2]),
        ("prio(=3)", vec![2]),
        ("arg(loops)", vec![1]),
        ("arg(loops=100)", vec![1]),
        ("arg(loops=10)", vec![]),
        ("arg(loops=~10)", vec![1]),
        ("arg(quick)", vec![1]),
        ("arg(empty=)", vec![1]),
        ("id(#*.hfx???)", vec![2]),
        ("id(#hfx*)", vec![]),
        ("id(/^network/)", vec![2]),
        ("id(/^NETWORK/)", vec![2]),
        ("id(/(?-i)^NETWORK/)", vec![]),
        (r"group(/a\/b$/)", vec![2]),
    ] {
        assert_eq!(selected(filter), expected, "{filter}");
    }
}

#[test]
fn operators_bind_as_they_say() {
    for (filter, expected) in [
        ("group(Basic) & !test(reboot) | prio(<=2)", vec![0, 1]),
        ("group(Basic) & (!test(reboot) | prio(<=2))", vec![0]),
        ("all() - id(reboot)", vec![2]),
        ("all() - id(reboot) - id(hfx)", vec![]),
        ("all() - (id(reboot) - tag(smoke))", vec![0, 2]),
        ("not prio(1) and not prio(2)", vec![2]),
        ("prio(1) or prio(3) && tag(x)", vec![0]),
        ("!!prio(1)", vec![0]),
        ("not not not prio(1)", vec![1, 2]),
        ("  ( ( prio(1) ) )  ", vec![0]),
        ("PRIO(1)".to_lowercase().as_str(), vec![0]),
    ] {
        assert_eq!(selected(filter), expected, "{filter}");
    }
}

#[test]
fn words_and_priorities_become_expressions() {
    let filter = Filter::any([Filter::word("hfx"), Filter::word("smoke")])
        .and(Filter::word("tc-1)").negated())
        .and(Filter::priority_above(2).negated());
    insta::assert_snapshot!(filter);
    assert_eq!(selected(&filter.to_string()), [0]);
    assert!(Filter::everything().and(Filter::everything()).is_everything());
}

#[test]
fn errors_show_the_place_and_the_nearest_name() {
    let shown = [
        "",
        "grup(Basic)",
        "group(Basic",
        "(group(Basic)",
        "group(Basic))",
        "group(Basic) test(x)",
        "group(Basic) &",
        "reboot",
        "group",
        "test()",
        "test(#)",
        "prio(high)",
        "arg()",
        "arg(=3)",
        "id(/a(/)",
        "id(/a",
        r"id(a\",
        "zzzzzz(1)",
        "% group(Basic)",
        "group(ä) & grup(ö)",
        &"(".repeat(101),
        &"!".repeat(200),
    ]
    .iter()
    .map(|text| match Filter::parse(text) {
        Ok(filter) => format!("{text:?} is {filter}\n"),
        Err(error) => {
            let handler = miette::GraphicalReportHandler::new_themed(
                miette::GraphicalTheme::unicode_nocolor(),
            );
            let mut shown = String::new();
            handler.render_report(&mut shown, &error).unwrap();
            shown
        }
    })
    .collect::<Vec<_>>();
    insta::assert_snapshot!(shown.join("\n"));
}

/// Texts that are more like expressions than noise is.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "id(", "test(", "group(", "arg(", "prio(", "all()", "none()", ")", "(", " & ", " | ",
            " - ", "!", " and ", " or ", "not ", "<=2)", "=", "~", "#", "/", "\\", " ", "a", "ä",
            "loops=3)", "x)", "*", "[", "\u{a0}", "\t",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// Texts that are expressions.
fn expressions() -> impl Strategy<Value = String> {
    let text = "[a-z ./*\\[=~#()é\\\\]{1,8}";
    let leaf = prop_oneof![
        Just("all()".to_owned()),
        Just("none()".to_owned()),
        (-9..9).prop_map(|number| format!("prio(>={number})")),
        (proptest::sample::select(vec!["id", "test", "group", "tag", "host"]), text).prop_map(
            |(name, text)| format!("{name}(={})", text.replace('\\', r"\\").replace(')', r"\)"))
        ),
        "[a-z.*+]{1,6}".prop_map(|text| format!("id(/{text}/)")),
        (text, text).prop_map(|(name, value)| {
            let escape =
                |text: String| text.replace('\\', r"\\").replace(')', r"\)").replace('=', r"\=");
            format!("arg(x{}=~{})", escape(name), escape(value))
        }),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} & {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} | {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} - ({b})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_understood_is_shown_as_it_was_meant(text in pieces()) {
        if let Ok(filter) = Filter::parse(&text) {
            let shown = filter.to_string();
            let again = Filter::parse(&shown).map_err(|error| {
                TestCaseError::fail(format!("{text:?} is shown as {shown:?}: {error}"))
            })?;
            prop_assert_eq!(&again.to_string(), &shown);
            prop_assert_eq!(again, filter);
        }
    }

    #[test]
    fn every_expression_is_understood_and_shown_as_it_was_meant(text in expressions()) {
        match Filter::parse(&text) {
            Ok(filter) => {
                let shown = filter.to_string();
                let again = Filter::parse(&shown).unwrap();
                prop_assert_eq!(&again, &filter, "{} shown as {}", text, shown);
                for test in tests() {
                    prop_assert_eq!(filter.selects(&test), again.selects(&test));
                }
            }
            // The only thing that can be wrong with these.
            Err(error) => prop_assert!(error.message().contains("the pattern cannot be used"), "{}", error),
        }
    }
}
