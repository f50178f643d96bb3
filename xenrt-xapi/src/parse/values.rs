//! Sets and maps inside a value.
//!
//! xapi joins them with `"; "` and, in maps, `": "`, and escapes nothing. A member that holds a
//! separator cannot be told from two members; what can be known is kept (a part of a map without
//! `": "` belongs to the value before it), and the rest is documented here. Who must be sure of one
//! key of a map asks for it alone (`param-key=`).

use std::collections::BTreeMap;

/// The members of a set. None where it is empty.
///
/// ```
/// assert_eq!(xenrt_xapi::parse::values::set("start; clone; copy"), ["start", "clone", "copy"]);
/// ```
pub fn set(text: &str) -> Vec<&str> {
    split(text, "; ")
}

/// The members of the field `tags`, the one set that is joined by `", "`.
pub fn tags(text: &str) -> Vec<&str> {
    split(text, ", ")
}

fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    if text.is_empty() { Vec::new() } else { text.split(separator).collect() }
}

/// The pairs of a map.
///
/// ```
/// let map = xenrt_xapi::parse::values::map("mykey: a b,c;d:e; empty: ; other: x");
/// assert_eq!(map["mykey"], "a b,c;d:e");
/// assert_eq!(map["empty"], "");
/// ```
pub fn map(text: &str) -> BTreeMap<&str, String> {
    let mut map: BTreeMap<&str, String> = BTreeMap::new();
    let mut last: Option<&str> = None;
    for part in split(text, "; ") {
        match (part.split_once(": "), last) {
            (Some((key, value)), _) => {
                map.insert(key, value.to_owned());
                last = Some(key);
            }
            (None, Some(key)) => {
                if let Some(value) = map.get_mut(key) {
                    value.push_str("; ");
                    value.push_str(part);
                }
            }
            // A text that is no map at all.
            (None, None) => {
                map.insert(part, String::new());
                last = Some(part);
            }
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_without_a_key_belongs_to_the_value_before_it() {
        let map = map("a: x; y; z; b: ");
        assert_eq!((map["a"].as_str(), map["b"].as_str()), ("x; y; z", ""));
        assert!(super::map("").is_empty());
        assert!(set("").is_empty());
        assert_eq!(tags("t1, t;2"), ["t1", "t;2"]);
    }

    proptest! {
        #[test]
        fn maps_without_separators_in_them_come_back(
            pairs in proptest::collection::btree_map("[a-z:;/-]{1,8}", "[^;\n]*", 0..6)
        ) {
            let pairs: BTreeMap<String, String> =
                pairs.into_iter().filter(|(key, _)| !key.ends_with([':', ';'])).collect();
            let text: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}: {v}")).collect();
            let text = text.join("; ");
            let read: BTreeMap<String, String> =
                map(&text).into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (map(&text), set(&text), tags(&text));
        }
    }
}
