//! What a check has at hand.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::Fixture;
use super::problem::{Outcome, Problem, ensure};
use crate::Result;
use crate::model::{DiskSpec, Guest, GuestSpec, Host, Memory, PowerState, Scope, Undo, VifSpec};
use crate::remote::{Command, ShellExt, Wait, wait_until};

/// What a check has at hand: hosts in its own scope, and guests. All that it makes is undone.
#[derive(Debug)]
pub struct CheckContext {
    pub(super) host: Arc<dyn Host>,
    pub(super) second: Option<Arc<dyn Host>>,
    pub(super) image: String,
    /// What all its names begin with.
    pub(super) names: String,
    pub(super) scope: Scope,
    pub(super) fixture: tokio::sync::Mutex<Fixture>,
}

impl CheckContext {
    /// The host, in the scope of the check.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// The second host, in the scope of the check.
    pub(super) fn second(&self) -> Result<&Arc<dyn Host>, Problem> {
        let missing = || Problem::Errored("there is no second host".to_owned());
        self.second.as_ref().ok_or_else(missing)
    }

    /// A name that nobody else has.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.names)
    }

    /// A guest of the suite's image with one VIF, to be changed before it is created.
    pub(super) fn spec(&self, what: &str) -> GuestSpec {
        GuestSpec::new(self.name(what)).image(&self.image).vif(VifSpec::on_default())
    }

    /// A guest that is halted.
    pub(super) async fn halted(&self, what: &str) -> Result<Arc<dyn Guest>, Problem> {
        Ok(self.host.create_guest(&self.spec(what)).await?)
    }

    /// A guest that is paused before its first instruction: it has a domain and costs no boot.
    pub(super) async fn paused(&self, what: &str) -> Result<Arc<dyn Guest>, Problem> {
        let guest = self.halted(what).await?;
        guest.start_paused().await?;
        Ok(guest)
    }

    /// A guest that is up, shared with other checks. A check that leaves it otherwise than it found
    /// it costs the next one a boot.
    pub(super) async fn up(&self) -> Result<Arc<dyn Guest>, Problem> {
        let mut fixture = self.fixture.lock().await;
        fixture.get(&self.host, &self.image, &self.names, self.scope.clone()).await
    }

    /// A guest of its own that is up.
    pub(super) async fn own_up(&self, what: &str) -> Result<Arc<dyn Guest>, Problem> {
        self.own_up_as(&self.spec(what)).await
    }

    /// A guest of its own that is up, of a kind that the host can move.
    pub(super) async fn own_up_to_move(&self, what: &str) -> Result<Arc<dyn Guest>, Problem> {
        let image = self.host.entry().image_for(&self.image)?;
        let mut spec = self.spec(what);
        spec.kind = self.host.kind_to_move(&image.kinds);
        self.own_up_as(&spec).await
    }

    /// A guest of its own that is up, made to a specification.
    pub(super) async fn own_up_as(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>, Problem> {
        let guest = self.host.create_guest(spec).await?;
        guest.start().await?;
        guest.wait_until_reachable().await?;
        Ok(guest)
    }

    /// A file of dom0 for this check alone, in a folder that is there; removed with the check.
    pub(super) fn path(&self, what: &str) -> String {
        let path = format!("/tmp/{}-{what}", self.names);
        let (host, doomed) = (Arc::clone(&self.host), path.clone());
        self.scope.on_cleanup(Undo::new(format!("remove {path}"), move || async move {
            let remove = Command::new("rm").args(["-f", "--", &doomed]);
            host.dom0().run(&remove).await?;
            Ok(())
        }));
        path
    }

    /// Whether dom0 has that file.
    pub(super) async fn has_file(&self, path: &str) -> Result<bool, Problem> {
        Ok(self.host.dom0().exists(path).await?)
    }

    /// Whether there is a disk of that path on the host. What is no path in dom0, a VDI of xapi for
    /// instance, is looked for in the inventory.
    pub(super) async fn has_disk(&self, path: &str) -> Result<bool, Problem> {
        if path.starts_with('/') {
            return self.has_file(path).await;
        }
        Ok(self.host.inventory().await?.objects.contains(&format!("file {path}")))
    }

    /// The path of a disk of a guest that is halted and stays so, for others to use or to copy.
    pub(super) async fn foreign_disk(&self) -> Result<String, Problem> {
        let spec = self.spec("owner").disk(DiskSpec::new(Memory::mib(8)));
        let disks = self.host.create_guest(&spec).await?.view().await?.disks;
        let disk = disks.into_iter().next_back();
        disk.map(|disk| disk.path).ok_or_else(|| Problem::Failed("its disk is missing".to_owned()))
    }

    /// The device name with this letter of a disk of the host's guests: `xvdq` on Xen, `vdq` on QEMU.
    /// How they begin is seen from a disk that the toolstack named.
    pub(super) async fn device(&self, letter: char) -> Result<String, Problem> {
        let spec = self.spec("named").disk(DiskSpec::new(Memory::mib(1)));
        let guest = self.host.create_guest(&spec).await?;
        let disks = guest.view().await?.disks;
        guest.delete().await?;
        let named = disks.last().map(|disk| disk.device.as_str()).unwrap_or_default();
        match named.char_indices().next_back() {
            Some((last, _)) if last > 0 => Ok(format!("{}{letter}", &named[..last])),
            _ => Err(Problem::Failed(format!("its disk is called {named:?}"))),
        }
    }

    /// The device name that the next disk of a guest gets where none is asked for. Guests that name
    /// their disks themselves, in the order in which they come (virtio), name it so too.
    pub(super) async fn next_device(&self, guest: &Arc<dyn Guest>) -> Result<String, Problem> {
        let taken = guest.view().await?.disks.len();
        let letter = ('a'..='z').nth(taken);
        let none = || Problem::Errored("it has too many disks".to_owned());
        self.device(letter.ok_or_else(none)?).await
    }

    /// How long something in a running system may take to follow.
    pub(super) fn patience(&self) -> Duration {
        self.host.entry().deadlines.state
    }
}

