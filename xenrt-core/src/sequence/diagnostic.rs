//! What is wrong with a sequence file, and where.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{LabeledSpan, SourceCode};

use super::{Place, syntax::Source};

/// What kind of problem a [`Diagnostic`] tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DiagnosticKind {
    /// The file is not well-formed XML.
    MalformedXml,
    /// An element that the language does not have.
    UnknownElement,
    /// An element of the language at a place where it cannot stand.
    MisplacedElement,
    /// An attribute that the element does not have.
    UnknownAttribute,
    /// A file that cannot be included: it is not there, not to be read, or includes itself.
    CannotInclude,
    /// An attribute or element that cannot be left out.
    Missing,
    /// A value that is not of the type or in the range that is expected.
    InvalidValue,
    /// A name, number or element that is there already.
    Duplicate,
    /// A name that no host, guest, collection, script or test has.
    DanglingReference,
    /// `${NAME}` or `%NAME%` with a name that no variable has, or a variable that refers to itself.
    UndefinedVariable,
    /// Text where only elements can stand.
    UnexpectedText,
    /// More of something than the limits allow.
    LimitExceeded,
    /// A value that the original read in another way than it seems to be meant; always a warning.
    ReadOtherwise,
    /// Something that changes nothing; always a warning.
    NoEffect,
}

impl DiagnosticKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::MalformedXml,
        Self::UnknownElement,
        Self::MisplacedElement,
        Self::UnknownAttribute,
        Self::CannotInclude,
        Self::Missing,
        Self::InvalidValue,
        Self::Duplicate,
        Self::DanglingReference,
        Self::UndefinedVariable,
        Self::UnexpectedText,
        Self::LimitExceeded,
        Self::ReadOtherwise,
        Self::NoEffect,
    ];

    /// Its name for programs: `unknown_element`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedXml => "malformed_xml",
            Self::UnknownElement => "unknown_element",
            Self::MisplacedElement => "misplaced_element",
            Self::UnknownAttribute => "unknown_attribute",
            Self::CannotInclude => "cannot_include",
            Self::Missing => "missing",
            Self::InvalidValue => "invalid_value",
            Self::Duplicate => "duplicate",
            Self::DanglingReference => "dangling_reference",
            Self::UndefinedVariable => "undefined_variable",
            Self::UnexpectedText => "unexpected_text",
            Self::LimitExceeded => "limit_exceeded",
            Self::ReadOtherwise => "read_otherwise",
            Self::NoEffect => "no_effect",
        }
    }

    /// What stands under the offending part.
    fn label(self) -> &'static str {
        match self {
            Self::MalformedXml => "not well-formed from here",
            Self::UnknownElement | Self::UnknownAttribute => "unknown",
            Self::MisplacedElement | Self::UnexpectedText => "not here",
            Self::CannotInclude => "not there",
            Self::Missing => "incomplete",
            Self::InvalidValue => "not valid",
            Self::Duplicate => "again",
            Self::DanglingReference => "nobody is called so",
            Self::UndefinedVariable => "cannot be replaced",
            Self::LimitExceeded => "too much",
            Self::ReadOtherwise => "the original read it otherwise",
            Self::NoEffect => "no effect",
        }
    }
}

/// Whether a problem refuses a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file loads all the same.
    Warning,
    /// The file is refused.
    Error,
}

/// One problem of a sequence file.
///
/// [`Display`](fmt::Display) is one line that needs nothing else: `file:line:column: message;
/// expected ...; did you mean ...`. [`into_report`](Self::into_report) makes a
/// [`miette::Diagnostic`] that shows the line of the file with a mark under the offending part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    kind: DiagnosticKind,
    severity: Severity,
    message: String,
    /// What was expected, what might be meant, what to do.
    help: Vec<String>,
    place: Place,
    /// Another place that matters: where the first of two stands.
    other: Option<(Place, String)>,
    source: Arc<Source>,
}

