//! Several outputs in one.
//!
//! One ssh command costs as much as the `xl` that it runs, so what is read together is read with
//! one shell line, whose parts are set apart by lines that none of them prints by itself.

use super::not_understood;
use xenrt_core::Result;

/// What a line that begins a section starts with; the section's name follows.
pub(crate) const SECTION: &str = "@@xenrt-section ";

/// The sections of an output, in order: name and text. What stands before the first one must be
/// empty.
pub(crate) fn sections(text: &str) -> Result<Vec<(&str, &str)>> {
    let mut sections: Vec<(&str, &str)> = Vec::new();
    let mut start = 0;
    let mut name = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if let Some(next) = line.strip_prefix(SECTION) {
            match name {
                Some(name) => sections.push((name, &text[start..offset])),
                None if text[..offset].trim().is_empty() => {}
                None => return Err(unexpected(&text[..offset])),
            }
            name = Some(next.trim_end_matches('\n'));
            start = offset + line.len();
        }
        offset += line.len();
    }
    match name {
        Some(name) => sections.push((name, &text[start..])),
        None if text.trim().is_empty() => {}
        None => return Err(unexpected(text)),
    }
    Ok(sections)
}

fn unexpected(found: &str) -> xenrt_core::Error {
    not_understood("the answer of the host", "a section line first", found.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_come_back_as_they_were() {
        let text = format!("{SECTION}a\nx\ny\n{SECTION}b\n{SECTION}c d\nz");
        assert_eq!(sections(&text).unwrap(), [("a", "x\ny\n"), ("b", ""), ("c d", "z")]);
        assert_eq!(sections("\n").unwrap(), []);
        assert!(sections("bash: warning\n@@xenrt-section a\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = sections(&text);
            let _ = sections(&text.replace(' ', SECTION));
        }
    }
}