/// The domain of a guest that was just started must come to have so many vCPUs online: Xen counts
/// those that the guest's kernel has brought up, others all that there are from the beginning.
pub(super) async fn has_online(guest: &Arc<dyn Guest>, vcpus: u32) -> Outcome {
    wait_until(format!("the domain to have {vcpus} vCPUs online"), || async {
        let online = guest.domain().await?.map(|domain| domain.vcpus);
        Ok(match online {
            Some(online) if online == vcpus => Wait::Done(()),
            other => Wait::NotYet(format!("{other:?} vCPUs")),
        })
    })
    .within(guest.deadlines().boot)
    .await?;
    Ok(())
}

/// Both views must show this power state.
pub(super) async fn power_is(guest: &Arc<dyn Guest>, power: PowerState) -> Outcome {
    let toolstack = guest.power_state().await?;
    ensure(toolstack == power, format!("the toolstack says {toolstack}, not {power}"))?;
    match guest.domain().await? {
        Some(domain) if power.has_domain() => ensure(
            domain.power == power,
            format!("the hypervisor says {}, not {power}", domain.power),
        ),
        Some(domain) => ensure(false, format!("it is {power} and has the domain {}", domain.domid)),
        None => ensure(!power.has_domain(), format!("it is {power} and has no domain")),
    }
}

/// The number of the guest's domain.
pub(super) async fn domid(guest: &Arc<dyn Guest>) -> Result<u32, Problem> {
    let domain = guest.domain().await?;
    domain.map(|domain| domain.domid).ok_or_else(|| Problem::Failed("it has no domain".to_owned()))
}

/// What changes with each boot of the guest.
pub(super) async fn boot_id(guest: &Arc<dyn Guest>) -> Result<String, Problem> {
    let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    Ok(guest.shell().await?.text(&read.deadline(Duration::from_secs(60))).await?)
}

/// Does `attempt`, which must be refused as `judge` says, and requires that it changed nothing.
pub(super) async fn without_effect<T>(
    guest: &Arc<dyn Guest>,
    attempt: impl Future<Output = Result<T>>,
    judge: impl FnOnce(Result<T>) -> Outcome,
) -> Outcome {
    let seen = async || -> Result<_, Problem> {
        let domain = guest.domain().await?;
        let domain = domain.map(|d| (d.domid, d.name, d.power, d.vcpus, d.memory));
        Ok((guest.view().await?, domain, guest.expectation().get()))
    };
    let before = seen().await?;
    judge(attempt.await)?;
    let after = seen().await?;
    ensure(before == after, format!("the refused attempt changed {before:?} to {after:?}"))
}
