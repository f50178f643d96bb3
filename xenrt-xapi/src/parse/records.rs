//! Records: the long form of lists and of `*-param-list`.

use xenrt_core::{Error, Result};

use super::not_understood;
use super::single::Value;

/// Whether a field can be set through `*-param-set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `RO`
    ReadOnly,
    /// `RW`
    ReadWrite,
}

/// What the value of a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// One value.
    Single,
    /// A set (`SRO`, `SRW`), see [`values::set`](super::values::set).
    Set,
    /// A map (`MRO`, `MRW`), see [`values::map`](super::values::map).
    Map,
}

/// One field of a [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name: `name-label`.
    pub name: &'a str,
    /// Whether it can be set.
    pub access: Access,
    /// What its value is.
    pub kind: FieldKind,
    /// Whether xapi calls it deprecated.
    pub deprecated: bool,
    /// Its value as printed, line ends and all.
    pub value: &'a str,
}

/// One object as `xe` lists it. It borrows from the output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// Its fields in the order of the output, which is that of xapi's own definition.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Record<'a> {
    /// The field with this name, where it was printed: `xe` drops names that it does not know.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The value of the field with this name; `None` where it was not printed, is a null reference
    /// (`<not in database>`) or was too expensive for a list.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).and_then(|field| Value::of(field.value).text())
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// [`Error::UnexpectedOutput`] where it was not printed or has no value.
    pub fn require(&self, name: &str) -> Result<&'a str> {
        self.get(name).ok_or_else(|| self.lacks(name, "a value"))
    }

    /// The value of a field that must be there, as something else.
    ///
    /// # Errors
    /// [`Error::UnexpectedOutput`] where it was not printed or is no `T`.
    pub fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        let text = self.require(name)?;
        text.parse().map_err(|_| {
            let expected = format!("{} in the field {name}", std::any::type_name::<T>());
            not_understood("a record of xe", &expected, text)
        })
    }

    fn lacks(&self, name: &str, expected: &str) -> Error {
        let known: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
        let expected = format!("{expected} in the field {name}");
        not_understood("a record of xe", &expected, &known.join(", "))
    }

    /// Whether a value has several lines. Nothing is escaped in this form, so that such a value may
    /// look like more fields or more records; who must be sure asks for it alone.
    pub fn has_line_ends(&self) -> bool {
        self.fields.iter().any(|field| field.value.contains('\n'))
    }
}

/// Understands the output of `*-list` and `*-param-list`.
///
/// The form (cli_printer.ml, the same since at least 2020): the first line of a record is
/// `name ( RO)` padded to a width W, the others are padded on the left to W; then `: value`. Two
/// empty lines follow each record. Values are not escaped. A line counts as a field only where its
/// colon stands at W, and as a new record only after two empty lines and where it begins with the
/// field that the first record began with; everything else continues the value before it. That
/// leaves as little room for forged fields as the form allows, and [`Record::has_line_ends`] tells
/// where there is some.
///
/// One record at a time is held; the time is linear in the length of the text.
pub fn records(text: &str) -> Records<'_> {
    Records { rest: text, first_name: None, failed: false }
}

/// The records of an output, one after the other; made by [`records`].
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a str,
    first_name: Option<&'a str>,
    failed: bool,
}

/// A line that has the shape of a field, and where its colon stands.
struct Shape<'a> {
    field: Field<'a>,
    indented: bool,
    width: usize,
}

fn shape(line: &str) -> Option<Shape<'_>> {
    let name_at = line.find(|c| c != ' ')?;
    let after_indent = &line[name_at..];
    let name_len = after_indent.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))?;
    let name = &after_indent[..name_len];
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let tag = after_indent[name_len..].strip_prefix(" (")?;
    let (tag, rest) = (tag.get(..3)?, tag.get(3..)?);
    let (kind, access) = match tag {
        " RO" => (FieldKind::Single, Access::ReadOnly),
        " RW" => (FieldKind::Single, Access::ReadWrite),
        "SRO" => (FieldKind::Set, Access::ReadOnly),
        "SRW" => (FieldKind::Set, Access::ReadWrite),
        "MRO" => (FieldKind::Map, Access::ReadOnly),
        "MRW" => (FieldKind::Map, Access::ReadWrite),
        _ => return None,
    };
    let rest = rest.strip_prefix(')')?;
    let (deprecated, rest) = match rest.strip_prefix(" [DEPRECATED]") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let padded = rest.trim_start_matches(' ');
    let indented = name_at > 0;
    // Padding stands before a name or after its tag, never on both sides.
    if indented && padded.len() != rest.len() {
        return None;
    }
    let value = padded.strip_prefix(": ")?;
    let width = line.len() - padded.len();
    Some(Shape { field: Field { name, access, kind, deprecated, value }, indented, width })
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let record = self.read();
        self.failed = record.is_err();
        Some(record)
    }
}

