//! Arguments of a test.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::Memory;
use crate::nearest::nearest;
use crate::sequence::Argument;

/// Why an argument cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgError {
    /// The test cannot do without it.
    #[error(
        "the argument `{name}` is missing; give it with <arg>{name}=...</arg>{}",
        nearest(.name, .given.iter().map(String::as_str))
            .map(|given| format!("; is {given:?} meant to be it?"))
            .unwrap_or_default()
    )]
    Missing {
        /// Its name.
        name: String,
        /// The names that were given.
        given: Vec<String>,
    },
    /// The test cannot do without a positional argument.
    #[error("the argument number {index} is missing; give it with <arg>...</arg>, without `name=`")]
    MissingPositional {
        /// Its number, from 0.
        index: usize,
    },
    /// It is not of the type that the test expects.
    #[error("the argument `{name}` is {value:?}, which is not {expected}")]
    Invalid {
        /// Its name, or `number 0` for a positional one.
        name: String,
        /// What it is.
        value: String,
        /// What it should be, in words.
        expected: String,
    },
    /// It is given more than once, and the test takes one value.
    #[error(
        "the argument `{name}` is given {} times ({}), and the test takes one; leave the others out",
        .values.len(),
        .values.join(", ")
    )]
    Repeated {
        /// Its name.
        name: String,
        /// All values, in order.
        values: Vec<String>,
    },
}

/// A type that an argument of a test can have.
///
/// | type | texts |
/// |---|---|
/// | `bool` | `yes`, `true`, `1`; `no`, `false`, `0`: the first letter decides, as in the original |
/// | integers | decimal, a sign where the type has one |
/// | floats | decimal, finite |
/// | `String` | anything |
/// | [`Duration`] | `90s`, `20m`, `1h 30m`; a plain number is seconds |
/// | [`Memory`] | `512 MiB`, `2G`; a plain number is MiB, as in the original's `memory=512` |
///
/// Types of a test's own implement this, or [`FromStr`] and use [`Args::parse`].
pub trait FromArg: Sized {
    /// Reads a value.
    ///
    /// # Errors
    /// What was expected, in words that can follow "which is not": `a whole number`.
    fn from_arg(text: &str) -> Result<Self, String>;
}

impl FromArg for bool {
    fn from_arg(text: &str) -> Result<Self, String> {
        crate::sequence::parse_bool(text)
            .ok_or_else(|| String::from("yes or no (also: true, 1; false, 0)"))
    }
}

impl FromArg for String {
    fn from_arg(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromArg for $type {
            fn from_arg(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| {
                    format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
                })
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl FromArg for $type {
            fn from_arg(text: &str) -> Result<Self, String> {
                text.trim()
                    .parse()
                    .ok()
                    .filter(|number: &$type| number.is_finite())
                    .ok_or_else(|| String::from("a number such as 1.5"))
            }
        }
    )*};
}
floats!(f32, f64);

impl FromArg for Duration {
    fn from_arg(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(seconds) = text.parse() {
            return Ok(Self::from_secs(seconds));
        }
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|duration| Self::try_from(duration).ok())
            .ok_or_else(|| {
                String::from("a duration such as \"90s\", \"20m\" or a number of seconds")
            })
    }
}

impl FromArg for Memory {
    fn from_arg(text: &str) -> Result<Self, String> {
        let expected = || String::from("a size such as \"512 MiB\", \"2G\" or a number of MiB");
        let text = text.trim();
        match text.parse::<u64>() {
            // `Memory::mib` would cap a number that is too large without a word.
            Ok(mib) => mib.checked_mul(1 << 20).map(Self::bytes).ok_or_else(expected),
            Err(_) => text.parse().map_err(|_| expected()),
        }
    }
}

/// The arguments of one test: `<arg>name=value</arg>`, and `<arg>value</arg>` for positional ones.
///
/// It keeps which of them the test read, so that a misspelt argument does not go unnoticed: see
/// [`unread`](Self::unread).
///
/// ```
/// use xenrt_core::testcase::Args;
///
/// let args = Args::named([("loops", "5"), ("memry", "512")]);
/// assert_eq!(args.get_or("loops", 3)?, 5);
/// assert_eq!(args.get::<bool>("verbose")?, None);
/// assert!(args.require::<u32>("threads").is_err());
/// assert_eq!(args.unread(), ["`memry` (512)"]);
/// # Ok::<(), xenrt_core::testcase::ArgError>(())
/// ```
#[derive(Default)]
pub struct Args {
    /// In the order of the file.
    given: Vec<(Option<String>, String)>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Clone, Default)]
struct Asked {
    /// Whether they were given or not.
    names: BTreeSet<String>,
    positions: BTreeSet<usize>,
}

impl Args {
    /// No arguments.
    pub fn none() -> Self {
        Self::default()
    }

    /// Named arguments alone; what tests of tests need.
    pub fn named<N: Into<String>, V: Into<String>>(
        arguments: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let given = arguments.into_iter().map(|(name, value)| (Some(name.into()), value.into()));
        Self { given: given.collect(), asked: Mutex::default() }
    }

