//! Guests as files here: exports and imports that tell how far they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use uuid::Uuid;
use xenrt_core::model::{Guest as _, Host as _};
use xenrt_core::remote::{Command, Process, ProcessLine, ShellExt as _};
use xenrt_core::{Error, Result};

use crate::guest::XapiGuest;
use crate::host::XapiHost;
use crate::parse;
use crate::temporary::TemporaryFolder;
use crate::xe::{self, Ran, XeCommand, understand};

/// How often is told how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// How much of an import is sent at once.
const PIECE: usize = 4 * 1024 * 1024;

/// How long `xe` is left to say why it does not read on.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    /// So many bytes have come here, or have been taken from here.
    pub bytes: u64,
}

/// What a process of `xe` printed, once it has ended.
async fn ran(process: &Process) -> Result<Ran> {
    let status = process.wait().await?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    while let Some(line) = process.next_line().await {
        let (text, line) = match line {
            ProcessLine::Stdout(line) => (&mut stdout, line),
            ProcessLine::Stderr(line) => (&mut stderr, line),
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok(Ran { status: status.code().unwrap_or(-1), stdout, stderr })
}

impl XapiGuest {
    /// Writes it, disks and all, to a local file while xapi makes the export: nothing is stored in
    /// dom0 on the way, whose disk has no room for guests. `progress` is told how much is here, about
    /// twice a second and at the end; how much there will be, nobody knows before. Before: Halted or
    /// Suspended. A local file of that name is replaced; after an error there is none.
    ///
    /// # Errors
    /// What xapi refuses; when the file cannot be written here, or the connection breaks;
    /// [`Error::Invalid`] on a host whose `xe` has a login of its own.
    pub async fn export_here(
        &self,
        to: &Path,
        progress: &(dyn Fn(Transferred) + Send + Sync),
    ) -> Result<()> {
        let host = self.xapi_host();
        if !host.xe().is_local() {
            let problem = "its `xe` logs in elsewhere; export it to a file of dom0 and copy that";
            return Err(Error::invalid(self.shared.object(), problem));
        }
        let dom0 = host.dom0();
        let folder = TemporaryFolder::make(dom0, "export").await?;
        let done = self.exported_through(&folder, to, progress).await;
        // Whatever came of it, nothing is left there.
        let removed = folder.remove().await;
        if done.is_err() {
            // Half of an export is none; that it may not even have begun is no error.
            let _ = std::fs::remove_file(to);
        }
        done?;
        removed?;
        progress(Transferred { bytes: size_of(to) });
        Ok(())
    }

    /// One end of a pipe is written to by `xe`, whose output the export is; the other one is copied.
    async fn exported_through(
        &self,
        folder: &TemporaryFolder,
        to: &Path,
        progress: &(dyn Fn(Transferred) + Send + Sync),
    ) -> Result<()> {
        let (dom0, pipe) = (folder.dom0(), folder.file("pipe"));
        dom0.run(&Command::new("mkfifo").args(["-m", "600", pipe.as_str()])).await?;
        let words = format!("vm-export uuid={} filename= >{}", self.uuid(), Command::quote(&pipe));
        let export = Command::shell_line(xe::bare(&words)).deadline(self.deadlines().migrate);
        let export = dom0.start(&export).await?;
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        let mut copy = std::pin::pin!(dom0.download(&pipe, to));
        let copied = loop {
            tokio::select! {
                copied = &mut copy => break copied,
                _ = looks.tick() => progress(Transferred { bytes: size_of(to) }),
            }
        };
        let command = XeCommand::new("vm-export").uuid(self.uuid());
        match understand(&command, ran(&export).await?) {
            Err(error) => Err(self.during("export")(error)),
            Ok(_) => copied.map_err(Error::from),
        }
    }
}

impl XapiHost {
    /// Makes a guest of a local file that [`export_here`](XapiGuest::export_here) or
    /// [`export`](XapiGuest::export) wrote, on the storage `sr` where it is given, while the file is
    /// read: nothing is stored in dom0 on the way, whose disk has no room for guests. `progress` is
    /// told how much has been taken after each piece. After: Halted, with an identity of its own.
    ///
    /// On a host whose `xe` has a login of its own, the file is copied to dom0's `/tmp` first, and is
    /// told as a whole.
    ///
    /// # Errors
    /// When the file cannot be read here, or the connection breaks; what xapi refuses, see
    /// [`import`](Self::import). Of an import that was cut off, nothing stays.
    pub async fn import_from_here(
        &self,
        from: &Path,
        sr: Option<Uuid>,
        progress: &(dyn Fn(Transferred) + Send + Sync),
    ) -> Result<XapiGuest> {
        let file = tokio::fs::File::open(from).await.map_err(|source| Error::Io {
            action: "cannot read",
            path: from.display().to_string(),
            source,
        })?;
        let folder = TemporaryFolder::make(self.dom0(), "import").await?;
        let made = match self.xe().is_local() {
            true => self.imported_through(&folder, file, from, sr, progress).await,
            false => self.imported_from_copy(&folder, from, sr, progress).await,
        };
        // Whatever came of it, nothing is left there.
        let removed = folder.remove().await;
        let made = made?;
        removed?;
        self.xapi_guest(made).await
    }

    async fn imported_from_copy(
        &self,
        folder: &TemporaryFolder,
        from: &Path,
        sr: Option<Uuid>,
        progress: &(dyn Fn(Transferred) + Send + Sync),
    ) -> Result<Uuid> {
        let path = folder.file("guest.xva");
        folder.dom0().upload(from, &path, 0o600).await?;
        let made = self.import(&path, sr).await?.uuid();
        progress(Transferred { bytes: size_of(from) });
        Ok(made)
    }

    /// `xe` reads from a pipe, and is told by its end that there is no more: newcli.ml sends no
    /// length for what is no regular file. Pieces are written to a named one after the other, while
    /// a shell holds it open; a word through a second pipe ends that.
    ///
    /// What `xe` opens is a pipe without a name. All may have been written to the named one before
    /// `xe` begins: to open that would wait for a writer for ever, fifo(7), and what nobody holds
    /// open is lost.
    async fn imported_through(
        &self,
        folder: &TemporaryFolder,
        mut file: tokio::fs::File,
        from: &Path,
        sr: Option<Uuid>,
        progress: &(dyn Fn(Transferred) + Send + Sync),
    ) -> Result<Uuid> {
        let (pipe, end) = (folder.file("pipe"), folder.file("end"));
        let pipes = Command::new("mkfifo").args(["-m", "600", pipe.as_str(), end.as_str()]);
        folder.dom0().run(&pipes).await?;
        let (pipe, end) = (Command::quote(&pipe), Command::quote(&end));
        let sr = sr.map(|sr| format!(" sr-uuid={sr}")).unwrap_or_default();
        let words = format!("vm-import filename=/dev/stdin{sr}");
        let line = format!(
            "exec 3<>{pipe} 4<{pipe}; (exec 4<&-; read -r _ <{end}) & held=$!; exec 3>&-\n\
             cat <&4 | (exec 4<&-; {}); status=$?; kill $held 2>/dev/null; exit $status",
            xe::bare(&words)
        );
        let deadline = self.entry().deadlines.migrate;
        let import = Command::shell_line(line).deadline(deadline).ends_with_connection();
        let import = folder.dom0().start(&import).await?;
        // What is sent in pieces is not worth a record each.
        let quiet = Arc::clone(&self.shared.shell);
        let send = |line: String, bytes: Vec<u8>| {
            let command = Command::shell_line(line).stdin(bytes).deadline(deadline);
            let quiet = &quiet;
            async move { quiet.run(&command).await.map(drop) }
        };
        let fed = async {
            let mut taken = 0;
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await;
                read.map_err(|source| Error::Io {
                    action: "cannot read",
                    path: from.display().to_string(),
                    source,
                })?;
                if piece.is_empty() {
                    return send(format!(": >{end}"), Vec::new()).await.map_err(Error::from);
                }
                let length = piece.len() as u64;
                send(format!("exec cat >{pipe}"), piece).await?;
                taken += length;
                progress(Transferred { bytes: taken });
            }
        };
        // Where it ends before it was told all, nobody reads what would still be sent.
        let fed = tokio::select! {
            fed = fed => fed,
            _ = import.wait() => Ok(()),
        };
        let object = format!("file {:?}", from.display().to_string());
        if let Err(error) = fed {
            if matches!(error, Error::Io { .. }) {
                return Err(error);
            }
            // Mostly it is `xe` that reads no more, and it knows better why.
            if tokio::time::timeout(LAST_WORDS, import.wait()).await.is_err() {
                return Err(error);
            }
            let ran = ran(&import).await?;
            return match understand(&XeCommand::new("vm-import"), ran) {
                Err(own) => Err(own.during("import", &object)),
                Ok(_) => Err(error),
            };
        }
        let printed = understand(&XeCommand::new("vm-import"), ran(&import).await?);
        let printed = printed.map_err(|error| error.during("import", &object))?;
        parse::created(&printed)
    }
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
