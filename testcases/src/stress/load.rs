//! Guests that are busy while something is done to them.

use xenrt::prelude::*;

use crate::support::{Subject, Witness, count, in_round};
use crate::workload::{Fio, StressNg, Workload};

/// A guest is paused, and suspended where the toolstack can, while a workload in it keeps it busy and
/// verifies what it does: it goes on each time, and the workload finds nothing wrong and ends well.
///
/// Skipped where the guest has no such workload and cannot install it.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `workload` (stress-ng; also fio),
/// `seconds` that it runs (60), `loops` (3).
#[testcase(
    id = "stress.under_load",
    timeout = "2h",
    claims(guest = "exclusive"),
    tags("stress", "workload")
)]
struct UnderLoad {
    subject: Subject,
    workload: Box<dyn Workload>,
    loops: u32,
}

#[async_trait]
impl TestCase for UnderLoad {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (seconds, loops) = (count(cx, "seconds", 60)?, count(cx, "loops", 3)?);
        let words = [("stress-ng", true), ("fio", false)];
        let computes = args.choice("workload", &words)?.unwrap_or(true);
        let workload: Box<dyn Workload> = if computes {
            Box::new(StressNg::cpus(0).memory(Memory::mib(16)).seconds(seconds))
        } else {
            Box::new(Fio::on("/var/tmp/xenrt-fio").size(Memory::mib(32)).seconds(seconds))
        };
        let subject = Subject::take(cx).await?;
        workload.install(subject.guest.shell().await?.as_ref()).await?;
        Ok(Self { subject, workload, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let shell = guest.shell().await?;
        cx.step(format!("Keep the guest busy with {}", self.workload.name()));
        let disturb = async {
            for round in 1..=self.loops {
                let once = async {
                    let witness = Witness::leave(guest).await?;
                    guest.pause().await?;
                    guest.unpause().await?;
                    if guest.host().abilities().has(Ability::Suspend) {
                        guest.suspend().await?;
                        guest.resume().await?;
                    }
                    guest.wait_until_reachable().await?;
                    witness.went_on(guest).await
                };
                once.await.map_err(in_round(round, self.loops))?;
            }
            Ok::<(), TestError>(())
        };
        let (figures, disturbed) = tokio::join!(self.workload.run(shell.as_ref()), disturb);
        disturbed?;
        for figure in figures? {
            cx.value(figure.name, figure.value, figure.unit);
        }
        Ok(guest.check().await?)
    }
}
