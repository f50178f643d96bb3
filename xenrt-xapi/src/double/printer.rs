//! Records and lines as `xe` prints them.

use super::schema::{FieldSchema, Kind};
use super::world::Object;

/// One record: the first name padded on the right, the others on the left, two empty lines after.
pub(super) fn record(rows: &[(String, String)]) -> String {
    let width = 4 + rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (index, (name, value)) in rows.iter().enumerate() {
        let padded = if index == 0 { format!("{name:<width$}") } else { format!("{name:>width$}") };
        text.push_str(&format!("{padded}: {value}\n"));
    }
    text.push_str("\n\n");
    text
}

/// The value of a field; in a list, what is expensive is not computed.
pub(super) fn value(object: &Object, field: &FieldSchema, in_list: bool) -> String {
    if in_list && field.expensive {
        "<expensive field>".to_owned()
    } else {
        object.text(field.name)
    }
}

/// One object with these fields.
pub(super) fn object(object: &Object, fields: &[&FieldSchema], in_list: bool) -> String {
    let row = |field: &&FieldSchema| (field.tagged(), value(object, field, in_list));
    record(&fields.iter().map(row).collect::<Vec<_>>())
}

/// Values on one line.
pub(super) fn minimal(values: &[String]) -> String {
    let escaped = values.iter().map(|value| value.replace('\\', "\\\\").replace(',', "\\,"));
    format!("{}\n", escaped.collect::<Vec<_>>().join(","))
}

/// Whether the kind is one that filters with `:contains` or a key go into.
pub(super) fn has_members(kind: Kind) -> bool {
    kind != Kind::Single
}
