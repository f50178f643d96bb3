//! xenstore, as a guest sees it.

use xenrt::prelude::*;

use crate::support::{Patience, count, needs_programs, several_up};

const MINUTE: Duration = Duration::from_secs(60);

/// The number of a guest's domain.
async fn domid(guest: &dyn Guest) -> Result<u32> {
    let missing = || TestError::product(format!("guest {} has no domain", guest.name()));
    Ok(guest.domain().await?.ok_or_else(missing)?.domid)
}

/// Skips where a guest has no xenstore client.
async fn has_client(guest: &dyn Guest) -> Result {
    let programs = ["xenstore-read", "xenstore-write"];
    let shell = guest.shell().await?;
    needs_programs(shell.as_ref(), &programs, "ask xenstore (Debian: xenstore-utils)").await
}

/// A guest reads and writes what is its own in xenstore, and nothing of another guest's nor of the host's;
/// what it tried to write is not there afterwards.
///
/// Skipped where the guest has no client of xenstore.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "security.xenstore_permissions", timeout = "1h", tags("security", "xenstore"))]
struct Permissions {
    guests: Vec<Arc<dyn Guest>>,
}

#[async_trait]
impl TestCase for Permissions {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let guests = several_up(cx, 2).await?;
        for guest in &guests {
            has_client(guest.as_ref()).await?;
        }
        Ok(Self { guests })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let [own, other] = self.guests.as_slice() else {
            return Err(TestError::test("two guests are needed"));
        };
        let (shell, name) = (own.shell().await?, own.name());
        let (number, others) = (domid(own.as_ref()).await?, domid(other.as_ref()).await?);
        let write =
            |path: &str| Command::new("xenstore-write").args([path, "xenrt"]).deadline(MINUTE);
        let read = |path: &str| Command::new("xenstore-read").arg(path).deadline(MINUTE);
        let dom0 = own.host().dom0();
        cx.step("Read and write what is the guest's own");
        // The host sees what it is about, else nothing of what follows proves anything.
        dom0.run(&read(&format!("/local/domain/{number}/domid"))).await?;
        // A path without a slash is of the domain that asks (xenstore-paths(7)).
        let seen = shell.text(&Command::new("xenstore-read").arg("domid").deadline(MINUTE)).await?;
        if seen.trim() != number.to_string() {
            let message =
                format!("guest {name} is told that its domain is {seen:?}; it is {number}");
            return Err(TestError::product(message));
        }
        // What a domain may write is below `data` (the same).
        shell.run(&write("data/xenrt")).await?;
        cx.step("Try what is another guest's and the host's");
        for path in [format!("/local/domain/{others}/domid"), format!("/local/domain/{others}/vm")]
        {
            let said = shell.execute(&read(&path)).await?;
            // The host's own look says that there is something to be read.
            if said.status.success() && dom0.succeeds(&read(&path)).await? {
                let message = format!("guest {name} reads {path} of guest {}", other.name());
                return Err(TestError::product(format!("{message}: {:?}", said.text().trim())));
            }
        }
        for path in [
            format!("/local/domain/{others}/data/xenrt"),
            "/local/domain/0/xenrt".to_owned(),
            "/tool/xenrt".to_owned(),
            format!("/local/domain/{number}/name"),
        ] {
            let said = shell.execute(&write(&path)).await?;
            let there = dom0.execute(&read(&path)).await?;
            let written = there.status.success() && there.text().trim() == "xenrt";
            if said.status.success() || written {
                let message = format!("guest {name} writes {path}, which is not its own");
                return Err(TestError::product(message));
            }
        }
        own.check().await?;
        Ok(other.check().await?)
    }
}

/// A guest that writes into xenstore whatever it takes is stopped by its quota, and harms nobody: the host
/// answers meanwhile, another guest starts and stops, and with the guest goes all that it wrote.
///
/// Skipped where the guest has no client of xenstore.
///
/// Arguments: `distro` (generic-linux), `most`: nodes that no quota allows (5000), `max_answer` of the host
/// (30s).
#[testcase(
    id = "security.xenstore_flood",
    timeout = "2h",
    claims(host = "exclusive"),
    tags("security", "xenstore", "hostile")
)]
struct Flood {
    guests: Vec<Arc<dyn Guest>>,
    most: u32,
    max_answer: Duration,
}

#[async_trait]
impl TestCase for Flood {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (most, max_answer) =
            (count(cx, "most", 5000)?, cx.args().get_or("max_answer", Duration::from_secs(30))?);
        let guests = several_up(cx, 2).await?;
        has_client(guests[0].as_ref()).await?;
        Ok(Self { guests, most, max_answer })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let [hostile, other] = self.guests.as_slice() else {
            return Err(TestError::test("two guests are needed"));
        };
        let (host, shell) = (hostile.host(), hostile.shell().await?);
        let number = domid(hostile.as_ref()).await?;
        cx.step(format!("Write {} nodes, or as many as are allowed", self.most));
        let flood = format!(
            "i=0; while [ $i -lt {} ]; do xenstore-write data/xenrt/$i x 2>/dev/null || break; i=$((i+1)); done; echo $i",
            self.most
        );
        let flood = Command::shell_line(flood).deadline(Duration::from_secs(3600));
        let bystander = async {
            let mut patience = Patience::default();
            for _ in 0..3 {
                patience.ask(host.as_ref()).await?;
                other.reboot(ShutdownMode::Clean).await?;
                other.wait_until_reachable().await?;
            }
            Ok::<Patience, TestError>(patience)
        };
        let (written, patience) = tokio::join!(shell.text(&flood), bystander);
        let (written, patience) = (written?, patience?);
        let written: u32 = written.trim().parse().map_err(|_| {
            TestError::test(format!("the guest should count its nodes, and printed {written:?}"))
        })?;
        cx.value("nodes written", f64::from(written), "");
        if written >= self.most {
            let name = hostile.name();
            let message = format!(
                "guest {name} wrote {written} nodes into xenstore, and no quota stopped it"
            );
            return Err(TestError::product(message));
        }
        patience.judge(cx, self.max_answer, "a guest filled xenstore")?;
        cx.step("Let the guest go, and what it wrote with it");
        hostile.shutdown(ShutdownMode::Hard).await?;
        let path = format!("/local/domain/{number}/data/xenrt/0");
        let read = Command::new("xenstore-read").arg(&path).deadline(MINUTE);
        wait_until(format!("{path} to be gone"), || async {
            Ok(Wait::on(!host.dom0().succeeds(&read).await?, "it is still there"))
        })
        .within(hostile.deadlines().state)
        .await?;
        Ok(other.check().await?)
    }
}
