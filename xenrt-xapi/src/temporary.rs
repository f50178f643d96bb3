//! Folders of dom0 that are there for one piece of work.

use xenrt_core::Result;
use xenrt_core::remote::{Command, Shell, ShellExt as _};

/// A folder in dom0's `/tmp` that nobody else may read.
#[derive(Debug)]
pub(crate) struct TemporaryFolder<'a> {
    dom0: &'a dyn Shell,
    path: String,
}

impl<'a> TemporaryFolder<'a> {
    /// Makes one. `what` is a part of its name, for whoever finds it after a crash.
    pub(crate) async fn make(dom0: &'a dyn Shell, what: &str) -> Result<Self> {
        let make = Command::new("mktemp").args(["-d", &format!("/tmp/xenrt-{what}.XXXXXX")]);
        Ok(Self { dom0, path: dom0.text(&make).await? })
    }

    /// The path of `name` in it.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Removes it, with all that is in it. To be called whatever came of the work.
    pub(crate) async fn remove(self) -> Result<()> {
        self.dom0.run(&Command::new("rm").args(["-rf", "--", self.path.as_str()])).await?;
        Ok(())
    }
}
