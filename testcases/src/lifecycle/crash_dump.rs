//! What is left of a guest that crashed.

use xenrt::model::Undo;
use xenrt::prelude::*;

use super::crash::crash_and_keep;
use crate::support::{Witness, guest_spec, needs_programs, up};

/// A guest whose kernel panicked and whose domain was kept is dumped with `xl dump-core`: the dump is an ELF
/// core of Xen's, as large as the guest's memory at least, and has in it what the guest had in memory when it
/// crashed. The domain is still there afterwards, and the guest can be powered off and started again.
///
/// Skipped where dom0 has no `xl`.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "lifecycle.crash_dump", timeout = "1h", tags("lifecycle", "crash", "evidence"))]
struct CrashDump {
    guest: Arc<dyn Guest>,
    /// Where the dump goes, in dom0.
    file: String,
}

/// A dump is written at the speed of dom0's disk.
const MINUTES: Duration = Duration::from_secs(900);

#[async_trait]
impl TestCase for CrashDump {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let host = cx.default_host()?;
        let dom0 = host.dom0();
        needs_programs(dom0.as_ref(), &["xl"], "dump a guest").await?;
        let spec = guest_spec(cx)?.on_crash(CrashAction::Preserve);
        let guest = up(&host, &spec).await?;
        let file = format!("/var/tmp/xenrt-{}.core", guest.uuid());
        let remove = Command::new("rm").args(["-f", &file]).deadline(MINUTES);
        cx.on_cleanup(Undo::new(format!("remove {file}"), move || async move {
            dom0.run(&remove).await?;
            Ok(())
        }));
        Ok(Self { guest, file })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let (name, dom0) = (guest.name(), guest.host().dom0());
        let witness = Witness::leave(guest).await?;
        let memory = guest.expectation().get().memory;
        cx.step("Crash the guest");
        crash_and_keep(guest).await?;
        let missing = || TestError::product(format!("guest {name} crashed and has no domain"));
        let domain = guest.domain().await?.ok_or_else(missing)?;
        cx.step("Dump it");
        let dump = Command::new("xl").args(["dump-core", &domain.domid.to_string(), &self.file]);
        dom0.run(&dump.deadline(MINUTES)).await?;
        let size = Command::new("stat").args(["-c", "%s", &self.file]).deadline(MINUTES);
        let size = dom0.text(&size).await?;
        let size: u64 = size.trim().parse().map_err(|_| {
            TestError::infrastructure(format!("`stat` printed {size:?} as the size of a file"))
        })?;
        cx.value("size of the dump", size as f64 / f64::from(1 << 20), "MiB");
        if size < memory.as_bytes() {
            let message = format!("the dump of guest {name} has {size} bytes");
            return Err(TestError::product(format!("{message}, and its memory {memory}")));
        }
        // What an ELF file begins with, and the name of Xen's own notes in it (Xen,
        // docs/misc/dump-core-format.txt).
        for (words, what) in [
            (format!("head -c 4 {} | tail -c 3", self.file), "ELF"),
            (format!("head -c 65536 {} | grep -a -o -m 1 Xen | head -n 1", self.file), "Xen"),
        ] {
            let found = dom0.text(&Command::shell_line(words).deadline(MINUTES)).await?;
            if found.trim() != what {
                let message = format!("the dump of guest {name} does not begin as one of Xen's");
                return Err(TestError::product(format!("{message}: {found:?} is not {what:?}")));
            }
        }
        let grep = Command::new("grep").args(["-a", "-c", "-F", witness.token(), &self.file]);
        let found = dom0.execute(&grep.deadline(MINUTES)).await?;
        if found.text().trim().parse::<u64>().unwrap_or(0) == 0 {
            return Err(TestError::product(format!(
                "the dump of guest {name} does not hold what the guest had in memory when it crashed ({})",
                found.status
            )));
        }
        cx.step("Power it off and start it again");
        if guest.power_state().await? != PowerState::Crashed {
            let message = format!("guest {name} is not Crashed any more after its dump");
            return Err(TestError::product(message));
        }
        guest.shutdown(ShutdownMode::Hard).await?;
        guest.start().await?;
        guest.wait_until_reachable().await?;
        witness.booted_anew(guest).await?;
        Ok(guest.check().await?)
    }
}
