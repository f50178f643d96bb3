//! New guests of a certain shape.

use xenrt::prelude::*;

use crate::support::{Witness, count, guest_spec, image_memory, up};
use crate::systems::Catalogue;

/// The guest that a test of this module makes, and what was asked for.
#[derive(Debug)]
struct Shaped {
    guest: Arc<dyn Guest>,
    vcpus: u32,
    memory: Memory,
    disks: usize,
}

impl Shaped {
    /// A guest with what the arguments say: `vcpus`, `memory` and `disksize` (in MiB, as in the
    /// original; no second disk unless given).
    async fn prepare(cx: &TestContext, vcpus: u32) -> Result<Self> {
        let args = cx.args();
        let mut spec = guest_spec(cx)?.vcpus(count(cx, "vcpus", vcpus)?);
        if let Some(memory) = args.get::<Memory>("memory")? {
            spec = spec.memory(memory);
        }
        if let Some(size) = args.get::<Memory>("disksize")? {
            spec = spec.disk(DiskSpec::new(size));
        }
        Self::make(cx, &spec).await
    }

    async fn make(cx: &TestContext, spec: &GuestSpec) -> Result<Self> {
        let host = cx.default_host()?;
        let image = image_memory(host.as_ref(), spec)?;
        let memory = if spec.memory > Memory::default() { spec.memory } else { image };
        let distro: Option<String> = cx.args().get("distro")?;
        let known = Catalogue::built_in()?;
        if let Some(system) = distro.and_then(|distro| known.find(&distro).ok())
            && let Some(objection) = system.objection(memory, spec.vcpus)
        {
            // The image may be of another system that answers to the name.
            cx.warn(objection);
        }
        cx.step("Create the guest and wait until it is up");
        let guest = up(&host, spec).await?;
        Ok(Self { guest, vcpus: spec.vcpus, memory, disks: spec.disks.len() })
    }

    /// Nothing where the guest has what was asked for, which is another question than whether all
    /// views of it agree.
    async fn verify(&self, when: &str) -> Result {
        let guest = self.guest.as_ref();
        guest.check().await.map_err(|error| TestError::from(error).context(when))?;
        let (view, inside) = (guest.view().await?, guest.inside().await?);
        let mut wrong = Vec::new();
        for (whose, vcpus) in [("the toolstack", view.vcpus), ("the guest", inside.vcpus)] {
            if vcpus != self.vcpus {
                wrong.push(format!("{} vCPUs were asked for, {whose} says {vcpus}", self.vcpus));
            }
        }
        // The hypervisor's view agrees with the toolstack's within what `check` allows.
        if view.memory.abs_diff(self.memory) > Memory::mib(4) {
            wrong.push(format!(
                "{} were asked for, the toolstack says {}",
                self.memory, view.memory
            ));
        }
        if inside.disks.len() < self.disks {
            let seen = inside.disks.len();
            wrong.push(format!("{} disks were asked for, the guest sees {seen}", self.disks));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!("{when} guest {} is not what was asked for: ", guest.name());
        Err(TestError::product(message + &wrong.join("; ")))
    }

    /// Takes the guest through its life; it must be what was asked for all the way.
    async fn run(&self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        cx.step("Hold what is seen against what was asked for");
        self.verify("after its first start").await?;
        cx.step("Reboot it");
        let witness = Witness::leave(guest).await?;
        guest.reboot(ShutdownMode::Clean).await?;
        guest.wait_until_reachable().await?;
        witness.booted_anew(guest).await?;
        self.verify("after a reboot").await?;
        cx.step("Shut it down and start it");
        guest.shutdown(ShutdownMode::Clean).await?;
        guest.start().await?;
        guest.wait_until_reachable().await?;
        self.verify("after a restart").await
    }
}

/// A guest of a distribution is made with the vCPUs, memory and disk that the arguments say, boots
/// to a login, sees all of that from inside, and keeps it over a reboot and a restart.
///
/// The original installed from the vendor's installer and left the guest to the tests after it.
/// Here it is made from the lab's image and is gone after the test; a guest for several tests
/// belongs into the `<prepare>` of the sequence.
///
/// Arguments: `distro` (generic-linux), `vcpus` (1), `memory` in MiB (none: the image's), `disksize`
/// of a second disk in MiB (none).
#[testcase(
    id = "lifecycle.install",
    legacy(
        "testcases.xenserver.guest.TCXenServerVendorInstall",
        "testcases.xenserver.guest.TCXenServerDebianInstall",
        "testcases.xenserver.tc.smoketest.TCSmokeTestTemplateDefaults"
    ),
    timeout = "1h",
    tags("lifecycle", "install")
)]
struct Install(Shaped);