    /// The argument of this name; `None` where it is not given.
    ///
    /// # Errors
    /// [`ArgError::Invalid`] where it is not a `T`; [`ArgError::Repeated`] where it is given more
    /// than once (see [`all`](Self::all)).
    pub fn get<T: FromArg>(&self, name: &str) -> Result<Option<T>, ArgError> {
        self.single(name)?.map(|value| read(name, value, T::from_arg)).transpose()
    }

    /// The argument of this name, or `default` where it is not given.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or<T: FromArg>(&self, name: &str, default: T) -> Result<T, ArgError> {
        Ok(self.get(name)?.unwrap_or(default))
    }

    /// The argument of this name.
    ///
    /// # Errors
    /// [`ArgError::Missing`] where it is not given; as [`get`](Self::get).
    pub fn require<T: FromArg>(&self, name: &str) -> Result<T, ArgError> {
        self.get(name)?.ok_or_else(|| ArgError::Missing {
            name: name.to_owned(),
            given: self.names().map(str::to_owned).collect(),
        })
    }

    /// Every value of an argument that may be given more than once, in the order of the file.
    ///
    /// # Errors
    /// [`ArgError::Invalid`] for the first that is not a `T`.
    pub fn all<T: FromArg>(&self, name: &str) -> Result<Vec<T>, ArgError> {
        self.asked().names.insert(name.to_owned());
        self.values(name).map(|value| read(name, value, T::from_arg)).collect()
    }

    /// The argument of this name, of a type that is read with [`FromStr`]; `None` where it is not
    /// given. The error's text follows "which is not what was expected: ".
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, ArgError> {
        let parse =
            |text: &str| text.trim().parse().map_err(|error| format!("what was expected: {error}"));
        self.single(name)?.map(|value| read(name, value, parse)).transpose()
    }

    /// The argument of this name, one of a few words; `None` where it is not given. Words are
    /// compared without regard to case.
    ///
    /// ```
    /// use xenrt_core::model::ShutdownMode;
    /// use xenrt_core::testcase::Args;
    ///
    /// let words = [("clean", ShutdownMode::Clean), ("hard", ShutdownMode::Hard)];
    /// let args = Args::named([("how", "hrad")]);
    /// assert_eq!(
    ///     args.choice("how", &words).unwrap_err().to_string(),
    ///     "the argument `how` is \"hrad\", which is not one of clean, hard; did you mean \"hard\"?"
    /// );
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn choice<T: Clone>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ArgError> {
        let choose = |text: &str| {
            let text = text.trim();
            let chosen = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            chosen.map(|(_, value)| value.clone()).ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let nearest = nearest(text, words.iter().copied())
                    .map(|word| format!("; did you mean {word:?}?"))
                    .unwrap_or_default();
                format!("one of {}{nearest}", words.join(", "))
            })
        };
        self.single(name)?.map(|value| read(name, value, choose)).transpose()
    }

    /// The positional argument of this number, from 0; `None` where there are fewer.
    ///
    /// # Errors
    /// [`ArgError::Invalid`] where it is not a `T`.
    pub fn positional<T: FromArg>(&self, index: usize) -> Result<Option<T>, ArgError> {
        self.asked().positions.insert(index);
        let value = self.unnamed().nth(index);
        value.map(|value| read(&format!("number {index}"), value, T::from_arg)).transpose()
    }

    /// The positional argument of this number, from 0.
    ///
    /// # Errors
    /// [`ArgError::MissingPositional`] where there are fewer; as [`positional`](Self::positional).
    pub fn require_positional<T: FromArg>(&self, index: usize) -> Result<T, ArgError> {
        self.positional(index)?.ok_or(ArgError::MissingPositional { index })
    }

    /// All positional arguments.
    ///
    /// # Errors
    /// [`ArgError::Invalid`] for the first that is not a `T`.
    pub fn positionals<T: FromArg>(&self) -> Result<Vec<T>, ArgError> {
        (0..self.unnamed().count())
            .map(|index| self.positional(index))
            .filter_map(Result::transpose)
            .collect()
    }

    /// Name, where it has one, and value of each, in the order of the file. Looking at them here
    /// does not count as reading them.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.given.iter().map(|(name, value)| (name.as_deref(), value.as_str()))
    }

    /// The arguments that the test never asked for, as phrases for a warning: with their value,
    /// and with the name that was asked for and is most like theirs.
    pub fn unread(&self) -> Vec<String> {
        let asked = self.asked().clone();
        let mut positions = 0..;
        let mut unread = Vec::new();
        for (name, value) in &self.given {
            match name {
                Some(name) if asked.names.contains(name) => {}
                Some(name) => {
                    let missed = asked.names.iter().filter(|asked| !self.is_given(asked));
                    let nearest = nearest(name, missed.map(String::as_str))
                        .map(|asked| format!("; did you mean {asked:?}?"))
                        .unwrap_or_default();
                    unread.push(format!("`{name}` ({value}){nearest}"));
                }
                None => {
                    let position = positions.next().unwrap_or_default();
                    if !asked.positions.contains(&position) {
                        unread.push(format!("number {position} ({value})"));
                    }
                }
            }
        }
        unread
    }

    /// The one value of a name.
    fn single<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, ArgError> {
        self.asked().names.insert(name.to_owned());
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() {
            let values = self.values(name).map(str::to_owned).collect();
            return Err(ArgError::Repeated { name: name.to_owned(), values });
        }
        Ok(value)
    }

    fn values<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter_map(move |(name, value)| (name == Some(wanted)).then_some(value))
    }

    fn unnamed(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|(name, value)| name.is_none().then_some(value))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|(name, _)| name)
    }

    fn is_given(&self, wanted: &str) -> bool {
        self.names().any(|name| name == wanted)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // A panic elsewhere cannot leave a set half changed.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T>(
    name: &str,
    value: &str,
    reader: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ArgError> {
    reader(value).map_err(|expected| ArgError::Invalid {
        name: name.to_owned(),
        value: value.to_owned(),
        expected,
    })
}

/// The arguments, none of them read yet.
impl From<&[Argument]> for Args {
    fn from(arguments: &[Argument]) -> Self {
        let given = arguments
            .iter()
            .map(|a| (a.name.as_deref().map(str::to_owned), a.value.to_string()))
            .collect();
        Self { given, asked: Mutex::default() }
    }
}

/// A copy that knows what was read so far, and keeps its own account from here on.
impl Clone for Args {
    fn clone(&self) -> Self {
        Self { given: self.given.clone(), asked: Mutex::new(self.asked().clone()) }
    }
}

/// As they stand in a sequence file.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.iter().map(|(name, value)| match name {
            Some(name) => format!("{name}={value}"),
            None => value.to_owned(),
        });
        f.debug_list().entries(texts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn args(texts: &[&str]) -> Args {
        let given = texts
            .iter()
            .map(|text| match text.split_once('=') {
                Some((name, value)) => (Some(name.to_owned()), value.to_owned()),
                None => (None, (*text).to_owned()),
            })
            .collect();
        Args { given, asked: Mutex::default() }
    }

    #[test]
    fn every_type_is_read() {
        let args = args(&["a=yes", "b=-3", "c=1.5", "d=90s", "e=15", "f=512", "g=2G", "h=x y"]);
        assert_eq!(args.get("a"), Ok(Some(true)));
        assert_eq!(args.get("b"), Ok(Some(-3)));
        assert_eq!(args.get("c"), Ok(Some(1.5)));
        assert_eq!(args.get("d"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(args.get("e"), Ok(Some(Duration::from_secs(15))));
        assert_eq!(args.get("f"), Ok(Some(Memory::mib(512))));
        assert_eq!(args.get("g"), Ok(Some(Memory::gib(2))));
        assert_eq!(args.get("h"), Ok(Some(String::from("x y"))));
        assert_eq!(args.unread(), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let args = args(&["loops=many", "on=maybe", "wait=soon", "size=12 MB", "n=300", "f=inf"]);
        let errors = [
            args.get::<u32>("loops").unwrap_err(),
            args.get::<bool>("on").unwrap_err(),
            args.get::<Duration>("wait").unwrap_err(),
            args.get::<Memory>("size").unwrap_err(),
            args.get::<u8>("n").unwrap_err(),
            args.get::<f64>("f").unwrap_err(),
            args.parse::<std::net::IpAddr>("loops").unwrap_err(),
            args.require::<u32>("loop").unwrap_err(),
            args.require_positional::<u32>(0).unwrap_err(),
        ]
        .map(|error| error.to_string());
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn one_value_is_never_chosen_among_many() {
        let args = args(&["guest=a", "guest=b"]);
        insta::assert_snapshot!(args.get::<String>("guest").unwrap_err());
        assert_eq!(args.all::<String>("guest").unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_no_code_read_is_told() {
        let args = args(&["first", "loop=5", "second", "memory=512", "memory=1"]);
        assert_eq!(args.get_or("loops", 3), Ok(3));
        assert_eq!(args.positional(0), Ok(Some(String::from("first"))));
        assert_eq!(args.positional::<String>(7), Ok(None));
        insta::assert_snapshot!(args.unread().join("\n"));
        assert_eq!(args.positionals::<String>().unwrap(), ["first", "second"]);
        assert_eq!(args.unread().len(), 3, "{args:?}");
    }

    #[test]
    fn threads_share_the_account() {
        fn shared<T: Send + Sync + 'static>(_: &T) {}
        let args = args(&["a=1", "b=2"]);
        shared(&args);
        std::thread::scope(|scope| {
            scope.spawn(|| args.get::<u32>("a"));
            scope.spawn(|| args.get::<u32>("b"));
        });
        assert_eq!(args.unread(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text: String) {
            let args = Args::named([("x", text)]);
            let _ = args.get::<bool>("x");
            let _ = args.get::<i8>("x");
            let _ = args.get::<f32>("x");
            let _ = args.get::<Duration>("x");
            let _ = args.get::<Memory>("x");
            let _ = args.choice("x", &[("a", 1), ("b", 2)]);
        }
    }
}
