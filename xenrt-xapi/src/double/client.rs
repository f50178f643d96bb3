//! The client: what it takes of its arguments, and what it tells of itself.

use super::answer::Answer;

pub(super) const USAGE: &str = "Usage:
  xe <command>
    [ -s <server> ]            XenServer host
    [ -p <port> ]              XenServer port number
    [ -u <username> -pw <password> | -pwf <password file> ]
                               User authentication (password or file)
    [ --nossl ]                Disable SSL/TLS
    [ --debug ]                Enable debug output
    [ --debug-on-fail ]        Enable debug output only on failure
    [ --minimal ]              Output only values in a comma-separated lists
    [ --traceparent <value> ]  Distributed tracing context
    [ --trace ]                Show task stacktrace on failure
    [ <other arguments> ... ]  Command-specific options

A full list of commands can be obtained by running
  xe help -s <server> -p <port>
";

/// What the client takes for itself.
#[derive(Default)]
pub(super) struct Client {
    pub(super) server: Option<String>,
    pub(super) user: String,
    pub(super) password: String,
    /// What goes to the server.
    pub(super) sent: Vec<String>,
    debug: Debug,
}

/// When the client tells what it was told.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Debug {
    #[default]
    Never,
    /// `--debug-on-fail`
    OnFailure,
    /// `--debug`
    Always,
}

/// Reads arguments; an answer where the client itself has the last word.
pub(super) fn client(arguments: Vec<String>) -> Result<Client, Answer> {
    let mut client = Client::default();
    let mut words = arguments.into_iter().chain(extra_arguments()).chain(prepared());
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_default();
        match word.as_str() {
            "-s" | "-h" => client.server = Some(next()),
            "-p" => check_port(&next())?,
            "-u" => client.user = next(),
            "-pw" => client.password = next(),
            "-pwf" => (client.user, client.password) = password_file(&next())?,
            "--nossl" => {}
            "--debug" => client.debug = Debug::Always,
            "--debug-on-fail" => client.debug = Debug::OnFailure,
            "-version" => return Err(Answer::line("ThinCLI protocol: 0.2")),
            _ => match word.split_once('=') {
                Some(("server", server)) => client.server = Some(server.to_owned()),
                Some(("port", port)) => check_port(port)?,
                Some(("username", user)) => client.user = user.to_owned(),
                Some(("password", password)) => client.password = password.to_owned(),
                Some(("passwordfile", path)) => {
                    (client.user, client.password) = password_file(path)?;
                }
                Some(("debug", "true")) => client.debug = Debug::Always,
                Some(("debugonfail", "true")) => client.debug = Debug::OnFailure,
                Some(("nossl" | "debug" | "debugonfail" | "traceparent", _)) => {}
                _ => client.sent.push(word),
            },
        }
    }
    Ok(client)
}

/// `XE_EXTRA_ARGS`: joined by commas; `\,` is a comma, and then every backslash goes.
fn extra_arguments() -> Vec<String> {
    let Ok(text) = std::env::var("XE_EXTRA_ARGS") else { return Vec::new() };
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        match (c, words.last_mut()) {
            (',', _) if before != '\\' => words.push(String::new()),
            (c, Some(word)) if c != '\\' => word.push(c),
            _ => {}
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The lines of `~/.xe`, each an argument.
fn prepared() -> Vec<String> {
    let Some(home) = std::env::var_os("HOME") else { return Vec::new() };
    let text = std::fs::read_to_string(std::path::Path::new(&home).join(".xe")).unwrap_or_default();
    text.lines().filter(|line| line.contains('=')).map(str::to_owned).collect()
}

fn check_port(text: &str) -> Result<(), Answer> {
    if text.parse::<u16>().is_ok() {
        return Ok(());
    }
    let stderr = format!("Port number must be an integer (0-65535)\n{USAGE}");
    Err(Answer { stderr, ..Answer::default() })
}

fn password_file(path: &str) -> Result<(String, String), Answer> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().map(str::to_owned);
    match (lines.next(), lines.next()) {
        (Some(user), Some(password)) => Ok((user, password)),
        _ => Err(Answer::failed(
            "Error: password file format: expecting username on the first line, password on the \
             second line\n",
        )),
    }
}

impl Client {
    /// An answer of the server with what the client was to tell of how it came here.
    pub(super) fn tell(&self, answer: Answer) -> Answer {
        let stderr = match self.debug {
            Debug::Never => return answer,
            Debug::OnFailure if answer.status == 0 => return answer,
            Debug::OnFailure => {
                format!("{}\nDebug info:\n\n{}", answer.stderr, self.conversation(&answer, ""))
            }
            Debug::Always => self.conversation(&answer, &answer.stderr),
        };
        Answer { stderr, ..answer }
    }

    /// What the server said to the client, one command of theirs after the other; `told` is what the
    /// client itself wrote there when it was told to.
    fn conversation(&self, answer: &Answer, told: &str) -> String {
        let mut lines = String::new();
        if self.server.as_deref().is_none_or(|server| server == "127.0.0.1") {
            lines.push_str("Connecting to Unix socket [/var/lib/xcp/xapi]\n");
        }
        lines.push_str("Server has protocol version 0.2. Client has 0.2\n");
        // Each record of a list is printed for itself.
        let stdout = String::from_utf8_lossy(&answer.stdout);
        for printed in stdout.split_inclusive("\n\n\n") {
            lines.push_str(&format!("Read: Command Print {printed}"));
        }
        if !answer.stderr.is_empty() {
            lines.push_str(&format!("Read: Command PrintStderr {}\n{told}", answer.stderr));
        }
        lines.push_str(&format!("Read: Command Exit {}\n", answer.status));
        lines
    }
}