#[async_trait]
impl TestCase for Install {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Shaped::prepare(cx, 1).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// As lifecycle.install, with one vCPU.
///
/// Arguments: as lifecycle.install.
#[testcase(
    id = "lifecycle.install_one_vcpu",
    legacy = "testcases.xenserver.tc.smoketest.TCSmokeTest1VCPU",
    timeout = "1h",
    tags("lifecycle", "install", "cpu")
)]
struct InstallOneVcpu(Shaped);

#[async_trait]
impl TestCase for InstallOneVcpu {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Shaped::prepare(cx, 1).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// As lifecycle.install, with two vCPUs.
///
/// Arguments: as lifecycle.install.
#[testcase(
    id = "lifecycle.install_two_vcpus",
    legacy = "testcases.xenserver.tc.smoketest.TCSmokeTest2VCPUs",
    timeout = "1h",
    tags("lifecycle", "install", "cpu")
)]
struct InstallTwoVcpus(Shaped);

#[async_trait]
impl TestCase for InstallTwoVcpus {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Shaped::prepare(cx, 2).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// As lifecycle.install, with as many vCPUs as the host has processors.
///
/// Arguments: as lifecycle.install.
#[testcase(
    id = "lifecycle.install_all_vcpus",
    legacy = "testcases.xenserver.tc.smoketest.TCSmokeTestMaxvCPUs",
    timeout = "1h",
    tags("lifecycle", "install", "cpu")
)]
struct InstallAllVcpus(Shaped);

#[async_trait]
impl TestCase for InstallAllVcpus {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let cpus = cx.default_host()?.info().await?.cpus;
        Shaped::prepare(cx, cpus.max(1)).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// A guest with a half more of memory than its image asks for sees it from inside, and so it is
/// after a reboot.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "lifecycle.install_more_memory", timeout = "1h", tags("lifecycle", "memory"))]
struct InstallMoreMemory(Shaped);

#[async_trait]
impl TestCase for InstallMoreMemory {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (host, spec) = (cx.default_host()?, guest_spec(cx)?);
        let memory = image_memory(host.as_ref(), &spec)?;
        let spec = spec.memory(Memory::mib(memory.as_mib() + memory.as_mib() / 2));
        Shaped::make(cx, &spec).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

/// A guest that is deleted leaves nothing behind: the host has the domains, files and free memory that
/// it had before, whatever the guest went through.
///
/// Arguments: `distro` (generic-linux), `loops` (3).
#[testcase(
    id = "lifecycle.delete_leaves_nothing",
    timeout = "1h",
    claims(host = "exclusive"),
    tags("lifecycle", "leak")
)]
struct DeleteLeavesNothing {
    host: Arc<dyn Host>,
    loops: u32,
}

#[async_trait]
impl TestCase for DeleteLeavesNothing {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { host: cx.default_host()?, loops: count(cx, "loops", 3)? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let before = crate::support::Census::take(self.host.as_ref()).await?;
        for round in 1..=self.loops {
            cx.step(format!("Make, use and delete a guest, round {round} of {}", self.loops));
            let spec = guest_spec(cx)?.disk(DiskSpec::new(Memory::mib(16)));
            let guest = up(&self.host, &spec).await?;
            guest.shutdown(ShutdownMode::Clean).await?;
            guest.delete().await?;
            let patience = guest.deadlines().device;
            crate::support::Census::nothing_left(self.host.as_ref(), &before, patience)
                .await
                .map_err(crate::support::in_round(round, self.loops))?;
        }
        Ok(())
    }
}
