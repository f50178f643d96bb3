//! Guests as files here: exports and imports that tell how far they are.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::model::{Guest as _, Host as _};
use xenrt_core::remote::{Command, ProcessLine, Shell, ShellExt as _};
use xenrt_core::{Error, Result};

use crate::guest::XapiGuest;
use crate::host::XapiHost;
use crate::temporary::TemporaryFolder;
use crate::xe::{Ran, XeCommand, understand};

/// How often is told how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    /// So many bytes are here.
    pub bytes: u64,
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
        let folder = TemporaryFolder::make(dom0.as_ref(), "export").await?;
        let done = self.exported_through(dom0.as_ref(), &folder, to, progress).await;
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
        dom0: &dyn Shell,
        folder: &TemporaryFolder<'_>,
        to: &Path,
        progress: &(dyn Fn(Transferred) + Send + Sync),
    ) -> Result<()> {
        let pipe = folder.file("pipe");
        dom0.run(&Command::new("mkfifo").args(["-m", "600", pipe.as_str()])).await?;
        let line = format!(
            "unset XE_EXTRA_ARGS; exec xe vm-export uuid={} filename= >{}",
            self.uuid(),
            Command::quote(&pipe)
        );
        let export = Command::shell_line(line).deadline(self.deadlines().migrate);
        let export = dom0.start(&export).await?;
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        let mut copy = std::pin::pin!(dom0.download(&pipe, to));
        let copied = loop {
            tokio::select! {
                copied = &mut copy => break copied,
                _ = looks.tick() => progress(Transferred { bytes: size_of(to) }),
            }
        };
        let status = export.wait().await?;
        if status.success() {
            return copied.map_err(Error::from);
        }
        let mut stderr = String::new();
        while let Some(line) = export.next_line().await {
            if let ProcessLine::Stderr(line) = line {
                stderr.push_str(&line);
                stderr.push('\n');
            }
        }
        let ran = Ran { status: status.code().unwrap_or(-1), stdout: String::new(), stderr };
        let command = XeCommand::new("vm-export").uuid(self.uuid());
        match understand(&command, ran) {
            Err(error) => Err(self.during("export")(error)),
            Ok(_) => copied.map_err(Error::from),
        }
    }
}

impl XapiHost {
    /// Makes a guest of a local file that [`export_here`](XapiGuest::export_here) or
    /// [`export`](XapiGuest::export) wrote, on the storage `sr` where it is given. The file is copied
    /// to dom0's `/tmp` first and removed from there at the end. After: Halted, with an identity of
    /// its own.
    ///
    /// # Errors
    /// When the file cannot be read or copied; what xapi refuses, see [`import`](Self::import).
    pub async fn import_from_here(&self, from: &Path, sr: Option<Uuid>) -> Result<XapiGuest> {
        let dom0 = self.dom0();
        let folder = TemporaryFolder::make(dom0.as_ref(), "import").await?;
        let path = folder.file("guest.xva");
        let made = match dom0.upload(from, &path, 0o600).await {
            Ok(()) => self.import(&path, sr).await,
            Err(error) => Err(error.into()),
        };
        let removed = folder.remove().await;
        let made = made?;
        removed?;
        Ok(made)
    }
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
