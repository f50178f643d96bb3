//! What it means when `xl` refuses.
//!
//! `xl` has no error codes: its exit status is 1 or 3 (its child's) for everything, and the reason
//! is a text of libxl, libxc or xl itself on standard error. The texts are from xl 4.17; each was
//! recorded (`tests/data/errors`), so that a change of theirs shows in the tests.

use xenrt_core::remote::{Command, Output, RemoteError, Shell, shorten_middle};
use xenrt_core::{Error, Result, ToolstackErrorKind};

/// The toolstack's name in errors and lab files.
pub(crate) const TOOLSTACK: &str = "xl";

/// What this library's own shell lines begin a refusal with; the kind and a message follow:
/// `xenrt-refusal AlreadyExists: there is a guest with that name`.
pub(crate) const REFUSAL: &str = "xenrt-refusal ";

/// Texts on standard error, and what they mean. The first that is found counts, so that a cause
/// stands before what it leads to: a failed `xl create` also reports "Non-existant domain" while it
/// cleans up, and a kernel that does not fit also reports "No such file or directory".
const TEXTS: &[(&str, ToolstackErrorKind)] = {
    use ToolstackErrorKind::*;
    &[
        ("Could not obtain handle on privileged command interface", NotRunning),
        ("Is xl being run as root", NotRunning),
        ("cannot init xl context", NotRunning),
        ("cannot get xenstore connection", NotRunning),
        ("already exists", AlreadyExists),
        ("config parsing error", InvalidConfiguration),
        ("Failed to parse config", InvalidConfiguration),
        ("is not a valid number", InvalidConfiguration),
        ("too large (", InvalidConfiguration),
        ("overcommmitting", InvalidConfiguration),
        ("memory_dynamic_max must be less", InvalidConfiguration),
        ("Protocol error: libxl_read_exactly", InvalidConfiguration),
        ("Failed to enable logdirty", NotSupported),
        ("command not implemented", NotSupported),
        ("No space left on device", OutOfSpace),
        ("Disk quota exceeded", OutOfSpace),
        ("Cannot allocate memory", OutOfMemory),
        ("Out of memory", OutOfMemory),
        ("failed to free memory for the domain", OutOfMemory),
        ("Could not find bridge device", NoSuchObject),
        ("is an invalid domain identifier", NoSuchObject),
        ("maybe this domain does not exist", NoSuchObject),
        ("' does not exist.", NoSuchObject),
        ("not connected.", NoSuchObject),
        ("Unknown device ", NoSuchObject),
        ("No such process", NoSuchObject),
        ("No such file or directory", MissingFile),
        ("Failed to open temp file", MissingFile),
        ("didn't acknowledge control request", TimedOut),
        ("did not respond to suspend request", TimedOut),
        ("Timed out", TimedOut),
        ("timed out", TimedOut),
        ("Function not implemented", NotSupported),
        ("Operation not supported", NotSupported),
        ("Non-existant domain", NoSuchObject),
    ]
};

/// What a text on standard error means.
pub(crate) fn kind_of(stderr: &str) -> ToolstackErrorKind {
    let own = stderr.lines().find_map(|line| line.strip_prefix(REFUSAL)?.split_once(": "));
    if let Some((kind, _)) = own {
        let kinds = [
            ToolstackErrorKind::AlreadyExists,
            ToolstackErrorKind::NoSuchObject,
            ToolstackErrorKind::BadState,
            ToolstackErrorKind::MissingFile,
            ToolstackErrorKind::InvalidConfiguration,
            ToolstackErrorKind::OutOfSpace,
            ToolstackErrorKind::TimedOut,
        ];
        let known = kinds.into_iter().find(|own| format!("{own:?}") == kind);
        return known.unwrap_or(ToolstackErrorKind::Other);
    }
    TEXTS
        .iter()
        .find(|(text, _)| stderr.contains(text))
        .map_or(ToolstackErrorKind::Other, |(_, kind)| *kind)
}

/// The lines of `stderr` that tell the reason, without progress and without the place in libxl's
/// source: the first three, since libxl reports the cause first and what followed from it after.
pub(crate) fn message_of(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_progress(line))
        .map(|line| without_place(line).trim_end_matches('.'))
        .collect();
    let most = 3.min(lines.len());
    let shown = lines[..most].join("; ");
    if shown.is_empty() { "it did not say why".to_owned() } else { shorten_middle(&shown, 600) }
}

