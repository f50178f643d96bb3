//! Text into an expression.

use std::ops::Range;

use super::FilterError;
use super::ast::{Expr, Field, Relation};
use super::matcher::{Matcher, Text};
use crate::nearest::nearest;

/// Deeper than this nobody nests by hand, and the stack is not without end.
const MOST_DEPTH: usize = 100;
/// A longer expression was not written by a person.
const MOST_BYTES: usize = 64 * 1024;

/// Names of predicates besides those of [`Field::ALL`].
const OTHERS: [&str; 4] = ["prio", "arg", "all", "none"];

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    if text.len() > MOST_BYTES {
        let message = format!("it has {} bytes; at most {MOST_BYTES} are taken", text.len());
        return Err(FilterError::new("(too long)", 0..0, message));
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.space();
    if parser.rest().is_empty() {
        return Err(parser.error(0..0, "it is empty").help("`all()` selects every test"));
    }
    let expr = parser.either()?;
    if parser.rest().is_empty() {
        return Ok(expr);
    }
    let span = parser.next_word();
    let error = match parser.rest().chars().next() {
        Some(')') => parser.error(span, "this `)` closes nothing").label("not open"),
        _ => parser
            .error(span, "expected `&`, `|`, `-` or the end")
            .label("what has this to do with what is before it?")
            .help("`a & b` selects what both select, `a | b` what either does"),
    };
    Err(error)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, span, message)
    }

    /// The letters from here, without moving.
    fn letters(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    }

    /// Where the next word or character stands.
    fn next_word(&self) -> Range<usize> {
        let letters = self.letters().len();
        let one = self.rest().chars().next().map_or(0, char::len_utf8);
        self.at..self.at + letters.max(one)
    }

    /// Takes a sign, however often it is written (`&&`), or a word that is not a predicate's.
    fn take(&mut self, sign: char, word: &str) -> bool {
        let rest = self.rest();
        if rest.starts_with(sign) {
            self.at += rest.len() - rest.trim_start_matches(sign).len();
        } else if !word.is_empty() && self.letters().eq_ignore_ascii_case(word) {
            self.at += word.len();
        } else {
            return false;
        }
        self.space();
        true
    }

    fn either(&mut self) -> Result<Expr, FilterError> {
        let mut parts = vec![self.both()?];
        while self.take('|', "or") {
            parts.push(self.both()?);
        }
        Ok(Expr::any(parts))
    }

    fn both(&mut self) -> Result<Expr, FilterError> {
        let mut parts = vec![self.not()?];
        loop {
            if self.take('&', "and") {
                parts.push(self.not()?);
            } else if self.take('-', "") {
                parts.push(self.not()?.negated());
            } else {
                return Ok(Expr::every(parts));
            }
        }
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        let start = self.at;
        let is_word = self.letters().eq_ignore_ascii_case("not");
        if !self.rest().starts_with('!') && !is_word {
            return self.one();
        }
        self.at += if is_word { "not".len() } else { 1 };
        self.space();
        self.deeper(start)?;
        let expr = self.not()?.negated();
        self.depth -= 1;
        Ok(expr)
    }

    fn deeper(&mut self, start: usize) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            let message = format!("it is nested more than {MOST_DEPTH} deep");
            return Err(self.error(start..start + 1, message));
        }
        Ok(())
    }

    /// A parenthesis or a predicate.
    fn one(&mut self) -> Result<Expr, FilterError> {
        let start = self.at;
        if self.rest().starts_with('(') {
            self.at += 1;
            self.space();
            self.deeper(start)?;
            let expr = self.either()?;
            self.depth -= 1;
            if !self.rest().starts_with(')') {
                return Err(self.not_closed(start));
            }
            self.at += 1;
            self.space();
            return Ok(expr);
        }
        let name = self.letters();
        if name.is_empty() {
            let span = self.next_word();
            let expected = "expected a predicate, such as `group(Basic)`";
            return Err(match self.rest().is_empty() {
                true => self.error(span, format!("it breaks off: {expected}")),
                false => self.error(span, expected),
            });
        }
        self.at += name.len();
        let name_span = start..self.at;
        self.space();
        if !self.rest().starts_with('(') {
            return Err(self.not_called(name, name_span));
        }
        let open = self.at;
        self.at += 1;
        self.space();
        let expr = self.predicate(name, name_span)?;
        self.space();
        if !self.rest().starts_with(')') {
            if self.rest().is_empty() {
                return Err(self.not_closed(open));
            }
            let span = self.next_word();
            return Err(self.error(span, "expected `)`"));
        }
        self.at += 1;
        self.space();
        Ok(expr)
    }

    fn not_closed(&self, open: usize) -> FilterError {
        self.error(open..open + 1, "this `(` is not closed").label("open")
    }

    fn not_called(&self, name: &str, span: Range<usize>) -> FilterError {
        if is_predicate(name) {
            let help = format!("write `{name}(...)`");
            return self.error(span, format!("`{name}` needs parentheses")).help(help);
        }
        self.error(span, format!("{name:?} alone is no predicate"))
            .help(format!("`test({name})` selects tests by a part of their name"))
    }

    fn predicate(&mut self, name: &str, span: Range<usize>) -> Result<Expr, FilterError> {
        if let Some((_, field)) = Field::ALL.iter().find(|(own, _)| *own == name) {
            return Ok(Expr::Field(*field, self.matcher(field.bare())?));
        }
        match name {
            "all" => Ok(Expr::All),
            "none" => Ok(Expr::None),
            "prio" => self.priority(),
            "arg" => self.argument(),
            _ => {
                let error =
                    self.error(span, format!("there is no predicate {name:?}")).label("not known");
                let known: Vec<_> = predicates().collect();
                let nearest = nearest(&name.to_lowercase(), known.iter().copied());
                Err(error.help(match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("known: {}", known.join(", ")),
                }))
            }
        }
    }

    fn priority(&mut self) -> Result<Expr, FilterError> {
        let relation = Relation::ALL.iter().find(|(sign, _)| self.rest().starts_with(sign));
        let relation = match relation {
            Some((sign, relation)) => {
                self.at += sign.len();
                self.space();
                *relation
            }
            None => Relation::Equal,
        };
        let rest = self.rest();
        let end = rest.find([')', ' ']).unwrap_or(rest.len());
        let span = self.at..self.at + end;
        let number = rest[..end].parse().map_err(|_| {
            self.error(span, "expected a priority, such as `1` or `<=2`").label("no number")
        })?;
        self.at += end;
        Ok(Expr::Priority(relation, number))
    }

    fn argument(&mut self) -> Result<Expr, FilterError> {
        let start = self.at;
        let name = self.plain(&['='])?;
        if name.is_empty() {
            let span = start..start.max(self.at);
            return Err(self.error(span, "expected the name of an argument").help(
                "`arg(loops)` selects tests with that argument, `arg(loops=5)` those with that value",
            ));
        }
        if !self.rest().starts_with('=') {
            return Ok(Expr::Argument(name, None));
        }
        self.at += 1;
        self.space();
        // An empty value is a value.
        if self.rest().starts_with(')') {
            return Ok(Expr::Argument(name, Some(Text::plain(Matcher::Equal, ""))));
        }
        Ok(Expr::Argument(name, Some(self.matcher(Matcher::Equal)?)))
    }

    /// A text with what it must do.
    fn matcher(&mut self, bare: Matcher) -> Result<Text, FilterError> {
        let start = self.at;
        if self.rest().starts_with('/') {
            let text = self.regex()?;
            return self.text(Matcher::Regex, &text, start);
        }
        let matcher = match self.rest().chars().next() {
            Some('=') => Matcher::Equal,
            Some('~') => Matcher::Contains,
            Some('#') => Matcher::Glob,
            _ => bare,
        };
        if self.rest().starts_with(['=', '~', '#']) {
            self.at += 1;
            self.space();
        }
        let text = self.plain(&[])?;
        if text.is_empty() && self.at == start {
            let span = start..start;
            return Err(self
                .error(span, "expected a text")
                .help("`=text` equals, `~text` is contained, `#te*` is a pattern, `/te?xt/` a regular expression"));
        }
        self.text(matcher, &text, start)
    }

    fn text(&self, matcher: Matcher, text: &str, start: usize) -> Result<Text, FilterError> {
        Text::new(matcher, text).map_err(|error| {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            let why = why.trim_start_matches("error: ").to_owned();
            self.error(start..self.at, format!("the pattern cannot be used: {why}"))
                .label("this pattern")
        })
    }

    /// Text up to `)` or one of `ends`, without space around it; a backslash takes what follows as
    /// it is.
    fn plain(&mut self, ends: &[char]) -> Result<String, FilterError> {
        let mut text = String::new();
        // What is behind here is space that may be at the end.
        let mut kept = 0;
        let mut chars = self.rest().char_indices();
        let start = self.at;
        self.at = self.text.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped)) => {
                        text.push(escaped);
                        kept = text.len();
                    }
                    None => {
                        let span = start + at..start + at + 1;
                        return Err(self.error(span, "nothing follows this backslash"));
                    }
                },
                ')' => {
                    self.at = start + at;
                    break;
                }
                c if ends.contains(&c) => {
                    self.at = start + at;
                    break;
                }
                c => {
                    text.push(c);
                    if !c.is_whitespace() {
                        kept = text.len();
                    }
                }
            }
        }
        text.truncate(kept);
        Ok(text)
    }

    /// `/.../`, in which `\/` is a `/`.
    fn regex(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '/' => {
                    self.at = start + at + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, '/')) => text.push('/'),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => text.push('\\'),
                },
                other => text.push(other),
            }
        }
        Err(self.error(start..start + 1, "this regular expression is not closed").label("open"))
    }
}

fn predicates() -> impl Iterator<Item = &'static str> {
    Field::ALL.iter().map(|(name, _)| *name).chain(OTHERS)
}

fn is_predicate(name: &str) -> bool {
    predicates().any(|known| known == name)
}
