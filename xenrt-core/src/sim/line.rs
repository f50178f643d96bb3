//! The part of a POSIX shell's language that simulated shells read: words, quotes, `;`, `&&`,
//! `||` and redirections to files.

/// When a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    AfterSuccess,
    AfterFailure,
}

/// Where standard output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    Here,
    Nowhere,
    Stderr,
    File { path: String, append: bool },
}

/// One simple command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) when: When,
    pub(super) words: Vec<String>,
    pub(super) out: Out,
}

/// The commands of a line; `None` for what is beyond this part of the language.
pub(super) fn read(line: &str) -> Option<Vec<Simple>> {
    let mut reader = Reader { commands: Vec::new(), words: Vec::new(), out: Out::Here };
    let mut when = When::Always;
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' => {
                chars.next();
            }
            ';' | '\n' => {
                chars.next();
                reader.end(&mut when, When::Always);
            }
            '&' | '|' => {
                chars.next();
                // A single one is a pipe or a background job.
                if chars.next() != Some(c) {
                    return None;
                }
                let next = if c == '&' { When::AfterSuccess } else { When::AfterFailure };
                reader.end(&mut when, next);
            }
            '>' => {
                chars.next();
                let append = chars.next_if_eq(&'>').is_some();
                if chars.next_if_eq(&'&').is_some() {
                    if chars.next() != Some('2') {
                        return None;
                    }
                    reader.out = Out::Stderr;
                    continue;
                }
                while chars.next_if(|c| *c == ' ').is_some() {}
                let path = word(&mut chars)?;
                reader.out = match path.as_str() {
                    "/dev/null" => Out::Nowhere,
                    _ => Out::File { path, append },
                };
            }
            '<' | '(' | ')' | '#' => return None,
            _ => {
                let text = word(&mut chars)?;
                // Errors that are thrown away stay; nobody misses them less for that.
                if text == "2" && chars.peek() == Some(&'>') {
                    chars.next();
                    if chars.next_if_eq(&'&').is_some() {
                        chars.next_if_eq(&'1')?;
                    } else {
                        word(&mut chars)?;
                    }
                    continue;
                }
                reader.words.push(text);
            }
        }
    }
    reader.end(&mut when, When::Always);
    Some(reader.commands)
}

struct Reader {
    commands: Vec<Simple>,
    words: Vec<String>,
    out: Out,
}

impl Reader {
    fn end(&mut self, when: &mut When, next: When) {
        let words = std::mem::take(&mut self.words);
        let out = std::mem::replace(&mut self.out, Out::Here);
        if !words.is_empty() {
            self.commands.push(Simple { when: *when, words, out });
        }
        *when = next;
    }
}

/// One word, unquoted; `None` where it would be expanded.
fn word(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '>' | '<' | '(' | ')' => break,
            '\'' => {
                chars.next();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => text.push(c),
                    }
                }
            }
            '"' => {
                chars.next();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' if chars.peek().is_some_and(|c| "\"\\$`".contains(*c)) => {
                            text.push(chars.next()?);
                        }
                        '$' | '`' => return None,
                        c => text.push(c),
                    }
                }
            }
            '\\' => {
                chars.next();
                text.push(chars.next()?);
            }
            '$' | '`' | '*' | '?' => return None,
            _ => {
                text.push(c);
                chars.next();
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Command;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_as_a_shell_reads_them() {
        let read = |line| read(line).unwrap();
        let commands = read("a 'b c' && d >\"/x y\" || e 2>/dev/null; f >&2");
        let whens: Vec<When> = commands.iter().map(|command| command.when).collect();
        use When::{AfterFailure, AfterSuccess, Always};
        assert_eq!(whens, [Always, AfterSuccess, AfterFailure, Always]);
        assert_eq!(commands[0].words, ["a", "b c"]);
        assert_eq!(commands[1].out, Out::File { path: "/x y".into(), append: false });
        assert_eq!(
            (&commands[2].words[..], &commands[3].out),
            (&["e".to_owned()][..], &Out::Stderr)
        );
    }

    #[test]
    fn what_is_beyond_it_is_refused() {
        for line in ["a | b", "a &", "echo $(id)", "echo `id`", "ls *", "cat <x", "(a)", "'open"] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_the_library_quotes_comes_back(words in prop::collection::vec("[^\0]{0,12}", 1..5)) {
            let command = Command::new("x").args(words.clone());
            let read = read(&command.to_shell_line()).unwrap();
            prop_assert_eq!(&read[0].words[1..], &words[..]);
            prop_assert_eq!(read.len(), 1);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = read(&text);
        }
    }
}
