//! What keeps a sequence from being a plan.

use std::fmt;

use miette::{LabeledSpan, NamedSource, SourceCode};

use crate::sequence::{Origin, Place, Word};

/// One thing that keeps a sequence from being a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblem {
    /// The file that it is in, where that is not the sequence file but one that it includes.
    pub file: Option<IncludedFile>,
    /// Where in the file.
    pub place: Place,
    /// What, with the nearest valid name.
    pub message: String,
}

/// A file that a sequence includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// Its name, as whoever read it called it.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl PlanProblem {
    /// One in the sequence file.
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { file: None, place, message: message.into() }
    }

    /// One about a word, which is told in the file that it is written in; `place` is where the
    /// sequence file `main` has it, or includes it.
    pub(super) fn about(word: &Word, main: &str, place: Place, message: impl Into<String>) -> Self {
        match word.origin().filter(|origin| origin.file != main) {
            None => Self::new(place, message),
            Some(Origin { file, text, place }) => {
                let file = IncludedFile { name: file.to_owned(), text: text.to_owned() };
                Self { file: Some(file), place, message: message.into() }
            }
        }
    }
}

/// Everything that keeps a sequence from being a plan.
///
/// Shown with `{}`, it is a line `file:line:column: message` for each problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The sequence file.
    pub file: String,
    /// All problems, in the order of the file.
    pub problems: Vec<PlanProblem>,
}

impl PlanError {
    /// The same with the lines of the file and a mark under each place, for [`miette::Report`] or a
    /// `main` that returns [`miette::Result`]. `text` is the text of the sequence file; a problem
    /// whose place is not in it is told without its line.
    pub fn into_report(self, text: impl Into<String>) -> PlanReport {
        let text = text.into();
        let count = self.problems.len();
        let s = if count == 1 { "" } else { "s" };
        let headline = format!("the sequence {:?} cannot be run: {count} problem{s}", self.file);
        let problems = self.problems.into_iter().map(|problem| {
            let Place { offset, length, .. } = problem.place;
            let (file, text) = match &problem.file {
                Some(included) => (&included.name, &included.text),
                None => (&self.file, &text),
            };
            let inside = length > 0 && text.get(offset..offset + length).is_some();
            ProblemReport {
                source: inside.then(|| NamedSource::new(file, text.clone())),
                place: format!("{file}:{}:{}", problem.place.line, problem.place.column),
                problem,
            }
        });
        PlanReport { headline, problems: problems.collect() }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, PlanProblem { file, place, message }) in self.problems.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            let file = file.as_ref().map_or(&self.file, |included| &included.name);
            write!(f, "{line_end}{file}:{}:{}: {message}", place.line, place.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {}

/// A [`PlanError`] that shows each problem with the line of the file that it is in.
#[derive(Debug)]
pub struct PlanReport {
    headline: String,
    problems: Vec<ProblemReport>,
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for PlanReport {}

impl miette::Diagnostic for PlanReport {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn miette::Diagnostic)))
    }
}

#[derive(Debug)]
struct ProblemReport {
    problem: PlanProblem,
    place: String,
    source: Option<NamedSource<String>>,
}

impl fmt::Display for ProblemReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.is_none() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for ProblemReport {}

impl miette::Diagnostic for ProblemReport {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("sequence::plan"))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Place { offset, length, .. } = self.problem.place;
        self.source.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new(None, offset, length))))
    }
}
