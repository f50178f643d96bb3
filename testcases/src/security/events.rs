//! Guests that wake their back ends as often as they can.

use std::net::IpAddr;

use tokio::time::Instant;
use xenrt::prelude::*;

use crate::network::frontend::dom0_address_towards;
use crate::support::{Patience, Witness, count, outage_during, several_up};
use crate::workload::{Iperf, Workload};

/// A guest has its back ends woken as often as it can, by single bytes on its console, reads of single
/// sectors and packets with next to nothing in them, all at once: another guest goes on answering, and so
/// does the host, and the guest itself is none the worse when it is over. Each of these is an event for dom0
/// (Xen, xen/include/public/event_channel.h; on QEMU a notification of a virtqueue).
///
/// Arguments: `distro` (generic-linux), `seconds` (20), `max_outage` of the other guest (20s), `max_answer`
/// of the host (30s).
#[testcase(
    id = "security.event_storm",
    timeout = "1h",
    requires(disk_hotplug),
    claims(host = "exclusive"),
    tags("security", "hostile", "stress")
)]
struct EventStorm {
    guests: Vec<Arc<dyn Guest>>,
    /// The address of dom0 that packets go to.
    dom0: IpAddr,
    seconds: u32,
    max_outage: Duration,
    max_answer: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);

/// How many interrupts a guest has when it has nothing to do is counted for so long.
const QUIET: Duration = Duration::from_secs(5);

#[async_trait]
impl TestCase for EventStorm {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (args, seconds) = (cx.args(), count(cx, "seconds", 20)?);
        let max_outage = args.get_or("max_outage", Duration::from_secs(20))?;
        let max_answer = args.get_or("max_answer", Duration::from_secs(30))?;
        let guests = several_up(cx, 2).await?;
        let hostile = guests[0].as_ref();
        let dom0 = dom0_address_towards(hostile.host().as_ref(), hostile).await?;
        let packets = Iperf::new(hostile.host().dom0(), dom0);
        packets.install(hostile.shell().await?.as_ref()).await?;
        Ok(Self { guests, dom0, seconds, max_outage, max_answer })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let [hostile, other] = self.guests.as_slice() else {
            return Err(TestError::test("two guests are needed"));
        };
        let host = hostile.host();
        let witnesses =
            (Witness::leave(hostile.as_ref()).await?, Witness::leave(other.as_ref()).await?);
        let disk = hostile.attach_disk(DiskSpec::new(Memory::mib(16))).await?;
        let since = interrupts(hostile.as_ref()).await?;
        tokio::time::sleep(QUIET).await;
        let quiet = rate(since, interrupts(hostile.as_ref()).await?);
        cx.step(format!("Make events for {} s", self.seconds));
        let since = interrupts(hostile.as_ref()).await?;
        let mut patience = Patience::default();
        let storm = async {
            let storm = storm(hostile.as_ref(), &disk.device, self.dom0, self.seconds);
            let mut storm = std::pin::pin!(storm);
            let mut pace = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    ended = &mut storm => return ended,
                    _ = pace.tick() => patience.ask(host.as_ref()).await?,
                }
            }
        };
        let (ended, outage) = outage_during(other.as_ref(), storm).await?;
        ended?;
        let busy = rate(since, interrupts(hostile.as_ref()).await?);
        cx.value("interrupts of the guest, quiet", quiet, "1/s");
        cx.value("interrupts of the guest, in the storm", busy, "1/s");
        if busy < quiet * 2.0 {
            return Err(TestError::infrastructure(format!(
                "guest {} made no storm: {busy:.0} interrupts a second, {quiet:.0} before",
                hostile.name()
            )));
        }
        let during = format!("guest {} made events", hostile.name());
        outage.judge(cx, other.as_ref(), self.max_outage, &during)?;
        patience.judge(cx, self.max_answer, &during)?;
        cx.step("Look at both when it is over");
        witnesses.0.went_on(hostile.as_ref()).await?;
        witnesses.1.went_on(other.as_ref()).await?;
        hostile.detach_disk(&disk.device).await?;
        hostile.check().await?;
        Ok(other.check().await?)
    }
}

/// When a guest was looked at, and how many interrupts it had had since its boot.
async fn interrupts(guest: &dyn Guest) -> Result<(Instant, f64)> {
    let read = Command::new("grep").args(["^intr ", "/proc/stat"]).deadline(MINUTE);
    let text = guest.shell().await?.text(&read).await?;
    // The first number of the line is the sum of all (proc_stat(5)).
    let sum = text.split_whitespace().nth(1).and_then(|sum| sum.parse().ok());
    let sum = sum.ok_or_else(|| xenrt::Error::UnexpectedOutput {
        what: "/proc/stat".to_owned(),
        expected: "a line `intr` with numbers".to_owned(),
        found: text.chars().take(100).collect(),
    })?;
    Ok((Instant::now(), sum))
}

/// So many a second between two looks.
fn rate(since: (Instant, f64), now: (Instant, f64)) -> f64 {
    (now.1 - since.1) / (now.0 - since.0).as_secs_f64().max(0.001)
}

/// Events of each kind, all at once.
async fn storm(guest: &dyn Guest, device: &str, dom0: IpAddr, seconds: u32) -> Result {
    let shell = guest.shell().await?;
    let lines = [
        "while :; do printf x > /dev/console; done".to_owned(),
        // What is in memory would be read without an event.
        format!(
            "while :; do dd if=/dev/{device} of=/dev/null bs=512 count=256 iflag=direct 2>/dev/null \
             || exit 126; done"
        ),
        format!("iperf -u -c {dom0} -l 18 -b 1000M -t {seconds} >/dev/null 2>&1"),
    ];
    let shell = shell.as_ref();
    let storms = lines.iter().map(|line| async move {
        let run = Command::new("timeout").args([&seconds.to_string(), "sh", "-c", line]);
        let run = run.deadline(Duration::from_secs(u64::from(seconds) * 10 + 120));
        let ended = shell.execute(&run).await?;
        // Not found, or cannot be run (POSIX, 2.8.2); or what `dd` ended with.
        match ended.status.code() {
            Some(126 | 127) => Err(TestError::infrastructure(format!(
                "guest {} cannot run `{line}`: {}",
                guest.name(),
                ended.error_text()
            ))),
            _ => Ok(()),
        }
    });
    for ended in futures::future::join_all(storms).await {
        ended?;
    }
    Ok(())
}
