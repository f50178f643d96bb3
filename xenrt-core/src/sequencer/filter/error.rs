//! What is wrong with an expression.

use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, SourceCode};

/// What is wrong with an expression, and where. As a [`miette::Report`] it shows the expression with
/// a mark under the offending part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter {text:?}, at column {column}: {message}")]
pub struct FilterError {
    text: String,
    span: Range<usize>,
    column: usize,
    message: String,
    label: &'static str,
    help: Option<String>,
}

impl FilterError {
    pub(super) fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let column = text.get(..span.start).map_or(0, |before| before.chars().count()) + 1;
        Self {
            text: text.to_owned(),
            span,
            column,
            message: message.into(),
            label: "here",
            help: None,
        }
    }

    pub(super) fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The bytes of the expression that are wrong.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl Diagnostic for FilterError {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new("filter"))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new(Some(self.label.to_owned()), self.span.start, self.span.len());
        Some(Box::new(std::iter::once(label)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }
}
