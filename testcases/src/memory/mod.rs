//! Tests of memory.

mod keeps;

use xenrt::prelude::*;
use xenrt::{Error, ToolstackErrorKind};

use crate::support::{
    Census, Witness, count, guest_spec, image_memory, in_round, several_up, start_all, up,
};

/// A file in the memory of a guest.
const BALLAST: &str = "/run/xenrt-ballast";

/// Memory is taken from a running guest and given back, over and over: hypervisor and guest see each
/// change, what the guest takes is no longer free on the host and what it gives is, and not a byte of
/// what the guest holds in memory is changed.
///
/// Arguments: `distro` (generic-linux), `loops` (3), `step` in MiB (32), `ballast` in MiB (4).
#[testcase(
    id = "memory.balloon",
    timeout = "1h",
    requires(memory_hotplug),
    claims(host = "exclusive"),
    tags("memory", "balloon")
)]
struct Balloon {
    guest: Arc<dyn Guest>,
    memory: Memory,
    step: Memory,
    loops: u32,
    ballast: Vec<u8>,
}

#[async_trait]
impl TestCase for Balloon {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let step: Memory = args.get_or("step", Memory::mib(32))?;
        let (loops, ballast) = (count(cx, "loops", 3)?, args.get_or("ballast", Memory::mib(4))?);
        let (host, spec) = (cx.default_host()?, guest_spec(cx)?);
        let memory =
            Memory::bytes(image_memory(host.as_ref(), &spec)?.as_bytes() + step.as_bytes());
        let guest = up(&host, &spec.memory(memory)).await?;
        let ballast = (0..ballast.as_bytes()).map(|at| (at % 251) as u8 ^ (at >> 12) as u8);
        Ok(Self { guest, memory, step, loops, ballast: ballast.collect() })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let shell = guest.shell().await?;
        shell.write_file(BALLAST, &self.ballast, 0o600).await?;
        let less = Memory::bytes(self.memory.as_bytes() - self.step.as_bytes());
        for round in 1..=self.loops {
            cx.step(format!("Down to {less} and up to {}, round {round}", self.memory));
            self.once(cx, less).await.map_err(in_round(round, self.loops))?;
        }
        if shell.read_file(BALLAST).await? != self.ballast {
            let message = format!("guest {} does not hold what it held in memory", guest.name());
            return Err(TestError::product(message + " before the changes"));
        }
        Ok(())
    }
}

impl Balloon {
    async fn once(&self, cx: &TestContext, less: Memory) -> Result {
        let (guest, host) = (self.guest.as_ref(), self.guest.host());
        let witness = Witness::leave(guest).await?;
        let full = host.info().await?.free_memory;
        guest.set_memory(less).await?;
        let freed = host.info().await?.free_memory.as_bytes().saturating_sub(full.as_bytes());
        cx.value("memory given to the host", freed as f64 / (1 << 20) as f64, "MiB");
        // Pages of the balloon driver and of page tables stay where they are.
        if freed < self.step.as_bytes() / 2 {
            return Err(TestError::product(format!(
                "guest {} gave up {}, and {} more is free on the host",
                guest.name(),
                self.step,
                Memory::bytes(freed)
            )));
        }
        guest.set_memory(self.memory).await?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A halted guest is given other amounts of memory; each time it starts, toolstack, hypervisor and
/// the guest itself agree on how much it has, and so they do after a reboot.
///
/// Arguments: `distro` (generic-linux), `steps` (3), `step` in MiB (64).
#[testcase(id = "memory.walk", timeout = "2h", tags("memory"))]
struct Walk {
    guest: Arc<dyn Guest>,
    memory: Memory,
    steps: u64,
    step: Memory,
}

#[async_trait]
impl TestCase for Walk {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (steps, step) = (count(cx, "steps", 3)?, cx.args().get_or("step", Memory::mib(64))?);
        let (host, spec) = (cx.default_host()?, guest_spec(cx)?);
        let memory = image_memory(host.as_ref(), &spec)?;
        let most = Memory::bytes(memory.as_bytes() + steps * step.as_bytes());
        let guest = host.create_guest(&spec.memory(memory).max_memory(most)).await?;
        Ok(Self { guest, memory, steps, step })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        for number in 1..=self.steps {
            let memory = Memory::bytes(self.memory.as_bytes() + number * self.step.as_bytes());
            cx.step(format!("Start the guest with {memory}"));
            let once = async {
                guest.set_memory(memory).await?;
                guest.start().await?;
                guest.wait_until_reachable().await?;
                guest.check().await?;
                guest.reboot(ShutdownMode::Clean).await?;
                guest.wait_until_reachable().await?;
                guest.check().await?;
                Ok(guest.shutdown(ShutdownMode::Clean).await?)
            };
            once.await.map_err(|error: TestError| error.context(format!("with {memory}")))?;
        }
        Ok(())
    }
}

/// A guest that needs more memory than the host has is refused for that reason, and nothing is left
/// of the try: no domain, no memory. The guests that run are not disturbed, and the same guest starts
/// once it asks for less.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "memory.overcommit_refused",
    timeout = "1h",
    claims(host = "exclusive"),
    tags("memory", "refusal")
)]
struct OvercommitRefused {
    bystander: Arc<dyn Guest>,
    greedy: Arc<dyn Guest>,
    modest: Memory,
}

