//! Save and restore, with a file of the test's own.

use xenrt::model::Undo;
use xenrt::prelude::*;

use crate::support::{Subject, Witness, count, in_round};

/// A guest is saved to a file and restored from it, over and over: it goes on from where it was,
/// and the file is left to whoever made it.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (3).
#[testcase(
    id = "lifecycle.save_restore",
    timeout = "1h",
    requires(save),
    claims(guest = "exclusive"),
    tags("lifecycle", "suspend")
)]
struct SaveRestore {
    subject: Subject,
    loops: u32,
    path: String,
}

#[async_trait]
impl TestCase for SaveRestore {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 3)?;
        let subject = Subject::take(cx).await?;
        let path = format!("/tmp/xenrt-save-{}", subject.guest.uuid());
        let (dom0, file) = (subject.guest.host().dom0(), path.clone());
        cx.on_cleanup(Undo::new(format!("remove {path}"), move || async move {
            dom0.run(&Command::new("rm").args(["-f", &file])).await?;
            Ok(())
        }));
        Ok(Self { subject, loops, path })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for round in 1..=self.loops {
            cx.step(format!("Save and restore, round {round} of {}", self.loops));
            self.once().await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}

impl SaveRestore {
    async fn once(&self) -> Result {
        let (guest, dom0) = (self.subject.guest.as_ref(), self.subject.guest.host().dom0());
        let witness = Witness::leave(guest).await?;
        guest.save(&self.path).await?;
        guest.restore(&self.path).await?;
        witness.went_on(guest).await?;
        if !dom0.exists(&self.path).await? {
            let message = format!("restore removed {}, which is not its own", self.path);
            return Err(TestError::product(message));
        }
        dom0.run(&Command::new("rm").args(["-f", &self.path])).await?;
        Ok(guest.check().await?)
    }
}
