//! YAML, of which JSON is a part: texts into values with their places.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A value with the bytes that it begins at.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sequence) struct Yaml {
    pub(in crate::sequence) value: YamlValue,
    pub(in crate::sequence) at: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::sequence) enum YamlValue {
    /// A text; `plain` where it has no quotes, so that it may be a number.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Yaml>),
    Map(Vec<(Yaml, Yaml)>),
}

/// Why a text is not a value, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sequence) struct YamlError {
    pub(in crate::sequence) message: String,
    pub(in crate::sequence) at: usize,
}

/// Values within values.
const DEEPEST: usize = 64;

/// The value of a text with one document.
pub(in crate::sequence) fn parse(text: &str) -> Result<Yaml, YamlError> {
    let bytes = byte_offsets(text);
    let byte = |index: usize| match &bytes {
        Some(bytes) => bytes.get(index).copied().unwrap_or(text.len()),
        None => index.min(text.len()),
    };
    let mut open: Vec<Yaml> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            message: error.info().to_owned(),
            at: byte(error.marker().index()),
        })?;
        let at = byte(span.start.index())..byte(span.end.index());
        let start = at.start;
        let wrong = |message: &str| Err(YamlError { message: message.to_owned(), at: start });
        let closed = match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                Some(Yaml { value: YamlValue::Scalar { text: text.into_owned(), plain }, at })
            }
            Event::SequenceStart(..) => {
                open.push(Yaml { value: YamlValue::List(Vec::new()), at });
                None
            }
            Event::MappingStart(..) => {
                open.push(Yaml { value: YamlValue::Map(Vec::new()), at });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop(),
            // A few lines of aliases can stand for more than any memory holds.
            Event::Alias(_) => return wrong("an alias (`*name`), which is not understood here"),
            Event::DocumentStart(_) if root.is_some() => return wrong("a second document"),
            _ => None,
        };
        if open.len() > DEEPEST {
            return wrong("too many values within values");
        }
        let Some(closed) = closed else { continue };
        match open.last_mut() {
            None => root = Some(closed),
            Some(Yaml { value: YamlValue::List(list), .. }) => list.push(closed),
            Some(Yaml { value: YamlValue::Map(pairs), .. }) => match pairs.last_mut() {
                // A key whose value is still to come stands twice, since it is never a value that
                // begins before its key ends.
                Some((key, value)) if is_open(key, value) => *value = closed,
                _ => pairs.push((closed.clone(), Yaml { value: open_mark(), at: closed.at })),
            },
            Some(Yaml { value: YamlValue::Scalar { .. }, .. }) => {}
        }
    }
    root.ok_or_else(|| YamlError { message: "no value".to_owned(), at: text.len() })
}

/// What stands for a value that is still to come: no value of a text is like this.
fn open_mark() -> YamlValue {
    YamlValue::Scalar { text: String::from("\0"), plain: false }
}

fn is_open(key: &Yaml, value: &Yaml) -> bool {
    key.at == value.at && value.value == open_mark()
}

/// The byte of each character; `None` where each is one byte.
fn byte_offsets(text: &str) -> Option<Vec<usize>> {
    (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect())
}

impl Yaml {
    /// A text, where it is one; nothing and null are none.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            YamlValue::Scalar { text, plain } => {
                let null = *plain && matches!(text.as_str(), "" | "~" | "null" | "None");
                (!null).then_some(text)
            }
            YamlValue::List(_) | YamlValue::Map(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, YamlValue::Scalar { .. }) && self.scalar().is_none()
    }

    /// The same without places.
    pub(in crate::sequence) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.value {
            YamlValue::Scalar { .. } if self.is_null() => Value::Null,
            YamlValue::Scalar { text, plain: false } => Value::String(text.clone()),
            YamlValue::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" => Value::Bool(true),
                "false" | "False" => Value::Bool(false),
                number => {
                    let number = number.parse::<i64>().ok().map(Value::from).or_else(|| {
                        let decimal = number.parse::<f64>().ok()?;
                        serde_json::Number::from_f64(decimal).map(Value::Number)
                    });
                    number.unwrap_or_else(|| Value::String(text.clone()))
                }
            },
            YamlValue::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            YamlValue::Map(pairs) => Value::Object(
                pairs
                    .iter()
                    .map(|(key, value)| (key.scalar().unwrap_or("").to_owned(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// A text, or the texts of a list with commas between them, or `name=value` of a map.
    pub(super) fn flat(&self) -> Option<String> {
        match &self.value {
            YamlValue::Scalar { .. } => self.scalar().map(str::to_owned),
            YamlValue::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::flat).collect();
                items.map(|items| items.join(","))
            }
            YamlValue::Map(pairs) => {
                let pairs: Option<Vec<_>> = pairs
                    .iter()
                    .map(|(key, value)| Some(format!("{}={}", key.scalar()?, value.flat()?)))
                    .collect();
                pairs.map(|pairs| pairs.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_is_yaml_and_commas_may_trail() {
        let value = parse("\n { \"hosts\": [ { \"id\": 0, \"größe\": \"1\", } ] }").unwrap();
        let expected = serde_json::json!({ "hosts": [ { "id": 0, "größe": "1" } ] });
        assert_eq!(value.to_json(), expected);
        let YamlValue::Map(pairs) = &value.value else { panic!("{value:?}") };
        assert_eq!(pairs[0].0.at, 4..11);
    }

    #[test]
    fn what_could_explode_is_refused() {
        let aliases = parse("a: &a [1]\nb: [*a, *a]").unwrap_err();
        assert!(aliases.message.contains("alias"), "{aliases:?}");
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse("a\n---\nb").is_err());
        assert!(parse("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)[\\[\\]{}:, \n\"'a*&|>-]{0,60}") {
            if let Err(error) = parse(&text) {
                prop_assert!(error.at <= text.len());
            }
        }
    }
}
