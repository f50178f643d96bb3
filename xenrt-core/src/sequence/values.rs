//! Values as they stand in sequence files.

/// A truth value as in the original: the first letter decides. `y`, `t` and `1` begin a yes; `n`,
/// `f` and `0` begin a no, without regard to case; `None` for anything else.
///
/// The original read the digits of `blocker` the other way round, by mistake; no file of its
/// collection used them there, and here they mean the same everywhere.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().chars().next()?.to_ascii_lowercase() {
        'y' | 't' | '1' => Some(true),
        'n' | 'f' | '0' => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_decides() {
        for yes in ["yes", "Y", "true", "T", "1", " yes"] {
            assert_eq!(parse_bool(yes), Some(true), "{yes:?}");
        }
        for no in ["no", "N", "false", "0"] {
            assert_eq!(parse_bool(no), Some(false), "{no:?}");
        }
        for neither in ["", " ", "on", "2", "maybe"] {
            assert_eq!(parse_bool(neither), None, "{neither:?}");
        }
    }
}
