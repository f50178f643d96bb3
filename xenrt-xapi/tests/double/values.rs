//! Any name and any value, through the real shell and the double.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use xenrt_xapi::double::World;
use xenrt_xapi::parse::{self, Value, values};
use xenrt_xapi::xe::{XeCommand, XeError};

use crate::world::Simulated;

const TEMPLATE: &str = "552bce37-51b2-445d-84f2-5f33fa112d7e";

/// What names and values are made of: whatever has a meaning to a shell, to `xe` or to a parser.
fn text() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        Just("'"),
        Just("\""),
        Just("\\"),
        Just(","),
        Just(";"),
        Just("; "),
        Just(": "),
        Just("="),
        Just("--force"),
        Just("-x"),
        Just(" "),
        Just("\t"),
        Just("$(id)"),
        Just("`id`"),
        Just("ü"),
        Just("中"),
        Just("*"),
        Just("\n"),
        Just("\r"),
        Just("password=x"),
        Just("<not in database>"),
        Just("a"),
        Just("%s"),
        Just("!"),
        Just("~"),
        Just("#"),
        Just("&"),
        Just("|"),
    ];
    let odd = proptest::collection::vec(parts, 0..6).prop_map(|parts| parts.concat());
    prop_oneof![odd, any::<String>()]
}

#[test]
fn what_is_set_is_read_back_or_refused_with_the_reason() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let simulated = Simulated::start(&World::small());
    let xe = simulated.xe();
    let install =
        XeCommand::new("vm-install").param("template", TEMPLATE).param("new-name-label", "x");
    let vm = runtime.block_on(xe.create(&install)).unwrap();
    let mut runner = TestRunner::new(ProptestConfig { cases: 120, ..ProptestConfig::default() });
    let result = runner.run(&(text(), text()), |(name, value)| {
        let set = XeCommand::new("vm-param-set")
            .uuid(vm)
            .param("name-label", name.as_str())
            .param("other-config:a/b;c", value.as_str());
        let get = |field: &str| XeCommand::new("vm-param-get").uuid(vm).param("param-name", field);
        let asked = [
            set.clone(),
            get("name-label"),
            get("other-config").param("param-key", "a/b;c"),
            XeCommand::new("vm-list").uuid(vm).fields(&["name-label"]).minimal(),
            XeCommand::new("vm-list").uuid(vm).fields(&["name-label", "power-state"]),
            XeCommand::new("vm-list").param("name-label", name.as_str()).minimal(),
        ];
        let bad = |text: &str| text.contains(['\n', '\0']) || text.ends_with('\r');
        match runtime.block_on(xe.run_all(&asked)) {
            Err(XeError::Refused { problem, .. }) => {
                prop_assert!(bad(&name) || bad(&value), "{problem}");
                prop_assert!(problem.contains("cannot be sent"), "{problem}");
            }
            Err(error) => prop_assert!(false, "{error}"),
            Ok(answers) => {
                prop_assert!(!bad(&name) && !bad(&value));
                let nulls = ["<not in database>", "<invalid reference>", "<expensive field>"];
                let null = |text: &str| nulls.contains(&text);
                if !null(&name) {
                    prop_assert_eq!(parse::single(&answers[1]), Value::Text(&name));
                    let record = parse::records(&answers[4]).next().unwrap().unwrap();
                    prop_assert_eq!(record.get("name-label"), Some(name.as_str()));
                    prop_assert_eq!(record.get("power-state"), Some("halted"));
                }
                if !null(&value) {
                    prop_assert_eq!(parse::single(&answers[2]), Value::Text(&value));
                }
                let minimal = parse::minimal(&answers[3]).unwrap();
                let expected: Vec<&str> = if name.is_empty() { vec![] } else { vec![&name] };
                prop_assert_eq!(minimal, expected);
                prop_assert_eq!(parse::minimal(&answers[5]).unwrap(), [vm.to_string()]);
            }
        }
        Ok(())
    });
    result.unwrap();
    assert!(values::map("").is_empty());
}
