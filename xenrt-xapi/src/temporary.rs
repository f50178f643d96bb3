//! Folders of dom0 that are there for one piece of work.

use std::sync::Arc;

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::remote::{Command, Shell, ShellExt as _};

/// A folder in dom0's `/tmp` that nobody else may read. Where its owner goes away before it was
/// [removed](Self::remove), it is removed behind his back.
#[derive(Debug)]
pub(crate) struct TemporaryFolder {
    dom0: Arc<dyn Shell>,
    path: String,
    removed: bool,
}

impl TemporaryFolder {
    /// Makes one. `what` is a part of its name, for whoever finds it after a crash.
    pub(crate) async fn make(dom0: Arc<dyn Shell>, what: &str) -> Result<Self> {
        // Its name is known before it is made, so that it goes wherever this is cut off.
        let path = format!("/tmp/xenrt-{what}.{}", Uuid::new_v4());
        let folder = Self { dom0, path, removed: false };
        let make = Command::new("mkdir").args(["-m", "700", "--", folder.path.as_str()]);
        folder.dom0.run(&make).await?;
        Ok(folder)
    }

    /// The path of `name` in it.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// The dom0 that it is in.
    pub(crate) fn dom0(&self) -> &dyn Shell {
        self.dom0.as_ref()
    }

    /// Removes it, with all that is in it. To be called whatever came of the work: only this tells
    /// whether it went.
    pub(crate) async fn remove(mut self) -> Result<()> {
        self.dom0.run(&removing(&self.path)).await?;
        self.removed = true;
        Ok(())
    }
}

fn removing(path: &str) -> Command {
    Command::new("rm").args(["-rf", "--", path])
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (dom0, path) = (Arc::clone(&self.dom0), std::mem::take(&mut self.path));
        // Without a runtime the whole program ends, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = dom0.run(&removing(&path)).await {
                    tracing::warn!(%path, %error, "a temporary folder of dom0 could not be removed");
                }
            });
        }
    }
}