impl Diagnostic {
    pub(super) fn new(
        source: &Arc<Source>,
        kind: DiagnosticKind,
        at: &Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            severity: Severity::Error,
            message: message.into(),
            help: Vec::new(),
            place: source.place(at),
            other: None,
            source: Arc::clone(source),
        }
    }

    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds a phrase that says what to do; an empty one adds nothing.
    pub(super) fn help(mut self, phrase: impl Into<String>) -> Self {
        self.help.push(phrase.into());
        self.help.retain(|phrase| !phrase.is_empty());
        self
    }

    pub(super) fn see(mut self, at: &Range<usize>, label: impl Into<String>) -> Self {
        self.other = Some((self.source.place(at), label.into()));
        self
    }

    /// What kind of problem it is.
    pub fn kind(&self) -> DiagnosticKind {
        self.kind
    }

    /// Whether it refuses the file.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where the offending part stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The file, as it was named by whoever read it.
    pub fn file(&self) -> &str {
        self.source.file()
    }

    /// What is wrong, without place and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was expected and what to do; `None` where the message says it all.
    pub fn advice(&self) -> Option<String> {
        (!self.help.is_empty()).then(|| self.help.join("; "))
    }

    /// The same for [`miette`], with the line of the file.
    pub fn into_report(self) -> DiagnosticReport {
        DiagnosticReport(self)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, .. } = self.place;
        write!(f, "{}:{line}:{column}: ", self.source.file())?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        for phrase in &self.help {
            write!(f, "; {phrase}")?;
        }
        if let Some((place, label)) = &self.other {
            write!(f, " ({label} at line {})", place.line)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// A [`Diagnostic`] for [`miette`]: its headline is the message alone, since place and help are
/// shown beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosticReport(Diagnostic);

impl fmt::Display for DiagnosticReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for DiagnosticReport {}

impl miette::Diagnostic for DiagnosticReport {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("sequence::{}", self.0.kind.name())))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.0.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.0.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = |place: Place, text: &str| {
            LabeledSpan::new(Some(text.to_owned()), place.offset, place.length)
        };
        let here = label(self.0.place, self.0.kind.label());
        let other = self.0.other.iter().map(move |(place, text)| label(*place, text));
        Some(Box::new(std::iter::once(here).chain(other)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.advice().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }
}

/// Why a sequence file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// It cannot be read.
    #[error("cannot read the sequence file {file:?}")]
    Read {
        /// The file.
        file: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It is not a sequence that can be carried out. The message has a line for each problem.
    #[error("{}", lines(.diagnostics))]
    Invalid {
        /// The file, as it was named by whoever read it.
        file: String,
        /// All problems, in the order of the file; at least one is an error.
        diagnostics: Vec<Diagnostic>,
    },
}

impl SequenceError {
    /// The problems; none where the file cannot be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { diagnostics, .. } => diagnostics,
        }
    }

    /// The same as a report whose headline does not repeat the problems, for
    /// [`miette::Report`] or a `main` that returns [`miette::Result`].
    pub fn into_report(self) -> SequenceReport {
        self.into()
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A [`SequenceError`] that shows each problem with the line of the file that it is in.
#[derive(Debug)]
pub struct SequenceReport {
    headline: String,
    problems: Vec<DiagnosticReport>,
    cause: Option<std::io::Error>,
}

impl From<SequenceError> for SequenceReport {
    fn from(error: SequenceError) -> Self {
        let headline = error.to_string();
        match error {
            SequenceError::Read { source, .. } => {
                Self { headline, problems: Vec::new(), cause: Some(source) }
            }
            SequenceError::Invalid { file, diagnostics } => {
                let errors = diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
                let s = if errors == 1 { "" } else { "s" };
                Self {
                    headline: format!("the sequence file {file:?} has {errors} error{s}"),
                    problems: diagnostics.into_iter().map(DiagnosticReport).collect(),
                    cause: None,
                }
            }
        }
    }
}

impl fmt::Display for SequenceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for SequenceReport {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl miette::Diagnostic for SequenceReport {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        let problems = self.problems.iter();
        Some(Box::new(problems.map(|problem| problem as &dyn miette::Diagnostic)))
    }
}
