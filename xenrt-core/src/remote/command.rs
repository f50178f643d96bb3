//! What to run.

use std::fmt;
use std::time::Duration;

/// What a command reads as its standard input.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: the command sees the end of the file at once.
    #[default]
    Empty,
    /// These bytes, then the end of the file.
    Bytes(Vec<u8>),
    /// Nothing, and no end of the file until the command has ended or its caller is gone: what a
    /// command that [ends with its connection](Command::ends_with_connection) listens to.
    Held,
    /// These bytes, then the end of the file for the command; the connection is held as with
    /// [`Held`](Self::Held). Bytes that are NUL do not reach it: a shell stands between.
    HeldAfter(Vec<u8>),
}

/// The size alone: what a command reads may be secret.
impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Held => f.write_str("Held"),
            Self::HeldAfter(bytes) => write!(f, "HeldAfter({} bytes)", bytes.len()),
        }
    }
}

/// One command: a program and its arguments, never a pasted line.
///
/// Arguments are quoted by the library wherever a shell stands between here and the program, so a
/// name with spaces, quotes, `$(...)` or newlines arrives as it is. A line that *should* be read by
/// a shell has its own constructor, [`shell_line`](Self::shell_line).
///
/// Every command has a deadline, [`DEFAULT_DEADLINE`](Self::DEFAULT_DEADLINE) unless set.
///
/// ```
/// use std::time::Duration;
/// use xenrt_core::remote::Command;
///
/// let command = Command::new("xl").args(["shutdown", "it's a guest"]).deadline(Duration::from_secs(30));
/// assert_eq!(command.to_string(), r#"xl shutdown 'it'\''s a guest'"#);
///
/// let login = Command::new("tool").args(["--password", "hunter2"]).secret("hunter2");
/// assert_eq!(login.to_string(), "tool --password '***'");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    words: Words,
    environment: Vec<(String, String)>,
    stdin: Stdin,
    deadline: Duration,
    secrets: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Words {
    Arguments(Vec<String>),
    ShellLine(String),
}

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "***";

impl Command {
    /// How long a command may take when it does not say otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(300);

    /// A command that runs `program`, found through `PATH`, with no arguments yet.
    pub fn new(program: impl Into<String>) -> Self {
        Self::of(Words::Arguments(vec![program.into()]))
    }

    /// A line for the remote `sh` to interpret: pipes, redirections, globs and expansions act.
    ///
    /// Nothing in it is quoted. Put names into it only through [`quote`](Self::quote).
    pub fn shell_line(line: impl Into<String>) -> Self {
        Self::of(Words::ShellLine(line.into()))
    }

    fn of(words: Words) -> Self {
        Self {
            words,
            environment: Vec::new(),
            stdin: Stdin::Empty,
            deadline: Self::DEFAULT_DEADLINE,
            secrets: Vec::new(),
        }
    }

    /// Adds one argument. On a [`shell_line`](Self::shell_line) it is added quoted at the end.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        match &mut self.words {
            Words::Arguments(words) => words.push(argument.into()),
            Words::ShellLine(line) => {
                line.push(' ');
                line.push_str(&Self::quote(&argument.into()));
            }
        }
        self
    }

    /// Adds arguments, in order.
    #[must_use]
    pub fn args<I, A>(self, arguments: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: Into<String>,
    {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable for the command. `name` must be a shell identifier.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Gives the command these bytes as standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = match self.stdin {
            Stdin::Held | Stdin::HeldAfter(_) => Stdin::HeldAfter(bytes.into()),
            Stdin::Empty | Stdin::Bytes(_) => Stdin::Bytes(bytes.into()),
        };
        self
    }

    /// Has the command end, with everything in its process group, when its connection does. Others
    /// run on where they are when the program that asked for them is killed; one that would never
    /// end by itself must not. What it is to read it still reads.
    #[must_use]
    pub fn ends_with_connection(mut self) -> Self {
        self.stdin = match self.stdin {
            Stdin::Empty | Stdin::Held => Stdin::Held,
            Stdin::Bytes(bytes) | Stdin::HeldAfter(bytes) => Stdin::HeldAfter(bytes),
        };
        self
    }

    /// Sets how long the command may take, connection and output included.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Declares a text that must never be shown: it is masked in every log, error and record, in
    /// the command as well as in its output. An empty text is ignored.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        let secret = secret.into();
        if !secret.is_empty() {
            self.secrets.push(secret);
        }
        self
    }

    /// How long it may take.
    pub fn deadline_value(&self) -> Duration {
        self.deadline
    }

    /// What it reads.
    pub fn stdin_value(&self) -> &Stdin {
        &self.stdin
    }

    /// The line that a POSIX shell must be given to run this, secrets and all. For transports only;
    /// people are shown the [`Display`](fmt::Display) form.
    pub fn to_shell_line(&self) -> String {
        self.tied(self.render(&|word| word.to_owned()))
    }

    /// `line`, or one that watches its standard input beside it and ends its group with that. The
    /// watcher is a shell alone: nothing of it is left when the line has ended first.
    fn tied(&self, line: String) -> String {
        let (first, line) = match &self.stdin {
            Stdin::Empty | Stdin::Bytes(_) => return line,
            Stdin::Held => (String::new(), line),
            // Read byte by byte, so that the watcher alone gets what comes after, and kept by the shell
            // itself: its variables and its own `printf` show in no list of processes.
            Stdin::HeldAfter(bytes) => (
                format!("i=$(dd bs=1 count={} <&9 2>/dev/null; echo x)\n", bytes.len()),
                format!("printf %s \"${{i%x}}\" | (\n{line}\n)"),
            ),
        };
        // Dropbear's commands have no group of their own, so the one that there is is not enough.
        format!(
            "exec 9<&0 </dev/null\n{first}(\n{line}\n) 9<&- & c=$!\n\
             {{ while read -r _ <&9; do :; done; kill -TERM -$$ || kill -TERM $c; }} >/dev/null 2>&1 & w=$!\n\
             wait $c; s=$?; kill $w 2>/dev/null; exit $s"
        )
    }

    /// Like [`to_shell_line`](Self::to_shell_line), with one more variable in the environment of
    /// everything that it starts. `assignment` is `NAME=value`, in the shell's own syntax.
    pub(crate) fn to_shell_line_with(&self, assignment: &str) -> String {
        let line = self.render(&|word| word.to_owned());
        let line = match &self.words {
            // A prefix costs nothing: the shell still replaces itself by the program.
            Words::ShellLine(_) if self.environment.is_empty() => {
                format!("export {assignment}\n{line}")
            }
            _ => format!("{assignment} {line}"),
        };
        self.tied(line)
    }

    /// The program, where this is not a line for a shell.
    pub fn program(&self) -> Option<&str> {
        match &self.words {
            Words::Arguments(words) => words.first().map(String::as_str),
            Words::ShellLine(_) => None,
        }
    }

    /// `text` with every secret of this command masked.
    pub fn mask(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }

    /// `word` as one word for a POSIX shell.
    pub fn quote(word: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return word.to_owned();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    }

    fn render(&self, show: &dyn Fn(&str) -> String) -> String {
        let mut parts: Vec<String> = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={}", Self::quote(&show(value))))
            .collect();
        match &self.words {
            Words::Arguments(words) => {
                parts.extend(words.iter().map(|word| Self::quote(&show(word))));
            }
            // Variables must reach the whole line, pipelines and all, hence the inner shell.
            Words::ShellLine(line) if parts.is_empty() => parts.push(show(line)),
            Words::ShellLine(line) => {
                parts.push(format!("sh -c {}", Self::quote(&show(line))));
            }
        }
        parts.join(" ")
    }
}

