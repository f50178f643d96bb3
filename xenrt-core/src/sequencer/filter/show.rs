//! An expression as text that means the same.

use std::fmt;

use super::ast::{Expr, Relation};
use super::matcher::{Matcher, Text};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all()"),
            Self::None => f.write_str("none()"),
            Self::Not(inner) => {
                f.write_str("!")?;
                inner.inside(f, matches!(**inner, Self::Any(_) | Self::Every(_)))
            }
            Self::Every(parts) => {
                joined(f, parts, " & ", |part| matches!(part, Self::Any(_) | Self::Every(_)))
            }
            Self::Any(parts) => joined(f, parts, " | ", |part| matches!(part, Self::Any(_))),
            Self::Field(field, text) => {
                write!(f, "{}(", field.name())?;
                text.show(f, field.bare())?;
                f.write_str(")")
            }
            Self::Priority(Relation::Equal, number) => write!(f, "prio({number})"),
            Self::Priority(relation, number) => {
                let sign = Relation::ALL.iter().find(|(_, own)| own == relation);
                write!(f, "prio({}{number})", sign.map_or("", |(sign, _)| sign))
            }
            Self::Argument(name, None) => write!(f, "arg({})", escaped(name, &['='])),
            Self::Argument(name, Some(value)) => {
                write!(f, "arg({}=", escaped(name, &['=']))?;
                value.show(f, Matcher::Equal)?;
                f.write_str(")")
            }
        }
    }
}

impl Expr {
    fn inside(&self, f: &mut fmt::Formatter<'_>, parentheses: bool) -> fmt::Result {
        if parentheses { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    sign: &str,
    parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(sign)?;
        }
        part.inside(f, parentheses(part))?;
    }
    Ok(())
}

impl Text {
    fn show(&self, f: &mut fmt::Formatter<'_>, bare: Matcher) -> fmt::Result {
        let sign = match self.matcher {
            Matcher::Regex => {
                f.write_str("/")?;
                let mut chars = self.text.chars();
                while let Some(c) = chars.next() {
                    match c {
                        '/' => f.write_str("\\/")?,
                        '\\' => {
                            f.write_str("\\")?;
                            chars.next().map_or(Ok(()), |next| write!(f, "{next}"))?;
                        }
                        other => write!(f, "{other}")?,
                    }
                }
                return f.write_str("/");
            }
            Matcher::Equal => "=",
            Matcher::Contains => "~",
            Matcher::Glob => "#",
        };
        let text = escaped(&self.text, &[]);
        // Text that begins like a matcher, or is nothing, would be taken for something else.
        let plain = self.matcher == bare && !self.text.is_empty();
        if plain && !self.text.starts_with(['=', '~', '#', '/']) {
            f.write_str(&text)
        } else {
            write!(f, "{sign}{text}")
        }
    }
}

/// The text with backslashes where it would be taken for something else.
fn escaped(text: &str, also: &[char]) -> String {
    let inner = text.trim();
    let from = text.len() - text.trim_start().len();
    let until = from + inner.len();
    let mut escaped = String::new();
    for (at, c) in text.char_indices() {
        let at_the_edge = at < from || at >= until;
        if c == ')' || c == '\\' || at_the_edge || also.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
