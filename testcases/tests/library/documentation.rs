//! `docs/tests.md`, written from the registry and held against it.

use std::fmt::Write as _;
use std::path::PathBuf;

use xenrt::testcase::{Registry, TestDescriptor};

use crate::rows::rows;

/// An argument as the documentation of a test lists it: `` `loops` (5) ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    pub name: String,
    /// The default, where it is a value.
    pub default: Option<String>,
}

/// The paragraph with the arguments, where there is one.
fn paragraph(test: &TestDescriptor) -> Option<String> {
    let paragraphs = test.description.split("\n\n");
    let own = paragraphs.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    own.into_iter().find_map(|text| text.strip_prefix("Arguments: ").map(str::to_owned))
}

/// The arguments that the documentation of a test lists.
pub(crate) fn documented(id: &str) -> Vec<Argument> {
    let registry = Registry::global().unwrap();
    let test = registry.find(id).unwrap();
    let Some(text) = paragraph(test) else { return Vec::new() };
    if let Some(other) = text.strip_prefix("as ") {
        return documented(other.trim_end_matches('.'));
    }
    let mut rest = text.as_str();
    let mut arguments = Vec::new();
    while let Some((_, after)) = rest.split_once('`') {
        let Some((name, after)) = after.split_once('`') else { break };
        // Up to the next name; a default stands in the first parentheses there.
        let end = after.find('`').unwrap_or(after.len());
        let inside = after[..end].split_once('(').and_then(|(_, inside)| inside.split_once(')'));
        let default = inside.map(|(inside, _)| {
            inside.split([';', ':']).next().unwrap_or_default().trim().to_owned()
        });
        let default = default.filter(|text| text != "none");
        arguments.push(Argument { name: name.to_owned(), default });
        rest = &after[end..];
    }
    arguments
}

fn page() -> String {
    let registry = Registry::global().unwrap();
    let rows = rows();
    let mut page = String::from(
        "# The library of tests\n\n\
         Written from the tests themselves; `XENRT_UPDATE_DOCS=1 cargo test -p xenrt-testcases --test library` \
         writes it anew.\nOne test is run with `cargo run --example testcase -- ID NAME=VALUE...`, and \
         `-- list` shows all.\n\n\
         *Finds* names a fault that the test is held against, on simulated hosts, whenever the project is \
         tested: with it the test fails for that reason, without it it passes.\n",
    );
    let mut theme = "";
    for test in registry.iter() {
        let own = test.id.split('.').next().unwrap_or_default();
        if own != theme {
            theme = own;
            write!(page, "\n## {theme}\n").unwrap();
        }
        write!(page, "\n### {}\n\n", test.id).unwrap();
        let paragraphs = test.description.split("\n\n");
        for paragraph in paragraphs {
            let text = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Some(arguments) = text.strip_prefix("Arguments: ") {
                writeln!(page, "- **Arguments:** {arguments}").unwrap();
            } else {
                write!(page, "{text}\n\n").unwrap();
            }
        }
        let mut needs: Vec<String> =
            test.requires.abilities.iter().map(ToString::to_string).collect();
        if test.requires.hosts > 1 {
            needs.insert(0, format!("{} hosts", test.requires.hosts));
        }
        if !needs.is_empty() {
            writeln!(page, "- **Needs:** {}", needs.join(", ")).unwrap();
        }
        if !test.legacy.is_empty() {
            let legacy: Vec<String> = test.legacy.iter().map(|id| format!("`{id}`")).collect();
            writeln!(page, "- **In old sequences:** {}", legacy.join(", ")).unwrap();
        }
        if !test.tags.is_empty() {
            writeln!(page, "- **Tags:** {}", test.tags.join(", ")).unwrap();
        }
        if let Some(row) = rows.iter().find(|row| row.test == test.id) {
            writeln!(page, "- **Finds:** {}", row.plant).unwrap();
        }
    }
    page
}

#[test]
fn the_documentation_is_that_of_the_tests() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tests.md"));
    let page = page();
    if std::env::var_os("XENRT_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/tests.md is not what the tests say; write it anew with XENRT_UPDATE_DOCS=1"
    );
}

#[test]
fn arguments_are_read_from_the_documentation() {
    let names: Vec<(String, Option<String>)> = documented("lifecycle.start_stop")
        .into_iter()
        .map(|argument| (argument.name, argument.default))
        .collect();
    let own = |name: &str, default: Option<&str>| (name.to_owned(), default.map(str::to_owned));
    assert_eq!(
        names,
        [
            own("guest", None),
            own("distro", Some("generic-linux")),
            own("loops", Some("5")),
            own("how", Some("clean")),
        ]
    );
    assert_eq!(documented("lifecycle.install_two_vcpus"), documented("lifecycle.install"));
}
