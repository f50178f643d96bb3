//! The ways into this module: a text or a file into a sequence, and how it is to be read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, DiagnosticKind, SequenceError};
use super::syntax::Source;
use super::{Limits, Loader, Sequence, read as reading};

/// How much a file may get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Whatever is not right is an error.
    #[default]
    Strict,
    /// What the original accepted loads, with a warning: it ignored unknown elements and attributes
    /// and did not look whether a name is known. What would have made it fail is an error.
    Compat,
}

/// How a sequence is read: variables from outside, mode, limits, and where included files are.
///
/// ```
/// use xenrt_core::sequence::{Mode, ReadOptions};
///
/// let text = "<xenrt><testsequence><serial grup=\"a\"/></testsequence></xenrt>";
/// assert!(ReadOptions::new().parse(text, "a.seq").is_err());
/// let sequence = ReadOptions::new().mode(Mode::Compat).parse(text, "a.seq")?;
/// assert_eq!(sequence.warnings.len(), 1);
/// # Ok::<(), xenrt_core::sequence::SequenceError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) mode: Mode,
    pub(super) limits: Limits,
    pub(super) loader: Option<Arc<dyn Loader>>,
}

impl ReadOptions {
    /// Strict, with the default limits, no variables from outside and no other files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Defines a variable. It wins over every definition of the file.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Defines variables, as [`variable`](Self::variable) does.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Strict or compatible.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where the files are that a sequence names. Without one there are none.
    #[must_use]
    pub fn loader(mut self, loader: impl Loader + 'static) -> Self {
        self.loader = Some(Arc::new(loader));
        self
    }

    /// A text into a sequence. `file_name` is what the diagnostics call it; it is not read.
    ///
    /// # Errors
    /// [`SequenceError::Invalid`] with *all* problems of the text; where it is not even XML, with
    /// the place where it ceases to be.
    pub fn parse(&self, text: &str, file_name: &str) -> Result<Sequence, SequenceError> {
        let most = self.limits.bytes();
        if text.len() > most {
            let source = Arc::new(Source::new(file_name, ""));
            return Err(too_long(&source, most));
        }
        self.parse_owned(text.to_owned(), file_name)
    }

    /// Of a text whose length was looked at.
    fn parse_owned(&self, text: String, file_name: &str) -> Result<Sequence, SequenceError> {
        reading::read(&Arc::new(Source::new(file_name, text)), self)
    }

    /// A text in bytes into a sequence, as [`parse`](Self::parse).
    ///
    /// # Errors
    /// As [`parse`](Self::parse); also where the bytes are not UTF-8.
    pub fn parse_bytes(&self, bytes: &[u8], file_name: &str) -> Result<Sequence, SequenceError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.parse(text, file_name),
            Err(error) => Err(not_utf8(bytes, error.valid_up_to(), file_name)),
        }
    }

    /// A file into a sequence. The diagnostics call it as `path` does.
    ///
    /// # Errors
    /// [`SequenceError::Read`] where it cannot be read, else as [`parse_bytes`](Self::parse_bytes).
    pub fn read(&self, path: &Path) -> Result<Sequence, SequenceError> {
        use std::io::Read as _;
        let file = path.display().to_string();
        let most = self.limits.bytes();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| {
            let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            file.take(limit).read_to_end(&mut bytes)
        });
        if let Err(source) = read {
            return Err(SequenceError::Read { file, source });
        }
        if bytes.len() > most {
            return Err(too_long(&Arc::new(Source::new(file, "")), most));
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.parse_owned(text, &file),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                Err(not_utf8(error.as_bytes(), valid, &file))
            }
        }
    }
}

/// A text into a sequence, strictly and with no variables from outside. `file_name` is what the
/// diagnostics call it; nothing is read.
///
/// ```
/// use xenrt_core::sequence::parse;
///
/// let sequence = parse(
///     r#"<xenrt>
///          <prepare><host id="0"><vm name="tiny"/></host></prepare>
///          <testsequence><testcase id="lifecycle.reboot" guest="tiny"/></testsequence>
///        </xenrt>"#,
///     "reboot.seq",
/// )?;
/// assert_eq!(sequence.prepare.hosts[0].guests[0].name, "tiny");
///
/// let error = parse("<xenrt>\n  <testsequense/>\n</xenrt>", "typo.seq").unwrap_err();
/// assert!(error.to_string().starts_with(
///     "typo.seq:2:3: unknown element <testsequense> in <xenrt>"
/// ));
/// assert!(error.to_string().ends_with("did you mean <testsequence>?"));
/// # Ok::<(), xenrt_core::sequence::SequenceError>(())
/// ```
///
/// # Errors
/// As [`ReadOptions::parse`].
pub fn parse(text: &str, file_name: &str) -> Result<Sequence, SequenceError> {
    ReadOptions::new().parse(text, file_name)
}

/// As [`parse`], with variables from outside: they win over those that the file defines, as the
/// original's command line did.
///
/// # Errors
/// As [`ReadOptions::parse`].
pub fn parse_with(
    text: &str,
    file_name: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Sequence, SequenceError> {
    ReadOptions::new().variables(variables.clone()).parse(text, file_name)
}

/// A file into a sequence, as [`parse_with`].
///
/// # Errors
/// As [`ReadOptions::read`].
pub fn read(path: &Path, variables: &BTreeMap<String, String>) -> Result<Sequence, SequenceError> {
    ReadOptions::new().variables(variables.clone()).read(path)
}

fn too_long(source: &Arc<Source>, most: usize) -> SequenceError {
    let message = format!("the file is longer than {most} bytes");
    let problem = Diagnostic::new(source, DiagnosticKind::LimitExceeded, &(0..0), message)
        .help("the limit is `bytes`");
    SequenceError::Invalid { file: source.file().to_owned(), diagnostics: vec![problem] }
}

/// The bytes up to the first that are no text, with a sign in their place.
fn not_utf8(bytes: &[u8], valid: usize, file_name: &str) -> SequenceError {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let source = Arc::new(Source::new(file_name, text));
    let at = valid..valid + char::REPLACEMENT_CHARACTER.len_utf8();
    let problem =
        Diagnostic::new(&source, DiagnosticKind::MalformedXml, &at, "the file is not UTF-8 here")
            .help("save it as UTF-8");
    SequenceError::Invalid { file: file_name.to_owned(), diagnostics: vec![problem] }
}
