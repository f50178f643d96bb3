//! Any bytes as what `xe` prints: lists of records, single values, sets, maps, tables, the texts of
//! help. What must hold: no panic, no hang, and whatever is given out is a part of what was printed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenrt_xapi::parse;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_ref();
    let inside = |part: &str| {
        let from = text.as_bytes().as_ptr_range();
        assert!(part.is_empty() || from.contains(&part.as_ptr()), "{part:?} was not printed");
    };
    for record in parse::records(text) {
        // What was not understood ends the list.
        let Ok(record) = record else { break };
        let _ = record.has_line_ends();
        for name in ["uuid", "name-label", "power-state", "other-config"] {
            if let Some(value) = record.get(name) {
                inside(value);
                let _ = (parse::values::set(value), parse::values::map(value));
            }
            let _ = record.require(name);
        }
        let _ = record.parse::<u64>("memory-actual");
    }
    for name in parse::minimal(text).unwrap_or_default() {
        assert!(name.len() <= text.len());
    }
    if let Some(value) = parse::single(text).text() {
        inside(value);
    }
    let _ = (parse::created(text), parse::created_all(text));
    parse::values::set(text).into_iter().for_each(inside);
    parse::values::tags(text).into_iter().for_each(inside);
    for (key, value) in parse::values::map(text) {
        inside(key);
        assert!(value.len() <= text.len());
    }
    if let Ok(rows) = parse::table(text) {
        rows.into_iter().for_each(|(key, value)| [key, value].into_iter().for_each(inside));
    }
    let _ = parse::command_help(text);
});
