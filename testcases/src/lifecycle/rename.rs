//! Names.

use xenrt::prelude::*;

use crate::support::{Subject, Witness, guest_spec, up};

/// A running guest is renamed, to names that toolstacks are known to stumble over, and back: toolstack
/// and hypervisor know it by the new name alone, it has the identity that it had, and goes on.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "lifecycle.rename_running",
    timeout = "30m",
    requires(rename_running),
    claims(guest = "exclusive"),
    tags("lifecycle")
)]
struct RenameRunning {
    subject: Subject,
}

#[async_trait]
impl TestCase for RenameRunning {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let (host, original, identity) = (guest.host(), guest.name(), guest.uuid());
        let witness = Witness::leave(guest).await?;
        let long = format!("{original}-{}", "n".repeat(60));
        for name in [format!("{original}-2"), long, format!("{original} it's a $(name)")] {
            cx.step(format!("Rename the guest to {name:?}"));
            let before = guest.name();
            guest.rename(&name).await?;
            known_alone_as(host.as_ref(), guest, identity, &before).await?;
        }
        cx.step("Give it its name back");
        guest.rename(&original).await?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A halted guest is renamed and then started: it comes up under the new name, with the identity
/// that it had.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "lifecycle.rename_halted", timeout = "30m", tags("lifecycle"))]
struct RenameHalted {
    guest: Arc<dyn Guest>,
}

#[async_trait]
impl TestCase for RenameHalted {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let guest = up(&cx.default_host()?, &guest_spec(cx)?).await?;
        guest.shutdown(ShutdownMode::Clean).await?;
        Ok(Self { guest })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let (before, identity) = (guest.name(), guest.uuid());
        cx.step("Rename the halted guest");
        guest.rename(&format!("{before}-renamed")).await?;
        known_alone_as(guest.host().as_ref(), guest, identity, &before).await?;
        cx.step("Start it");
        guest.start().await?;
        guest.wait_until_reachable().await?;
        known_alone_as(guest.host().as_ref(), guest, identity, &before).await?;
        Ok(guest.check().await?)
    }
}

/// Nothing where the host lists the guest by its name and identity, and nobody by the old name.
async fn known_alone_as(
    host: &dyn Host,
    guest: &dyn Guest,
    identity: uuid::Uuid,
    before: &str,
) -> Result {
    let now = guest.name();
    if identity != guest.uuid() {
        let message = format!("guest {now:?} has the identity {}, before {identity}", guest.uuid());
        return Err(TestError::product(message));
    }
    let names: Vec<String> = host.guests().await?.iter().map(|guest| guest.name()).collect();
    let count = |name: &str| names.iter().filter(|listed| *listed == name).count();
    if count(&now) != 1 || count(before) != 0 {
        return Err(TestError::product(format!(
            "after the rename from {before:?} to {now:?} the host lists {names:?}"
        )));
    }
    let domain = guest.domain().await?;
    if let Some(domain) = domain.filter(|domain| domain.name != now) {
        let message = format!("the hypervisor knows guest {now:?} as {:?}", domain.name);
        return Err(TestError::product(message));
    }
    Ok(())
}
