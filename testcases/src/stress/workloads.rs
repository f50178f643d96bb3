//! Several workloads at once.

use std::path::PathBuf;

use xenrt::prelude::*;

use crate::network::frontend::dom0_address_towards;
use crate::support::{Subject, Witness, count};
use crate::workload::{Running, Settings, Workload, named};

/// A guest, and what is to keep it busy.
#[derive(Debug)]
struct Busy {
    subject: Subject,
    workloads: Vec<Arc<dyn Workload>>,
}

impl Busy {
    /// The workloads that the argument names, else this one, installed.
    async fn prepare(cx: &TestContext, usual: &str, with_names: bool) -> Result<Self> {
        let args = cx.args();
        let seconds = count(cx, "seconds", 60)?;
        let media: Option<String> = args.get("media")?;
        let names = match with_names {
            true => args.get_or("workloads", usual.to_owned())?,
            false => usual.to_owned(),
        };
        let subject = Subject::take(cx).await?;
        let guest = subject.guest.as_ref();
        let host = guest.host();
        let settings = Settings {
            seconds,
            folder: "/var/tmp".to_owned(),
            peer: (host.dom0(), dom0_address_towards(host.as_ref(), guest).await?),
            media: media.map(PathBuf::from),
        };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let workloads = names.map(|name| named(name, &settings)).collect::<Result<Vec<_>>>()?;
        if workloads.is_empty() {
            return Err(TestError::test("`workloads` names none; the test would do nothing"));
        }
        let shell = guest.shell().await?;
        for workload in &workloads {
            workload.install(shell.as_ref()).await?;
        }
        Ok(Self { subject, workloads })
    }

    async fn run(&self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        let shell = guest.shell().await?;
        let names: Vec<&str> = self.workloads.iter().map(|workload| workload.name()).collect();
        cx.step(format!("Keep the guest busy with {}", names.join(", ")));
        let start =
            |workload: &Arc<dyn Workload>| Running::start(Arc::clone(workload), Arc::clone(&shell));
        let mut running: Vec<Running> = self.workloads.iter().map(start).collect();
        wait_until("the workloads to end", || {
            let busy: Vec<&str> =
                running.iter().filter(|own| own.is_running()).map(Running::name).collect();
            let seen = format!("{} still run", busy.join(", "));
            async move { Ok(Wait::on(busy.is_empty(), seen)) }
        })
        .within(Duration::from_secs(4 * 3600))
        .await?;
        for own in &mut running {
            own.healthy().await?;
        }
        for own in running {
            let name = own.name();
            for figure in own.results().await? {
                cx.value(format!("{name}: {}", figure.name), figure.value, figure.unit);
            }
        }
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

/// Workloads keep a guest busy, all of them at the same time. Each verifies what it does where it can, and
/// ends well; the guest goes on, and is what it should be afterwards.
///
/// Skipped where the guest has no such workload and cannot install it, and for those that somebody must
/// supply where nobody does.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `workloads` by their names, with commas
/// (stress-ng), `seconds` that each runs (60), `media`: a folder with what must be supplied (none).
#[testcase(
    id = "stress.workloads",
    timeout = "6h",
    claims(guest = "exclusive"),
    tags("stress", "workload")
)]
struct Workloads(Busy);

#[async_trait]
impl TestCase for Workloads {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Busy::prepare(cx, "stress-ng", true).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// `BurnInTest` of `PassMark` keeps a guest of Windows busy, and finds nothing wrong.
///
/// Skipped where the guest has no `BurnInTest` in `C:\xenrt\burnintest`: it is not free.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `seconds` that it runs (60), `media`: not
/// used for Windows (none).
#[testcase(
    id = "stress.burnintest",
    legacy = "testcases.benchmarks.stress.TCburnintest",
    timeout = "73h",
    claims(guest = "exclusive"),
    tags("stress", "workload", "windows")
)]
struct BurnInTest(Busy);

#[async_trait]
impl TestCase for BurnInTest {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Busy::prepare(cx, "burnintest", false).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// The time of a system call and the speed of copies in a guest, with lmbench.
///
/// Skipped where `media` has no `lmbench.tar.gz`.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `seconds`: not used by lmbench (60),
/// `media`: the folder of its archive (none).
#[testcase(
    id = "performance.lmbench",
    legacy = "testcases.benchmarks.micro.TClmbench",
    timeout = "6h",
    claims(guest = "exclusive"),
    tags("performance", "workload")
)]
struct Lmbench(Busy);

#[async_trait]
impl TestCase for Lmbench {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Busy::prepare(cx, "lmbench", false).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}
