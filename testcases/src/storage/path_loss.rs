//! Storage that cannot be reached for a while.

use tokio::time::{Instant, sleep_until};
use xenrt::prelude::*;

use super::SIZE;
use super::served::{Protocol, Served};
use crate::support::{Filter, Pattern, Subject, Witness, count};

/// The table of nftables that is the cut.
const TABLE: &str = "inet xenrt_path";

/// A write that waited for its storage is over so long after the storage is back.
const RECOVERY: Duration = Duration::from_secs(300);

/// A disk of a guest lies on an NFS server that cannot be reached for `seconds`: a write waits, neither
/// failing nor called done; the guest and its other disk go on meanwhile; and when the server is back the
/// write ends, and what was written before and since is on the disk.
///
/// The server is the second host. Skipped where that one has no NFS server or the first no client
/// (Debian: nfs-kernel-server, nfs-common), or no nftables for the cut.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `seconds` (20).
#[testcase(
    id = "storage.nfs_path_loss",
    timeout = "1h",
    requires(hosts = 2, disk_hotplug),
    claims(guest = "exclusive", host = "exclusive"),
    tags("storage", "fault", "nfs")
)]
struct NfsPathLoss(PathLoss);

/// The same as `storage.nfs_path_loss`, with an iSCSI target: the session is lost, the disk stays, and the
/// session is made anew.
///
/// Skipped where the second host has no target or the first no initiator (Debian: tgt, open-iscsi), or no
/// nftables for the cut.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `seconds` (20).
#[testcase(
    id = "storage.iscsi_path_loss",
    timeout = "1h",
    requires(hosts = 2, disk_hotplug),
    claims(guest = "exclusive", host = "exclusive"),
    tags("storage", "fault", "iscsi")
)]
struct IscsiPathLoss(PathLoss);

#[async_trait]
impl TestCase for NfsPathLoss {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self(PathLoss::prepare(cx, Protocol::Nfs).await?))
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

#[async_trait]
impl TestCase for IscsiPathLoss {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self(PathLoss::prepare(cx, Protocol::Iscsi).await?))
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        self.0.run(cx).await
    }
}

struct PathLoss {
    subject: Subject,
    served: Served,
    filter: Filter,
    seconds: u32,
}

impl PathLoss {
    async fn prepare(cx: &TestContext, protocol: Protocol) -> Result<Self> {
        let seconds = count(cx, "seconds", 20)?;
        let subject = Subject::take(cx).await?;
        let here = subject.guest.host();
        let hosts = cx.claimed_hosts()?;
        let server = hosts.iter().find(|host| host.name() != here.name());
        let server = server.ok_or_else(|| TestError::infrastructure("two hosts are needed"))?;
        let served = Served::make(cx, protocol, subject.guest.as_ref(), server.as_ref()).await?;
        let filter = Filter::make(cx, here.as_ref(), TABLE).await?;
        Ok(Self { subject, served, filter, seconds })
    }

    async fn run(&self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        let local = guest.attach_disk(DiskSpec::new(SIZE)).await?;
        let disk = guest.attach_disk(DiskSpec::existing(&self.served.path)).await?;
        let before = Pattern::new(0x10c4, SIZE);
        before.write(guest, &disk.device).await?;
        before.verify(guest, &disk.device).await?;
        cx.step(format!("Cut the path to the storage for {} s, and write", self.seconds));
        let since = Pattern::new(0x10c5, SIZE);
        self.cut().await?;
        let began = Instant::now();
        let mut writing = std::pin::pin!(since.write(guest, &disk.device));
        let meanwhile = async {
            // The guest, and what is not on that storage, has nothing to wait for.
            before.write(guest, &local.device).await?;
            before.verify_written(guest, &local.device).await?;
            witness.went_on(guest).await?;
            sleep_until(began + Duration::from_secs(u64::from(self.seconds))).await;
            Ok::<(), TestError>(())
        };
        let early = tokio::select! {
            written = &mut writing => Some(written),
            undisturbed = meanwhile => {
                undisturbed?;
                None
            }
        };
        let away = began.elapsed();
        match early {
            Some(Ok(())) => {
                return Err(TestError::product(format!(
                    "guest {} was told after {:.1} s that its data is on {}, to which there was no path",
                    guest.name(),
                    away.as_secs_f64(),
                    disk.device
                )));
            }
            Some(Err(error)) => return Err(told_an_error(guest, &error)),
            None => {}
        }
        cx.step("Let the storage be reached again");
        self.filter.clear().await?;
        let back = Instant::now();
        tokio::time::timeout(RECOVERY, writing)
            .await
            .map_err(|_| {
                TestError::product(format!(
                    "a write of guest {} still waits {} s after its storage is back",
                    guest.name(),
                    RECOVERY.as_secs()
                ))
            })?
            .map_err(|error| told_an_error(guest, &error))?;
        cx.value("storage away", away.as_secs_f64(), "s");
        cx.value("end of the write after that", back.elapsed().as_secs_f64(), "s");
        since.verify(guest, &disk.device).await?;
        witness.went_on(guest).await?;
        guest.detach_disk(&disk.device).await?;
        guest.detach_disk(&local.device).await?;
        Ok(guest.check().await?)
    }

    /// Nothing goes to the storage and nothing comes from it, without a word to either side.
    async fn cut(&self) -> Result {
        let Served { server, protocol, .. } = &self.served;
        let (family, port) = (if server.is_ipv4() { "ip" } else { "ip6" }, protocol.port());
        let to = [format!("{family} daddr {server} tcp dport {port} drop")];
        let from = [format!("{family} saddr {server} tcp sport {port} drop")];
        let hook = |of: &str| format!("{{ type filter hook {of} priority 0; policy accept; }}");
        self.filter.chain("output", &hook("output"), &to).await?;
        self.filter.chain("input", &hook("input"), &from).await
    }
}

/// A write that was to wait for its storage failed.
fn told_an_error(guest: &dyn Guest, error: &TestError) -> TestError {
    let name = guest.name();
    let message = format!("a write of guest {name} failed while its storage was away: {error}");
    match error.blame() {
        Some(xenrt::Blame::Product) => TestError::product(message),
        _ => TestError::infrastructure(message),
    }
}
