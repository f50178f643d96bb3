//! JSON that may stand inside a `<script>` of a page.

use std::io::{self, Write};

/// Passes JSON on with the characters escaped that mean something to a parser of HTML.
///
/// They can only stand inside of strings there, where JSON writes any character as `\u....` (RFC
/// 8259, section 7). Without them no text can end the element (`</script>`), begin a comment
/// (`<!--`) or a reference (`&lt;`).
pub(super) struct ScriptSafe<W>(pub(super) W);

impl<W: Write> Write for ScriptSafe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'<' | b'>' | b'&')) {
            self.0.write_all(&bytes[..at])?;
            write!(self.0, "\\u{:04x}", bytes[at])?;
            bytes = &bytes[at + 1..];
        }
        self.0.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn safe(text: &str) -> String {
        let mut bytes = Vec::new();
        serde_json::to_writer(ScriptSafe(&mut bytes), text).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn nothing_in_a_text_ends_the_script() {
        let text = "</script><script>alert(1)</script><!-- &lt;";
        assert!(!safe(text).contains(['<', '>', '&']));
    }

    proptest! {
        #[test]
        fn every_text_comes_back_as_it_was(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&safe(&text)).unwrap(), text);
        }
    }
}