fn is_progress(line: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "xc: info:",
        "xc: progress:",
        "Parsing config from",
        "Saving to ",
        "Loading new save file",
        "Savefile contains",
        "Shutting down domain",
        "Rebooting domain",
        "Waiting for ",
        "migration target: Ready",
    ];
    BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
}

/// `libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 4:Domain with ...` without what
/// only a developer of libxl can use.
fn without_place(line: &str) -> &str {
    if let Some((_, message)) = line.strip_prefix(REFUSAL).and_then(|own| own.split_once(": ")) {
        return message;
    }
    let Some(rest) = ["libxl: error: ", "xc: error: "].iter().find_map(|p| line.strip_prefix(p))
    else {
        return line;
    };
    let rest = rest.strip_prefix("panic: ").unwrap_or(rest);
    let in_source = |part: &str| part.contains(".c:");
    match rest.split_once(": ") {
        Some((place, message)) if in_source(place) => match message.split_once(':') {
            Some((domain, message))
                if domain.starts_with("Domain ")
                    && domain["Domain ".len()..].chars().all(|c| c.is_ascii_digit()) =>
            {
                message
            }
            _ => message,
        },
        _ => rest,
    }
}

/// Runs `command` and requires that it succeeds; its refusal is understood. `verb` and `object`
/// make the sentence: xl could not `pause` `guest "tiny"`.
///
/// # Errors
/// [`Error::Toolstack`] for a refusal, [`Error::Remote`] for a command that could not be run.
pub(crate) async fn run(
    shell: &dyn Shell,
    command: &Command,
    verb: &str,
    object: &str,
) -> Result<Output> {
    match shell.execute(command).await {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => Err(refused(shell, command, output, verb, object)),
        Err(error) => Err(error.into()),
    }
}

/// The error for a command that ended with `output`.
pub(crate) fn refused(
    shell: &dyn Shell,
    command: &Command,
    output: Output,
    verb: &str,
    object: &str,
) -> Error {
    let stderr = command.mask(&output.error_text());
    let (kind, message) = (kind_of(&stderr), message_of(&stderr));
    let source: Option<RemoteError> = output.require_success(command, shell.target()).err();
    Error::Toolstack {
        toolstack: TOOLSTACK.to_owned(),
        verb: verb.to_owned(),
        object: object.to_owned(),
        kind,
        message,
        source: source.map(Box::new),
    }
}

/// A refusal that this library itself decides on, in the toolstack's place.
pub(crate) fn refusal(
    kind: ToolstackErrorKind,
    verb: &str,
    object: &str,
    message: impl Into<String>,
) -> Error {
    Error::Toolstack {
        toolstack: TOOLSTACK.to_owned(),
        verb: verb.to_owned(),
        object: object.to_owned(),
        kind,
        message: message.into(),
        source: None,
    }
}

/// A command's standard output as text, where it succeeds. See [`run`].
pub(crate) async fn text(
    shell: &dyn Shell,
    command: &Command,
    verb: &str,
    object: &str,
) -> Result<String> {
    Ok(run(shell, command, verb, object).await?.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_refusal_is_understood() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/errors");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let shown = files.iter().map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let name = file.file_stem().unwrap().to_string_lossy();
            assert_ne!(kind_of(&text), ToolstackErrorKind::Other, "{name}");
            format!("{name}: {:?}\n    {}", kind_of(&text), message_of(&text))
        });
        insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_was_never_seen_is_not_guessed() {
        assert_eq!(kind_of("flux capacitor discharged"), ToolstackErrorKind::Other);
        assert_eq!(message_of("flux capacitor discharged"), "flux capacitor discharged");
        assert_eq!(message_of("xc: progress: Frames: 1/2\n"), "it did not say why");
    }

    #[test]
    fn refusals_of_our_own_lines_carry_their_kind() {
        let text = "xenrt-refusal BadState: it runs\n";
        assert_eq!(kind_of(text), ToolstackErrorKind::BadState);
        assert_eq!(message_of(text), "it runs");
    }
}