#[async_trait]
impl TestCase for OvercommitRefused {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let host = cx.default_host()?;
        let bystander = up(&host, &guest_spec(cx)?).await?;
        let info = host.info().await?;
        let spec = guest_spec(cx)?;
        let modest = image_memory(host.as_ref(), &spec)?;
        let greedy = host.create_guest(&spec.memory(info.memory)).await?;
        Ok(Self { bystander, greedy, modest })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let host = self.greedy.host();
        let witness = Witness::leave(self.bystander.as_ref()).await?;
        let before = Census::take(host.as_ref()).await?;
        cx.step("Start a guest with all memory of the machine");
        match self.greedy.start().await {
            Ok(()) => {
                let message = "a guest started with as much memory as the whole machine has";
                return Err(TestError::product(message));
            }
            Err(Error::Toolstack { kind: ToolstackErrorKind::OutOfMemory, .. }) => {}
            Err(error) => {
                let message = format!("the guest was not refused for want of memory: {error}");
                return Err(TestError::product(message));
            }
        }
        cx.step("Look for what the try left");
        Census::nothing_left(host.as_ref(), &before, self.greedy.deadlines().state).await?;
        witness.went_on(self.bystander.as_ref()).await?;
        cx.step("Start it with less");
        self.greedy.set_memory(self.modest).await?;
        self.greedy.start().await?;
        self.greedy.wait_until_reachable().await?;
        Ok(self.greedy.check().await?)
    }
}

/// The free memory of the host falls by what guests take when they start, and is back when they are
/// gone.
///
/// Arguments: `distro` (generic-linux), `guests` (3), `loops` (2).
#[testcase(
    id = "memory.accounting",
    timeout = "1h",
    claims(host = "exclusive"),
    tags("memory", "leak")
)]
struct Accounting {
    guests: u32,
    loops: u32,
}

#[async_trait]
impl TestCase for Accounting {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { guests: count(cx, "guests", 3)?, loops: count(cx, "loops", 2)? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let host = cx.default_host()?;
        let guests = several_up(cx, self.guests).await?;
        for round in 1..=self.loops {
            cx.step(format!("Stop and start {} guests, round {round}", self.guests));
            let once = async {
                let with = Census::take(host.as_ref()).await?.free();
                let mut given = 0;
                for guest in &guests {
                    given += guest.view().await?.memory.as_bytes();
                    guest.shutdown(ShutdownMode::Clean).await?;
                }
                let without = Census::take(host.as_ref()).await?.free();
                let back = without.as_bytes().saturating_sub(with.as_bytes());
                cx.value("memory that came back", back as f64 / given as f64, "of what was given");
                // Hypervisors need a little besides for each guest, and toolstacks let dom0 grow.
                if back < given / 10 * 9 {
                    return Err(TestError::product(format!(
                        "guests with {} were stopped, and {} came back",
                        Memory::bytes(given),
                        Memory::bytes(back)
                    )));
                }
                start_all(&guests, self.guests).await?;
                let again = Census::take(host.as_ref()).await?.free();
                let drift = with.as_bytes().saturating_sub(again.as_bytes());
                if drift > given / 10 {
                    return Err(TestError::product(format!(
                        "the same guests take {} more than before",
                        Memory::bytes(drift)
                    )));
                }
                Ok(())
            };
            once.await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}
