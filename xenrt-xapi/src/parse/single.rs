//! Single values: `*-param-get`, and what commands print that create something.

use uuid::Uuid;
use xenrt_core::Result;

use super::not_understood;

/// One value as `xe` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A reference to nothing: `<not in database>`, `<invalid reference>`.
    Null,
    /// A field that lists do not compute: `<expensive field>`. Ask for it with `*-param-get`.
    Expensive,
    /// A value.
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// What `text` is.
    pub fn of(text: &'a str) -> Self {
        match text {
            // The second is an object that went away while the list was made (records.ml).
            "<not in database>" | "<invalid reference>" => Self::Null,
            "<expensive field>" => Self::Expensive,
            text => Self::Text(text),
        }
    }

    /// The text, where there is one.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Expensive => None,
        }
    }
}

/// The value that `*-param-get` printed: everything but the last line end, several lines included.
///
/// ```
/// use xenrt_xapi::parse::{Value, single};
/// assert_eq!(single("a\\b\"c\n"), Value::Text("a\\b\"c"));
/// assert_eq!(single("<not in database>\n"), Value::Null);
/// assert_eq!(single("\n"), Value::Text(""));
/// ```
pub fn single(text: &str) -> Value<'_> {
    Value::of(text.strip_suffix('\n').unwrap_or(text))
}

/// The UUID that a command printed which creates something.
///
/// # Errors
/// [`UnexpectedOutput`](xenrt_core::Error::UnexpectedOutput) for anything but one UUID on one line:
/// nothing printed means that nothing was made, whatever the exit status.
pub fn created(text: &str) -> Result<Uuid> {
    match created_all(text)?.as_slice() {
        [uuid] => Ok(*uuid),
        _ => Err(not_understood("a command of xe that creates", "one UUID", text.trim_end())),
    }
}

/// The UUIDs that a command printed which creates something for each of several objects.
///
/// # Errors
/// [`UnexpectedOutput`](xenrt_core::Error::UnexpectedOutput) for a line that is no UUID.
pub fn created_all(text: &str) -> Result<Vec<Uuid>> {
    let uuid = |line: &str| {
        // Braces, `urn:uuid:` and the like are accepted by the parser and never printed by xe.
        let plain = line.len() == 36;
        line.parse().ok().filter(|_| plain).ok_or_else(|| {
            not_understood("a command of xe that creates", "a UUID on each line", line)
        })
    };
    text.lines().map(uuid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_uuid_says_that_something_was_made() {
        let text = "f44d0d91-fd65-2c50-2ef5-6cab86714bb0\n";
        assert_eq!(created(text).unwrap().to_string(), text.trim());
        for wrong in ["", "\n", "Aborted (you typed: 'no')\n", "{f44d0d91fd652c502ef56cab86714bb0}"]
        {
            assert!(created(wrong).is_err(), "{wrong:?} was accepted");
        }
        assert_eq!(created_all(&text.repeat(2)).unwrap().len(), 2);
        assert!(created(&text.repeat(2)).is_err());
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value: String) {
            prop_assume!(!value.starts_with('<'));
            let printed = format!("{value}\n");
            prop_assert_eq!(single(&printed), Value::Text(&value));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (single(&text), created(&text).is_ok());
        }
    }
}
