//! Tables without tags: `xe help COMMAND` and diagnostics.

use xenrt_core::Result;

use super::not_understood;

/// The rows of a table that `xe` prints in the form of records but without tags.
///
/// # Errors
/// [`UnexpectedOutput`](xenrt_core::Error::UnexpectedOutput) for a text that does not begin with
/// `name : value`.
pub fn table(text: &str) -> Result<Vec<(&str, &str)>> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    let (mut width, mut value_start, mut offset) = (None, 0, 0);
    let text = text.strip_suffix("\n\n").unwrap_or(text);
    for line in text.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let at = match width {
            None => bare.find(": "),
            Some(width) => Some(width).filter(|width| {
                bare.get(*width..).is_some_and(|rest| rest.starts_with(": "))
                    && bare[..*width].starts_with(' ')
                    && !bare[..*width].trim().is_empty()
            }),
        };
        match at {
            Some(at) => {
                finish(&mut rows, &text[value_start..offset]);
                width = Some(at);
                value_start = offset + at + 2;
                rows.push((bare[..at].trim(), ""));
            }
            None if rows.is_empty() => {
                return Err(not_understood("a table of xe", "`name : value`", bare));
            }
            None => {}
        }
        offset += line.len();
    }
    finish(&mut rows, &text[value_start..]);
    Ok(rows)
}

fn finish<'a>(rows: &mut [(&'a str, &'a str)], value: &'a str) {
    if let Some(row) = rows.last_mut() {
        row.1 = value.strip_suffix('\n').unwrap_or(value);
    }
}

/// What `xe help COMMAND` says about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandHelp<'a> {
    /// The command.
    pub name: &'a str,
    /// Parameters that it requires.
    pub required: Vec<&'a str>,
    /// Parameters that it also takes; `name:` takes keys, `<vm-selectors>` any field of a VM.
    pub optional: Vec<&'a str>,
}

/// Understands the output of `xe help COMMAND`; `None` where this `xe` does not know the command
/// (which it says with exit status 0).
///
/// # Errors
/// [`UnexpectedOutput`](xenrt_core::Error::UnexpectedOutput) for anything else.
pub fn command_help(text: &str) -> Result<Option<CommandHelp<'_>>> {
    if text.starts_with("Unknown command '") {
        return Ok(None);
    }
    let rows = table(text)?;
    let row = |name: &str| {
        rows.iter().find(|(own, _)| *own == name).map(|(_, value)| *value).ok_or_else(|| {
            not_understood("xe help", &format!("a row {name:?}"), text.lines().next().unwrap_or(""))
        })
    };
    let items = |text| super::values::tags(text).into_iter().filter(|item| !item.is_empty());
    let (name, required, optional) =
        (row("command name")?, row("reqd params")?, row("optional params")?);
    Ok(Some(CommandHelp {
        name,
        required: items(required).collect(),
        optional: items(optional).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HELP: &str = "command name            : vm-import
        reqd params     : 
        optional params : filename, preserve, vdi:, <vm-selectors>
        description     : Import: a VM.
  In two lines.


";

    #[test]
    fn help_tells_the_parameters() {
        let help = command_help(HELP).unwrap().unwrap();
        assert_eq!((help.name, help.required.len()), ("vm-import", 0));
        assert_eq!(help.optional, ["filename", "preserve", "vdi:", "<vm-selectors>"]);
        assert_eq!(table(HELP).unwrap()[3].1, "Import: a VM.\n  In two lines.");
        assert_eq!(command_help("Unknown command 'no-such-command'\n").unwrap(), None);
        assert!(command_help("Usage:\n  xe <command>\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (table(&text).is_ok(), command_help(&text).is_ok());
            let _ = table(&format!("command name : x\n{text}"));
        }
    }
}
