//! What the output of a command means.

use uuid::Uuid;
use xenrt_core::remote::shorten_middle;

use super::{ApiCode, ApiError, Result, XeCommand, XeError};

/// What one run of `xe` left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The standard output of a command that did what it should.
pub(crate) fn understand(command: &XeCommand, ran: Ran) -> Result<String> {
    let Ran { status, stdout, stderr } = ran;
    let said = |text: &str| XeError::NotDone { said: shorten_middle(text.trim(), 300) };
    if status == 0 {
        let usage = |line: &str| line.starts_with("Usage:");
        // A transfer that failed for no reason that xapi noted ends with 0 (`download_file` in
        // xapi's cli_operations.ml): `Export failed, unknown error`.
        let failed = |line: &str| line.ends_with(" failed, unknown error");
        if stderr.lines().any(|line| usage(line) || failed(line)) {
            return Err(said(&stderr));
        }
        let declined = |line: &str| line.starts_with("Aborted (you typed: ");
        if command.prompts() && stdout.lines().any(declined) {
            return Err(said(&stdout));
        }
        return Ok(stdout);
    }
    if stderr.trim().is_empty() {
        let failures = partial_failures(&stdout);
        if !failures.is_empty() {
            return Err(XeError::Partial { failures });
        }
        let message = shorten_middle(stdout.trim(), 600);
        let message = match message.as_str() {
            "" => format!("xe ended with status {status} and said nothing"),
            _ => message,
        };
        return Err(XeError::Other { message });
    }
    let mut error = failure(&stderr);
    if let XeError::Api(ApiError { code: ApiCode::NoHostsAvailable, parameters, .. }) = &mut error {
        parameters.extend(reasons_of_hosts(&stdout));
    }
    Err(error)
}

/// What a text on standard error means.
pub(super) fn failure(stderr: &str) -> XeError {
    let text = stderr.trim_end();
    if let Some(error) = ApiError::read(text) {
        return XeError::Api(error);
    }
    let first = text.lines().next().unwrap_or_default();
    let message = || shorten_middle(text, 600);
    let quoted = |text: &str| text.split('\'').nth(1).unwrap_or_default().to_owned();
    if let Some(rest) = first.strip_prefix("Error: ") {
        if rest.starts_with("No matching ") {
            return XeError::NoMatch { message: rest.to_owned() };
        }
        if rest.starts_with("Multiple matches ") {
            return XeError::SeveralMatch { message: rest.to_owned() };
        }
        // `Host x not found`, `CD x.iso not found!`, `No templates matched`, ...
        let what = rest.trim_end_matches(['.', '!']);
        let none =
            rest.starts_with("No ") && (what.ends_with(" found") || what.ends_with("matched"));
        let cannot = what.starts_with("Cannot find ");
        if none || cannot || (what.ends_with(" not found") && !what.contains(':')) {
            return XeError::NoMatch { message: rest.to_owned() };
        }
        if rest.starts_with("Failed to parse ") || rest.contains("' is read-only") {
            return XeError::BadValue { message: rest.to_owned() };
        }
        if rest.starts_with("Unknown field '") {
            return XeError::UnknownField { name: quoted(rest) };
        }
        // An error of the client's own system call: `Connection refused (calling connect )`.
        if let Some((_, call)) = rest.split_once(" (calling ") {
            return if call.starts_with("connect") {
                XeError::Unreachable { message: rest.to_owned() }
            } else {
                XeError::ConnectionLost { message: rest.to_owned() }
            };
        }
    }
    if let Some(name) = first.strip_prefix("Unknown command: ") {
        return XeError::UnknownCommand { name: name.to_owned() };
    }
    if let Some(name) = first.strip_prefix("Required parameter not found: ") {
        return XeError::MissingParameter { name: name.to_owned() };
    }
    if first.starts_with("Authentication failed")
        || first.starts_with("Username/password must be specified")
    {
        let code = ApiCode::SessionAuthenticationFailed;
        return XeError::Api(ApiError { code, parameters: Vec::new(), message: first.to_owned() });
    }
    // What the client says itself (newcli.ml, `main`). Before the server has named its protocol, no
    // command was taken; the name of a server that is not known is met before that.
    let unknown_server = first.starts_with("Host '") && first.ends_with("' not found.");
    if unknown_server
        || first.starts_with("Unable to contact server")
        || first.starts_with("Failed to contact a running management agent")
    {
        return XeError::Unreachable { message: message() };
    }
    // Whatever HTTP status the server answered with, 500 or 503: the client does not say which, nor
    // whether that came in the place of the protocol or in the middle of a command.
    if first.starts_with("Lost connection to the server")
        || first.starts_with("Server internal error")
    {
        return XeError::ConnectionLost { message: first.to_owned() };
    }
    // A command may have said something before: `host-apply-edition` which editions there are, any
    // which messages were written about a VM meanwhile (`do_vm_op` in xapi's cli_operations.ml).
    let later = text.match_indices('\n').take(MOST_BEFORE);
    let later = later.filter_map(|(at, _)| ApiError::read(text.get(at + 1..)?)).next();
    later.map_or_else(|| XeError::Other { message: message() }, XeError::Api)
}