impl<'a> Records<'a> {
    fn read(&mut self) -> Result<Record<'a>> {
        let text = self.rest;
        let mut record = Record::default();
        let (mut width, mut value_start, mut offset, mut empty_lines) = (0, 0, 0, 0);
        let mut end = None;
        for line in text.split_inclusive('\n') {
            let bare = line.strip_suffix('\n').unwrap_or(line);
            let shape = shape(bare);
            if record.fields.is_empty() {
                let begins = shape.filter(|shape| {
                    !shape.indented && self.first_name.is_none_or(|own| own == shape.field.name)
                });
                let Some(first) = begins else {
                    let expected = "a record, `name ( RO): value`";
                    return Err(not_understood("a list of xe", expected, bare));
                };
                width = first.width;
                value_start = offset + bare.len() - first.field.value.len();
                self.first_name = Some(first.field.name);
                record.fields.push(first.field);
            } else if let Some(shape) = shape {
                if shape.indented && shape.width == width {
                    close(&mut record, &text[value_start..offset]);
                    value_start = offset + bare.len() - shape.field.value.len();
                    record.fields.push(shape.field);
                } else if !shape.indented
                    && empty_lines >= 2
                    && self.first_name == Some(shape.field.name)
                {
                    end = Some(offset);
                    break;
                }
            }
            empty_lines = if bare.is_empty() { empty_lines + 1 } else { 0 };
            offset += line.len();
        }
        let end = end.unwrap_or(text.len());
        let last = &text[value_start..end];
        // The two empty lines that follow a record are not of its value.
        close(&mut record, last.strip_suffix("\n\n").unwrap_or(last));
        self.rest = &text[end..];
        Ok(record)
    }
}

/// Sets the value of the last field: `text` with the line end that the form adds.
fn close<'a>(record: &mut Record<'a>, text: &'a str) {
    if let Some(field) = record.fields.last_mut() {
        field.value = text.strip_suffix('\n').unwrap_or(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As xapi prints records.
    fn printed(records: &[Vec<(String, String)>]) -> String {
        let mut text = String::new();
        for record in records {
            let tagged: Vec<String> =
                record.iter().map(|(name, _)| format!("{name} ( RW)")).collect();
            let width = 4 + tagged.iter().map(String::len).max().unwrap_or(0);
            for (index, (tagged, (_, value))) in tagged.iter().zip(record).enumerate() {
                let padded = if index == 0 {
                    format!("{tagged:<width$}")
                } else {
                    format!("{tagged:>width$}")
                };
                text.push_str(&format!("{padded}: {value}\n"));
            }
            text.push_str("\n\n");
        }
        text
    }

    fn understood(text: &str) -> Vec<Record<'_>> {
        records(text).collect::<Result<_>>().unwrap()
    }

    #[test]
    fn forged_fields_and_records_stay_in_their_value() {
        let text = include_str!("../../tests/data/618-list-with-newline-value.txt");
        let records = understood(text);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].fields.len(), 3);
        assert_eq!(
            records[0].get("name-description"),
            Some("line1\nline2 ( RW): fake\n\nuuid ( RO): 123")
        );
        assert_eq!(records[0].get("power-state"), Some("halted"));
        assert!(records[0].has_line_ends());
    }

    #[test]
    fn twenty_thousand_vms_are_read_one_at_a_time() {
        let made = |number: usize| {
            let names = ["uuid", "name-label", "power-state"];
            let values = [number.to_string(), format!("guest {number}"), "running".to_owned()];
            names.map(str::to_owned).into_iter().zip(values).collect::<Vec<_>>()
        };
        let text = printed(&(0..20_000).map(made).collect::<Vec<_>>());
        let mut count = 0;
        for record in records(&text) {
            let record = record.unwrap();
            assert_eq!(record.parse::<usize>("uuid").unwrap(), count);
            // It borrows: what is held of a record is its list of fields.
            assert!(text.as_bytes().as_ptr_range().contains(&record.fields[1].value.as_ptr()));
            count += 1;
        }
        assert_eq!(count, 20_000);
    }

    #[test]
    fn nulls_and_expensive_fields_are_no_values() {
        let text = "uuid ( RO)             : 1\n    memory-target ( RO): <expensive field>\n      \
                    resident-on ( RO): <not in database>\n\n\n";
        let records = understood(text);
        assert_eq!(records[0].get("memory-target"), None);
        assert_eq!(records[0].get("resident-on"), None);
        assert!(records[0].require("nonsense").unwrap_err().to_string().contains("memory-target"));
        assert_eq!(records[0].parse::<u32>("uuid").unwrap(), 1);
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        for noise in ["Aborted\n", "    uuid ( RO): 1\n", "uuid ( RX): 1\n", "uuid : 1\n", "\n"] {
            let error = records(noise).next().unwrap().unwrap_err();
            assert!(error.to_string().contains(noise.trim()), "{error}");
            assert_eq!(records(noise).count(), 1);
        }
        assert_eq!(records("").count(), 0);
    }

    proptest! {
        #[test]
        fn any_value_without_line_ends_comes_back(
            values in proptest::collection::vec(("[^\n]*", "[^\n]*", "[^\n]*"), 1..5)
        ) {
            let made: Vec<Vec<(String, String)>> = values
                .into_iter()
                .map(|(a, b, c)| {
                    let name = ["uuid", "name-label", "power-state"];
                    name.map(str::to_owned).into_iter().zip([a, b, c]).collect()
                })
                .collect();
            let text = printed(&made);
            let read = understood(&text);
            let read: Vec<Vec<(String, String)>> = read
                .iter()
                .map(|record| {
                    let pair = |field: &Field<'_>| (field.name.to_owned(), field.value.to_owned());
                    record.fields.iter().map(pair).collect()
                })
                .collect();
            prop_assert_eq!(read, made);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            records(&text).for_each(drop);
            let after = format!("uuid ( RO)    : {text}\n     x ( RW): {text}\n\n\n{text}");
            records(&after).for_each(drop);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            records(&String::from_utf8_lossy(&bytes)).for_each(drop);
        }
    }
}
