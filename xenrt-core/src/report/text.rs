//! Texts as all reports show them.

use crate::remote::CommandRecord;

/// `text` with `indent` spaces before each line but the first.
pub(super) fn indented(text: &str, indent: usize) -> String {
    text.trim_end().replace('\n', &format!("\n{:indent$}", ""))
}

/// A command with what came of it, as a person would have seen it.
pub(crate) fn command_text(record: &CommandRecord) -> String {
    let mut text = format!("$ {}", record.command);
    for output in [&record.stdout, &record.stderr] {
        if !output.trim_end().is_empty() {
            text = format!("{text}\n{}", output.trim_end());
        }
    }
    format!("{text}\n[{}]", command_end(record))
}

/// How a command ended.
pub(super) fn command_end(record: &CommandRecord) -> String {
    match (&record.status, &record.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.clone(),
        (None, None) => "no status".to_owned(),
    }
}