/// As a person would type it, with secrets masked.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&|word| self.mask(word)))
    }
}

/// Like [`Display`](fmt::Display), so that no `{:?}` shows a secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("line", &self.to_string())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_so_that_a_shell_gives_them_back() {
        for word in ["", "a b", "it's", "$(reboot)", "-x", "a\nb", "ü;|&", "`id`", "*", "~", "#"] {
            let line = format!("printf %s {}", Command::quote(word));
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn secrets_show_nowhere() {
        let command = Command::new("tool").arg("pw=s3cret").env("P", "s3cret").secret("s3cret");
        assert!(!format!("{command} {command:?}").contains("s3cret"));
        assert!(command.to_shell_line().contains("s3cret"));
        assert_eq!(command.mask("bad password s3cret"), "bad password ***");
    }

    #[test]
    fn what_ends_with_its_connection_does_and_is_itself_until_then() {
        let run = |line: &str| {
            let command = Command::shell_line(line).ends_with_connection();
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &command.to_shell_line_with("XENRT_TEST=x")]);
            std::os::unix::process::CommandExt::process_group(&mut sh, 0);
            let piped = std::process::Stdio::piped;
            sh.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap()
        };
        let started = std::time::Instant::now();
        let mut ended = run("echo $XENRT_TEST; cat; echo oops >&2; exit 3");
        let held = ended.stdin.take();
        let output = ended.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b"x\n"[..]));
        assert_eq!(output.stderr, b"oops\n");
        drop(held);
        let mut lost = run("sleep 60 & sleep 60; echo done");
        drop(lost.stdin.take());
        let output = lost.wait_with_output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    /// In each shell that there is here.
    #[test]
    fn what_is_held_reads_its_bytes_first_and_ends_with_its_connection() {
        use std::io::Write as _;
        let piped = std::process::Stdio::piped;
        let secret = "päss \\n%s' \"\n\nsecond\n";
        for shell in ["sh", "bash", "busybox"] {
            let run = |line: &str| {
                let command = Command::shell_line(line).ends_with_connection().stdin(secret);
                assert!(matches!(command.stdin_value(), Stdin::HeldAfter(_)));
                let mut sh = std::process::Command::new(shell);
                if shell == "busybox" {
                    sh.arg("sh");
                }
                sh.args(["-c", &command.to_shell_line()]);
                std::os::unix::process::CommandExt::process_group(&mut sh, 0);
                sh.stdin(piped()).stdout(piped()).stderr(piped()).spawn()
            };
            let Ok(mut ended) = run("cat; exit 3") else {
                assert_ne!(shell, "sh");
                continue;
            };
            let mut held = ended.stdin.take().unwrap();
            held.write_all(secret.as_bytes()).unwrap();
            let output = ended.wait_with_output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), secret, "{shell}");
            assert_eq!(output.status.code(), Some(3), "{shell}");
            drop(held);
            let started = std::time::Instant::now();
            let mut lost = run("cat >/dev/null; sleep 60; echo done").unwrap();
            let mut held = lost.stdin.take().unwrap();
            held.write_all(secret.as_bytes()).unwrap();
            drop(held);
            let output = lost.wait_with_output().unwrap();
            assert!(!output.status.success() && output.stdout.is_empty(), "{shell} {output:?}");
            assert!(started.elapsed() < Duration::from_secs(50), "{shell}");
        }
    }

    #[test]
    fn the_environment_reaches_a_whole_line() {
        let command = Command::shell_line("echo $A; echo $A").env("A", "x y");
        let output =
            std::process::Command::new("sh").args(["-c", &command.to_shell_line()]).output();
        assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), "x y\nx y\n");
    }
}
