//! `--minimal`: one line, the first field of each record.

use xenrt_core::Result;

use super::not_understood;

/// Understands the output of a list with `--minimal`.
///
/// Values are joined by `,`; in a value `,` is printed as `\,` and `\` as `\\` (cli_printer.ml).
/// The first field *in the order of the record* is printed, whatever `params=` says first. No
/// object at all and one object with an empty value are both an empty line, which is understood as
/// none: ask for `uuid`, which is never empty, wherever the difference matters.
///
/// ```
/// use xenrt_xapi::parse::minimal;
/// assert_eq!(minimal("disk1,di\\,sk;2\n")?, ["disk1", "di,sk;2"]);
/// assert!(minimal("\n")?.is_empty());
/// # Ok::<(), xenrt_core::Error>(())
/// ```
///
/// # Errors
/// [`UnexpectedOutput`](xenrt_core::Error::UnexpectedOutput) for a backslash before anything else.
pub fn minimal(text: &str) -> Result<Vec<String>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Vec::new();
    let mut value = String::new();
    let mut rest = line;
    while let Some(at) = rest.find([',', '\\']) {
        value.push_str(&rest[..at]);
        let special = &rest[at..];
        if let Some(after) = special.strip_prefix(',') {
            values.push(std::mem::take(&mut value));
            rest = after;
        } else if let Some(after) = special.strip_prefix("\\,") {
            value.push(',');
            rest = after;
        } else if let Some(after) = special.strip_prefix("\\\\") {
            value.push('\\');
            rest = after;
        } else {
            let expected = "`\\,` or `\\\\` where there is a backslash";
            return Err(not_understood("xe --minimal", expected, special));
        }
    }
    value.push_str(rest);
    values.push(value);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(values: &[String]) -> String {
        let escaped: Vec<String> =
            values.iter().map(|value| value.replace('\\', "\\\\").replace(',', "\\,")).collect();
        format!("{}\n", escaped.join(","))
    }

    #[test]
    fn a_backslash_before_anything_else_is_refused() {
        assert!(minimal("a\\b\n").unwrap_err().to_string().contains("\\b"));
        assert!(minimal("a\\\n").is_err());
        assert_eq!(minimal("a\\\\b\"c\n").unwrap(), ["a\\b\"c"]);
        assert_eq!(minimal(",\n").unwrap(), ["", ""]);
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in proptest::collection::vec(".*", 1..6)) {
            prop_assume!(values.len() > 1 || !values[0].is_empty());
            prop_assert_eq!(minimal(&printed(&values)).unwrap(), values);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = minimal(&text);
            let _ = minimal(&text.replace('a', "\\"));
        }
    }
}
