//! Commands on this machine.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::command::{Command, Stdin};
use super::process::{Processes, Running, Stopper};
use super::{ExitStatus, Output, Process, RemoteError, Result, Shell, shorten_middle};

/// This machine: each command is a `sh` with a process group of its own, which is ended as a whole
/// when a deadline passes or the caller goes away.
#[derive(Debug, Default)]
pub struct LocalShell {
    processes: Processes,
    within: Option<Within>,
}

/// A part of this machine that programs are started in by another program.
#[derive(Debug)]
struct Within {
    name: String,
    enter: Vec<String>,
    root: String,
}

const TARGET: &str = "this machine";

impl LocalShell {
    /// A shell on this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A shell in a part of this machine: a name space, a container, a changed root. `name` is what
    /// messages call it, `enter` the words that stand before a program that is to run there
    /// (`nsenter --target 42 --mount --`), `root` where its files are for this process
    /// (`/proc/42/root`).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> xenrt_core::Result<()> {
    /// use xenrt_core::remote::{Command, LocalShell, ShellExt as _};
    ///
    /// let shell = LocalShell::within("a place with a variable", ["env", "PLACE=there"], "");
    /// assert_eq!(shell.text(&Command::shell_line("echo $PLACE")).await?, "there");
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(
        name: impl Into<String>,
        enter: impl IntoIterator<Item = impl Into<String>>,
        root: impl Into<String>,
    ) -> Self {
        let enter = enter.into_iter().map(Into::into).collect();
        let within = Within { name: name.into(), enter, root: root.into() };
        Self { processes: Processes::default(), within: Some(within) }
    }

    fn name(&self) -> &str {
        self.within.as_ref().map_or(TARGET, |within| &within.name)
    }

    /// Where this process finds the file that goes by `path` there.
    fn path(&self, path: &str) -> String {
        self.within.as_ref().map_or_else(|| path.to_owned(), |own| format!("{}{path}", own.root))
    }

    fn spawn(&self, command: &Command) -> Result<(Child, Group)> {
        let enter = self.within.as_ref().map_or(&[][..], |within| &within.enter);
        let mut words = enter.iter().map(String::as_str).chain(["sh"]);
        let mut sh = tokio::process::Command::new(words.next().unwrap_or("sh"));
        sh.args(words).arg("-c").arg(command.to_shell_line());
        sh.stdin(match command.stdin_value() {
            Stdin::Empty => Stdio::null(),
            Stdin::Bytes(_) | Stdin::Held | Stdin::HeldAfter(_) => Stdio::piped(),
        });
        sh.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = sh.spawn().map_err(|source| RemoteError::Local {
            action: format!("cannot start `{command}` on {}", self.name()),
            source,
        })?;
        let group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
        Ok((child, group))
    }
}

