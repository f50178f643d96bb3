//! Files, through `cat`: every machine has it, where tiny guests lack sftp and scp.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::super::{Command, RemoteError, Result, shorten_middle};
use super::pool::{Pool, Purpose};
use super::stop::{StopOnDrop, findable};
use super::{ExitStatus, session};

/// A copy is given up when nothing has moved for this long. A whole file has no deadline, since
/// nobody knows how fast the way is.
const STALL: Duration = Duration::from_secs(60);

const PIECE: usize = 128 * 1024;

/// One copy, for its errors.
pub(super) struct Copy<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) from: String,
    pub(super) to: String,
}

impl Copy<'_> {
    /// Writes `length` bytes of `content` to the file `path` with permission bits `mode`.
    ///
    /// The file is written aside and renamed. The permission bits are set before the content comes.
    /// A connection that breaks looks to the far side like the end of the content, so the length is
    /// checked before the rename.
    pub(super) async fn send(
        &self,
        mut content: impl AsyncRead + Unpin,
        length: u64,
        path: &str,
        mode: u32,
    ) -> Result<()> {
        let script = format!(
            "f={path}\n\
             [ ! -d \"$f\" ] || {{ echo 'it is a folder' >&2; exit 1; }}\n\
             umask 077\n\
             t=\"$f.xenrt.$$\"\n\
             trap 'rm -f \"$t\"' EXIT\n\
             {{ chmod {mode:o} \"$t\" && cat; }} >\"$t\" || exit 1\n\
             n=$(wc -c <\"$t\")\n\
             [ \"$((n))\" -eq {length} ] || {{ echo \"only $((n)) of {length} bytes came\" >&2; exit 1; }}\n\
             mv -f \"$t\" \"$f\"",
            path = Command::quote(&operand(path)),
        );
        let mut sending = Sending { left: length };
        let (status, stderr) = self
            .run(&script, true, async |stdin, mut stdout| {
                // What the script prints is nothing, but it must not be left to fill a pipe.
                let mut nothing = Vec::new();
                if let Some(stdin) = stdin {
                    sending.run(&mut content, stdin).await?;
                }
                let _ = timeout(STALL, stdout.read_to_end(&mut nothing)).await;
                Ok(())
            })
            .await?;
        self.require(status, &stderr)
    }

    /// Reads the file `path` into `sink`.
    pub(super) async fn receive(
        &self,
        path: &str,
        mut sink: impl AsyncWrite + Unpin,
    ) -> Result<()> {
        let script = format!("cat {}", Command::quote(&operand(path)));
        let (status, stderr) = self
            .run(&script, false, async |_, mut stdout| {
                let mut piece = vec![0; PIECE];
                loop {
                    let read = timeout(STALL, stdout.read(&mut piece)).await;
                    let count = read.map_err(|_| stalled())?.map_err(|e| e.to_string())?;
                    if count == 0 {
                        return sink.flush().await.map_err(|error| error.to_string());
                    }
                    sink.write_all(&piece[..count]).await.map_err(|error| error.to_string())?;
                }
            })
            .await?;
        self.require(status, &stderr)
    }

    async fn run(
        &self,
        script: &str,
        with_stdin: bool,
        transfer: impl AsyncFnOnce(
            Option<tokio::net::unix::pipe::Sender>,
            tokio::net::unix::pipe::Receiver,
        ) -> std::result::Result<(), String>,
    ) -> Result<(ExitStatus, String)> {
        let command = Command::shell_line(script);
        let mut guard = StopOnDrop::new(self.pool, self.pool.next_key());
        let line = findable(&command, guard.key());
        let limit = Pool::CONNECT_LIMIT + STALL;
        let session =
            session::open(self.pool, &line, &command, with_stdin, Purpose::Reserved, guard.sent());
        let session = timeout(limit, session).await.map_err(|_| self.error(&stalled()))??;
        let mut stderr = Vec::new();
        let mut stderr_pipe = session.stderr;
        let over = tokio::sync::Notify::new();
        let (transferred, ()) = tokio::join!(
            async {
                let transferred = transfer(session.stdin, session.stdout).await;
                over.notify_one();
                transferred
            },
            async {
                let late = async {
                    over.notified().await;
                    tokio::time::sleep(STALL).await;
                };
                tokio::select! {
                    _ = stderr_pipe.read_to_end(&mut stderr) => {}
                    () = late => {}
                }
            },
        );
        let Ok(status) = timeout(STALL, session.end.wait()).await else {
            guard.stop().await;
            return Err(self.error(&transferred.err().unwrap_or_else(stalled)));
        };
        let stderr = String::from_utf8_lossy(&stderr).trim_end().to_owned();
        match (transferred, status) {
            (Ok(()), Ok(status)) => {
                guard.let_go();
                Ok((status, stderr))
            }
            // A transfer that fails since the program ended early is explained by the program.
            (Err(_), Ok(status)) if !status.success() => {
                guard.let_go();
                Ok((status, stderr))
            }
            (Err(message), Ok(_)) => {
                guard.stop().await;
                Err(self.error(&message))
            }
            (_, Err(message)) => {
                guard.let_go();
                Err(RemoteError::Disconnected {
                    target: self.pool.name.clone(),
                    command: format!("[copy {} to {}]", self.from, self.to),
                    message,
                })
            }
        }
    }

    fn require(&self, status: ExitStatus, stderr: &str) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let said = shorten_middle(stderr, 2000);
        Err(self.error(&if said.is_empty() { status.to_string() } else { said }))
    }

    pub(super) fn error(&self, message: &str) -> RemoteError {
        RemoteError::Copy {
            from: self.from.clone(),
            to: self.to.clone(),
            message: message.to_owned(),
        }
    }
}

/// The content on its way into a pipe.
struct Sending {
    left: u64,
}

impl Sending {
    async fn run(
        &mut self,
        content: &mut (impl AsyncRead + Unpin),
        mut pipe: tokio::net::unix::pipe::Sender,
    ) -> std::result::Result<(), String> {
        let mut piece = vec![0; PIECE];
        while self.left > 0 {
            let most = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
            let count =
                content.read(&mut piece[..most]).await.map_err(|error| error.to_string())?;
            if count == 0 {
                return Err(format!("the source ended {} bytes too early", self.left));
            }
            let written = timeout(STALL, pipe.write_all(&piece[..count])).await;
            written.map_err(|_| stalled())?.map_err(|error| error.to_string())?;
            self.left -= count as u64;
        }
        Ok(())
    }
}

fn stalled() -> String {
    format!("nothing moved for {STALL:?}")
}

/// A path that no program takes for an option.
fn operand(path: &str) -> String {
    if path.starts_with('-') { format!("./{path}") } else { path.to_owned() }
}

/// The length of a local file and the file itself.
pub(super) async fn open_source(path: &Path) -> std::io::Result<(tokio::fs::File, u64)> {
    let file = tokio::fs::File::open(path).await?;
    let known = file.metadata().await?;
    if known.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
    }
    Ok((file, known.len()))
}
