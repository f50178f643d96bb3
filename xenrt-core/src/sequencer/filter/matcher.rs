//! Texts and what they match.

use regex::{Regex, RegexBuilder};

/// What a text must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matcher {
    Equal,
    Contains,
    Glob,
    Regex,
}

/// A text with what it must do.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) matcher: Matcher,
    /// As it was written, without escapes; in a regular expression, without those of its `/`.
    pub(super) text: String,
    program: Program,
}

#[derive(Debug, Clone)]
enum Program {
    /// In lower case.
    Plain(String),
    Regex(Regex),
}

/// Two are the same where they say the same.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        (self.matcher, &self.text) == (other.matcher, &other.text)
    }
}

impl Eq for Text {}

impl Text {
    /// A text that is no pattern.
    pub(super) fn plain(matcher: Matcher, text: &str) -> Self {
        Self { matcher, text: text.to_owned(), program: Program::Plain(text.to_lowercase()) }
    }

    /// Any text.
    ///
    /// # Errors
    /// What is wrong with a pattern.
    pub(super) fn new(matcher: Matcher, text: &str) -> Result<Self, regex::Error> {
        let pattern = match matcher {
            Matcher::Equal | Matcher::Contains => return Ok(Self::plain(matcher, text)),
            Matcher::Glob => glob(text),
            Matcher::Regex => text.to_owned(),
        };
        let program = RegexBuilder::new(&pattern).case_insensitive(true).build()?;
        Ok(Self { matcher, text: text.to_owned(), program: Program::Regex(program) })
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        match (&self.program, self.matcher) {
            (Program::Regex(regex), _) => regex.is_match(value),
            (Program::Plain(text), Matcher::Contains) => value.to_lowercase().contains(text),
            (Program::Plain(text), _) => value.to_lowercase() == *text,
        }
    }
}

/// A glob as a regular expression that matches the whole of a value.
fn glob(text: &str) -> String {
    let mut pattern = String::from(r"(?s)\A");
    for c in text.chars() {
        match c {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            other => pattern.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern.push_str(r"\z");
    pattern
}