/// The process group of a child. Dropping it kills what runs in it, unless it was let go.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    /// Sends a signal; says whether there was still somebody to get it.
    fn signal(&self, signal: Signal) -> bool {
        self.0.is_some_and(|group| killpg(group, signal).is_ok())
    }

    fn let_go(&mut self) {
        self.0 = None;
    }

    /// Asks politely, waits for `end` within the grace, then kills.
    async fn stop(&self, end: impl Future) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(Process::GRACE, end).await.is_err() {
            self.signal(Signal::SIGKILL);
        }
    }

    /// Until nobody is left in the group.
    async fn empty(&self) {
        while self.0.is_some_and(|group| killpg(group, None).is_ok()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[derive(Debug)]
struct LocalStopper(Group);

#[async_trait]
impl Stopper for LocalStopper {
    async fn stop(&self, _leader: Option<u32>) {
        self.0.stop(self.0.empty()).await;
    }

    fn let_go(&mut self) {
        self.0.let_go();
    }
}

fn status_of(status: std::process::ExitStatus) -> ExitStatus {
    status.code().map_or_else(|| ExitStatus::Signal(status.signal()), ExitStatus::Code)
}

/// Gives a program its standard input, and returns the pipe where it is to be held until the command
/// has ended. A program that ends without reading it all is in its right.
async fn feed(pipe: Option<ChildStdin>, stdin: &Stdin) -> Option<ChildStdin> {
    let mut pipe = pipe?;
    match stdin {
        Stdin::Empty => None,
        Stdin::Bytes(bytes) => {
            let _ = pipe.write_all(bytes).await;
            let _ = pipe.shutdown().await;
            None
        }
        Stdin::Held => Some(pipe),
        Stdin::HeldAfter(bytes) => {
            let _ = pipe.write_all(bytes).await;
            Some(pipe)
        }
    }
}

fn no_pipe(command: &Command) -> RemoteError {
    RemoteError::Local {
        action: format!("cannot read the output of `{command}`"),
        source: std::io::Error::other("the process has no pipes"),
    }
}

#[async_trait]
impl Shell for LocalShell {
    fn target(&self) -> &str {
        self.name()
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        let started = Instant::now();
        let (mut child, mut group) = self.spawn(command)?;
        let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(no_pipe(command));
        };
        let stdin = child.stdin.take();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = {
            let mut all = std::pin::pin!(async {
                let (_held, out, err, status) = tokio::join!(
                    feed(stdin, command.stdin_value()),
                    out.read_to_end(&mut stdout),
                    err.read_to_end(&mut stderr),
                    child.wait(),
                );
                out.and(err).and(status)
            });
            match tokio::time::timeout(command.deadline_value(), &mut all).await {
                Ok(status) => Some(status),
                Err(_) => {
                    group.stop(&mut all).await;
                    None
                }
            }
        };
        match ended {
            Some(status) => {
                group.let_go();
                let status = status.map_err(|source| RemoteError::Local {
                    action: format!("cannot follow `{command}` on {}", self.name()),
                    source,
                })?;
                let status = status_of(status);
                Ok(Output { status, stdout, stderr, elapsed: started.elapsed() })
            }
            None => Err(RemoteError::Deadline {
                target: self.name().to_owned(),
                command: command.to_string(),
                deadline: command.deadline_value(),
                stdout: printed(command, &stdout),
                stderr: printed(command, &stderr),
            }),
        }
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        let deadline = tokio::time::Instant::now() + command.deadline_value();
        let (mut child, group) = self.spawn(command)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(no_pipe(command));
        };
        let input = command.stdin_value().clone();
        let stdin = child.stdin.take();
        let (keep, held) = tokio::sync::oneshot::channel();
        let feed = async move {
            // One that has ended already holds nothing.
            let _ = keep.send(feed(stdin, &input).await);
        };
        let exit = async move {
            let _held = held;
            child.wait().await.map(status_of).map_err(|error| error.to_string())
        };
        let stopper = LocalStopper(group);
        let running = Running { stdout, stderr, feed, exit, stopper, announcement: None, deadline };
        let process = running.drive(self.name(), command);
        self.processes.add(&process);
        Ok(process)
    }

    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let path = self.path(path);
        let new = NewFile::create(Path::new(&path), mode, "the bytes given")?;
        tokio::fs::write(new.file.path(), bytes).await.map_err(|error| new.error(&error))?;
        new.finish()
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        tokio::fs::read(self.path(path)).await.map_err(|error| RemoteError::Copy {
            from: path.to_owned(),
            to: "memory".to_owned(),
            message: error.to_string(),
        })
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        copy(from, Path::new(&self.path(to)), mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        let from = PathBuf::from(self.path(from));
        let mode = std::fs::metadata(&from).map_or(0o644, |known| known.permissions().mode());
        copy(&from, to, mode & 0o7777).await
    }

    async fn reset(&self) {}

    async fn stop_all(&self) -> Vec<String> {
        self.processes.stop_all().await
    }
}

fn printed(command: &Command, bytes: &[u8]) -> String {
    command.mask(&shorten_middle(String::from_utf8_lossy(bytes).trim_end(), 2000))
}

async fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let new = NewFile::create(to, mode, &from.display().to_string())?;
    let copy = async {
        let mut source = tokio::fs::File::open(from).await?;
        let mut file = tokio::fs::OpenOptions::new().write(true).open(new.file.path()).await?;
        tokio::io::copy(&mut source, &mut file).await?;
        file.flush().await
    };
    copy.await.map_err(|error| new.error(&error))?;
    new.finish()
}

/// A file that is written beside its destination and then takes its place.
struct NewFile {
    file: tempfile::NamedTempFile,
    from: String,
    to: PathBuf,
    mode: u32,
}

