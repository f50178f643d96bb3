//! Looking for patterns in a text.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::PATTERNS;

/// Bad news in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The [name](super::Pattern::name) of the pattern.
    pub pattern: &'static str,
    /// The first line that matched, with those around it.
    pub excerpt: String,
    /// How many lines of the text match the pattern.
    pub lines: usize,
}

/// What may stand before a message: who logged it (syslog), its level, its time, Xen's mark.
const BEFORE: &str = r"(?x)^
    (?:\w{3}\ +\d+\ [\d:]+\ \S+\ kernel:\ |\d{4}-\d\d-\d\dT\S+\ \S+\ kernel:\ )?  # syslog
    (?:\(XEN\)\ |\(d\d+\)\ )?
    (?:<\d+>)?
    (?:\[[\ \d:.T+-]+\]\ *(?:\[\ *[TC]\d+\]\ *)?)?                              # time, task
";

/// Lines before the one that matched, and after it, that belong to the excerpt.
const BEFORE_LINES: usize = 2;
const AFTER_LINES: usize = 16;
const MOST_EXCERPT: usize = 3000;

static PREFIX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(BEFORE).ok());
static SET: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSet::new(PATTERNS.iter().map(|pattern| pattern.regex)).ok());

/// Finds bad news in a text, at most one of each pattern, in the order of their first lines.
///
/// Colours of terminals and carriage returns, which consoles are full of, do not matter. An empty
/// excerpt never comes back.
pub fn scan(text: &str) -> Vec<Found> {
    // The patterns are constants and a test compiles them, so this is no way out in practice.
    let (Some(prefix), Some(set)) = (PREFIX.as_ref(), SET.as_ref()) else { return Vec::new() };
    let plain = plain(text);
    let lines: Vec<&str> = plain.lines().collect();
    let mut found: Vec<Found> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let start = prefix.find(line).map_or(0, |before| before.end());
        let Some(first) = set.matches(&line[start..]).iter().next() else { continue };
        let pattern = PATTERNS[first].name;
        match found.iter_mut().find(|found| found.pattern == pattern) {
            Some(known) => known.lines += 1,
            None => {
                let from = at.saturating_sub(BEFORE_LINES);
                let to = (at + 1 + AFTER_LINES).min(lines.len());
                let excerpt = lines[from..to].join("\n");
                let excerpt = crate::remote::shorten_middle(excerpt.trim(), MOST_EXCERPT);
                found.push(Found { pattern, excerpt, lines: 1 });
            }
        }
    }
    found
}

fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\r', '\0']) {
        return Cow::Borrowed(text);
    }
    let text = anstream::adapter::strip_str(text).to_string();
    Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_patterns_are_regular_expressions() {
        Regex::new(BEFORE).unwrap();
        RegexSet::new(PATTERNS.iter().map(|pattern| pattern.regex)).unwrap();
    }

    #[test]
    fn an_excerpt_has_what_led_to_it_and_what_followed() {
        let mut text = String::from("login: \r\n[1.0] fine\r\n[1.1] also fine\r\n");
        text.push_str("[2.0] \u{1b}[1mOops: 0002 [#1] SMP\u{1b}[0m\r\n");
        for frame in 0..30 {
            text.push_str(&format!("[2.0]  frame{frame}+0x1/0x2\r\n"));
        }
        text.push_str("[2.1] Kernel panic - not syncing: Fatal exception\r\n");
        text.push_str("[2.2] Oops: 0000 [#2] SMP\r\n");
        let found = scan(&text);
        let names: Vec<_> = found.iter().map(|found| (found.pattern, found.lines)).collect();
        assert_eq!(names, [("Oops", 2), ("kernel panic", 1)]);
        assert!(found[0].excerpt.starts_with("[1.0] fine\n[1.1] also fine\n[2.0] Oops: 0002"));
        assert!(found[0].excerpt.contains("frame15") && !found[0].excerpt.contains("frame16"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text: String) {
            for found in scan(&text) {
                prop_assert!(!found.excerpt.is_empty());
            }
        }
    }
}