/// How many lines a command may say before an error of the API.
const MOST_BEFORE: usize = 8;

/// With `--multiple`, what failed is told on standard output.
fn partial_failures(stdout: &str) -> Vec<(Uuid, XeError)> {
    const BEGIN: &str = "operation failed on ";
    let mut failures: Vec<(Uuid, String)> = Vec::new();
    for line in stdout.lines() {
        let begins = line.strip_prefix(BEGIN).and_then(|rest| rest.split_once(": "));
        match begins.and_then(|(uuid, text)| Some((uuid.parse().ok()?, text))) {
            Some((uuid, text)) => failures.push((uuid, text.to_owned())),
            None => {
                if let Some((_, text)) = failures.last_mut() {
                    text.push('\n');
                    text.push_str(line);
                }
            }
        }
    }
    failures.into_iter().map(|(uuid, text)| (uuid, failure(&text))).collect()
}

/// Why each host cannot start a VM: a table on standard output.
fn reasons_of_hosts(stdout: &str) -> Vec<(String, String)> {
    let rows = stdout.lines().filter_map(|line| line.split_once(": "));
    let reason = |(host, reason): (&str, &str)| {
        let reason = reason.trim().strip_prefix("Cannot start here [").unwrap_or(reason.trim());
        (host.trim().to_owned(), reason.trim_end_matches(']').to_owned())
    };
    rows.map(reason).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ran(name: &str, status: i32, stdout: &str, stderr: &str) -> Result<String> {
        let ran = Ran { status, stdout: stdout.into(), stderr: stderr.into() };
        understand(&XeCommand::new(name), ran)
    }

    #[test]
    fn status_0_is_not_believed() {
        let asked = "The following items are about to be destroyed\nVM : x (u1)\nType 'yes' to \
                     continue\nAborted (you typed: 'no')\n";
        assert!(matches!(ran("vm-uninstall", 0, asked, ""), Err(XeError::NotDone { .. })));
        let usage = "Port number must be an integer (0-65535)\nUsage:\n  xe <command>\n";
        assert!(matches!(ran("vm-list", 0, "", usage), Err(XeError::NotDone { .. })));
        let failed = "Export failed, unknown error\n";
        assert!(matches!(ran("vm-export", 0, "", failed), Err(XeError::NotDone { .. })));
        // A note beside a success is none (`vm-install` tells of has-vendor-device so).
        assert!(ran("vm-install", 0, "", "Note: the VM template recommends it\n").is_ok());
        // A guest may be called so.
        assert!(ran("vm-list", 0, "Aborted (you typed: 'no')\n", "").is_ok());
    }

    #[test]
    fn what_failed_of_several_is_told() {
        let text = "operation failed on 3e444fd3-a124-7a71-3c62-6e2367cf96fb: You attempted an \
                    operation on a VM which lacks the feature.\nvm: 3e444fd3 (mm)\n";
        let Err(XeError::Partial { failures }) = ran("vm-shutdown", 1, text, "") else { panic!() };
        assert_eq!(failures[0].1.code(), Some(&ApiCode::VmLacksFeature));
        assert_eq!(failures[0].1.api().unwrap().parameter("vm"), Some("3e444fd3 (mm)"));
    }

    #[test]
    fn why_no_host_fits_is_told() {
        let table = "There are no suitable hosts to start this VM on.\nThe following table provides \
                     per-host reasons for why the VM could not be started:\n\nxapi-sim    : Cannot \
                     start here [Not enough free memory]\n\n\n";
        let stderr = "There were no servers available to complete the specified operation.\n";
        let error = ran("vm-start", 1, table, stderr).unwrap_err();
        assert_eq!(error.api().unwrap().parameter("xapi-sim"), Some("Not enough free memory"));
        assert_eq!(error.kind(), xenrt_core::ToolstackErrorKind::OutOfMemory);
    }

    #[test]
    fn what_was_surely_not_done_is_told_from_what_may_have_been() {
        for text in [
            "Error: Connection refused (calling connect )\n",
            "Error: No such file or directory (calling connect )\n",
            "Unable to contact server. Please check server and port settings.\n",
            "The host toolstack is still initialising. Please wait.\n",
            "Failed to contact a running management agent.\nTry specifying a server name and port.\n",
            "Host 'nosuch' not found.\n",
        ] {
            let error = failure(text);
            assert!(error.may_be_tried_again() && !error.is_ambiguous(), "{text}");
        }
        for text in [
            "Lost connection to the server.\n",
            "Server internal error.\n",
            "Error: Connection reset by peer (calling read )\n",
        ] {
            let error = failure(text);
            assert!(error.is_ambiguous() && !error.may_be_tried_again(), "{text}");
        }
        let later = failure(
            "Valid editions are: free, trial\nThe edition you supplied is invalid.\nedition: gold\n",
        );
        assert_eq!(later.api().and_then(|api| api.parameter("edition")), Some("gold"), "{later}");
        let odd = failure("Something new.\n");
        assert!(!odd.is_ambiguous() && !odd.may_be_tried_again());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(status in 0..3, out: String, err: String) {
            let _ = ran("vm-uninstall", status, &out, &err).is_ok();
            let _ = failure(&format!("Error code: {err}"));
        }
    }
}