impl NewFile {
    fn create(to: &Path, mode: u32, from: &str) -> Result<Self> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".xenrt-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| copy_error(from, to, &error))?;
        Ok(Self { file, from: from.to_owned(), to: to.to_owned(), mode })
    }

    fn finish(self) -> Result<()> {
        // A temporary file is only its owner's until here, so no wrong eyes see the content.
        let mode = std::fs::Permissions::from_mode(self.mode);
        let permitted = std::fs::set_permissions(self.file.path(), mode);
        permitted.map_err(|error| self.error(&error))?;
        let Self { file, from, to, .. } = self;
        file.persist(&to).map_err(|error| copy_error(&from, &to, &error.error))?;
        Ok(())
    }

    fn error(&self, error: &std::io::Error) -> RemoteError {
        copy_error(&self.from, &self.to, error)
    }
}

fn copy_error(from: &str, to: &Path, error: &std::io::Error) -> RemoteError {
    RemoteError::Copy {
        from: from.to_owned(),
        to: to.display().to_string(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ProcessLine, ShellExt};
    use super::*;

    #[tokio::test]
    async fn a_command_gives_back_what_it_printed_and_how_it_ended() {
        let shell = LocalShell::new();
        let command = Command::shell_line("cat; echo oops >&2; exit 3").stdin("in\u{0}put");
        let output = shell.execute(&command).await.unwrap();
        assert_eq!(output.status, ExitStatus::Code(3));
        assert_eq!((&*output.stdout, &*output.stderr), (&b"in\0put"[..], &b"oops\n"[..]));
        let killed = shell.execute(&Command::shell_line("kill -9 $$")).await.unwrap();
        assert_eq!(killed.status, ExitStatus::Signal(Some(9)));
    }

    #[tokio::test]
    async fn a_deadline_ends_the_whole_group() {
        let shell = LocalShell::new();
        let line = "echo begun; sleep 98765 & sleep 98765";
        let command = Command::shell_line(line).deadline(Duration::from_millis(300));
        let error = shell.execute(&command).await.unwrap_err();
        let RemoteError::Deadline { stdout, .. } = &error else { panic!("{error}") };
        assert_eq!(stdout, "begun");
        assert!(
            !shell.succeeds(&Command::new("pgrep").args(["-xf", "sleep 98765"])).await.unwrap()
        );
    }

    #[tokio::test]
    async fn a_process_is_streamed_and_stopped() {
        let shell = LocalShell::new();
        let process =
            shell.start(&Command::shell_line("echo a; echo b >&2; sleep 98764")).await.unwrap();
        let mut lines =
            vec![process.next_line().await.unwrap(), process.next_line().await.unwrap()];
        lines.sort_by_key(|line| line.text().to_owned());
        assert_eq!(lines, [ProcessLine::Stdout("a".into()), ProcessLine::Stderr("b".into())]);
        assert!(process.is_running());
        assert_eq!(shell.stop_all().await, ["echo a; echo b >&2; sleep 98764"]);
        assert_eq!(process.wait().await.unwrap(), ExitStatus::Signal(Some(15)));
        assert_eq!(process.next_line().await, None);
    }

    #[tokio::test]
    async fn files_appear_whole_with_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let shell = LocalShell::new();
        let name = path.to_str().unwrap();
        shell.write_file(name, b"\0\xff", 0o640).await.unwrap();
        assert_eq!(shell.read_file(name).await.unwrap(), b"\0\xff");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        let missing = shell.write_file("/nowhere/at/all", b"", 0o600).await.unwrap_err();
        assert!(missing.to_string().contains("/nowhere/at/all"), "{missing}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_part_of_this_machine_has_its_own_way_in_and_its_own_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let enter = ["env", "PLACE=there"];
        let shell = LocalShell::within("the place", enter, root.path().display().to_string());
        assert_eq!(shell.target(), "the place");
        assert_eq!(shell.text(&Command::shell_line("echo $PLACE")).await.unwrap(), "there");
        shell.write_file("/etc/name", b"a", 0o600).await.unwrap();
        assert_eq!(std::fs::read(root.path().join("etc/name")).unwrap(), b"a");
        assert_eq!(shell.read_file("/etc/name").await.unwrap(), b"a");
        shell.upload(&root.path().join("etc/name"), "/etc/copy", 0o644).await.unwrap();
        shell.download("/etc/copy", &root.path().join("back")).await.unwrap();
        assert_eq!(std::fs::read(root.path().join("back")).unwrap(), b"a");
        let nowhere = LocalShell::within("a place", ["/no/such/program"], "");
        let error = nowhere.execute(&Command::new("true")).await.unwrap_err();
        assert!(error.to_string().contains("on a place"), "{error}");
    }
}
