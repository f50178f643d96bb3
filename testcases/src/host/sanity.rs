//! Whether a host can be tested at all.

use xenrt::prelude::*;

use crate::support::count;

/// A host says sane things about itself, and has everything that a failure would be explained with: its
/// hypervisor, processors and memory are known; every piece of evidence that would be collected after
/// a failure can be had; and its disk has room.
///
/// Arguments: `room` on the disk of dom0 in MiB (256).
#[testcase(id = "host.sanity", timeout = "15m", claims(host = "shared"), tags("host", "smoke"))]
struct Sanity {
    host: Arc<dyn Host>,
    room: Memory,
}

#[async_trait]
impl TestCase for Sanity {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let room = Memory::mib(count(cx, "room", 256)?);
        Ok(Self { host: cx.default_host()?, room })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step("Ask the host about itself");
        let info = self.host.info().await?;
        let mut wrong = Vec::new();
        if info.cpus == 0 {
            wrong.push("it has no processors".to_owned());
        }
        if info.memory == Memory::bytes(0) || info.free_memory > info.memory {
            wrong.push(format!("{} of {} memory are free", info.free_memory, info.memory));
        }
        for (what, text) in [("hypervisor", &info.hypervisor), ("kernel", &info.kernel)] {
            if text.trim().is_empty() {
                wrong.push(format!("it does not say which {what} it runs"));
            }
        }
        cx.value("processors", f64::from(info.cpus), "");
        cx.value("free memory", info.free_memory.as_mib() as f64, "MiB");
        cx.step("Try everything that would be evidence");
        let dom0 = self.host.dom0();
        for source in self.host.evidence_sources() {
            let output = dom0.execute(&source.command).await?;
            if !output.status.success() {
                let why = output.error_text().trim().to_owned();
                wrong.push(format!("{} cannot be had ({}: {why})", source.file, output.status));
            }
        }
        cx.step("Look how full the disk of dom0 is");
        wrong.extend(self.full().await?);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(TestError::product(format!("host {}: {}", self.host.name(), wrong.join("; "))))
    }
}

impl Sanity {
    /// What is wrong with the disk of dom0.
    async fn full(&self) -> Result<Option<String>> {
        let folder = self.host.entry().work_folder.clone();
        let df = Command::new("df").args(["-P", "-k", "/"]).deadline(Duration::from_secs(60));
        let said = self.host.dom0().text(&df).await?;
        // `-P`: one line a file system; the fourth column is what is left, in KiB (POSIX, df).
        let left = said.lines().last().and_then(|line| line.split_whitespace().nth(3));
        let Some(left) = left.and_then(|left| left.parse::<u64>().ok()) else {
            return Ok(Some(format!("df -P / of dom0 printed {said:?}")));
        };
        let left = Memory::kib(left);
        Ok((left < self.room)
            .then(|| format!("{left} are left on the disk of dom0, which keeps {folder} there")))
    }
}
