//! A virtual machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Ability, Afterwards, Disk, DiskSpec, DomainView, Expectation, GuestAction, GuestKind,
    GuestView, Host, InsideView, LogMark, MacAddress, Memory, PowerState, ShutdownMode, Snapshots,
    Vif, VifSpec, verbs,
};
use crate::lab::Deadlines;
use crate::remote::{Shell, Wait};
use crate::{Error, Result};

/// A virtual machine, whatever its toolstack.
///
/// The required methods ask and look; the provided verbs act and verify. Every verb
///
/// 1. looks at the power state and refuses with [`Error::WrongState`], having done nothing, when
///    the action is not [allowed](GuestAction::allowed_from) from it,
/// 2. asks the toolstack,
/// 3. waits until the toolstack (and the hypervisor, and the guest, where it matters) shows the
///    post-state, within the host's [`Deadlines`],
/// 4. notes in the [`Expectation`] what the guest should be from now on.
#[async_trait]
pub trait Guest: Send + Sync + std::fmt::Debug {
    /// Its name now.
    fn name(&self) -> String;

    /// Its identity, which stays through renames and migrations.
    fn uuid(&self) -> Uuid;

    /// How it is virtualised.
    fn kind(&self) -> GuestKind;

    /// The image of the host's catalogue that it was made from, where it was made from one.
    fn image(&self) -> Option<String>;

    /// The host that it is on now, in the scope of the handle that made it.
    fn host(&self) -> Arc<dyn Host>;

    /// What it should be.
    fn expectation(&self) -> &Expectation;

    /// Passes one request to the toolstack and returns when the toolstack has taken it. Neither
    /// the state before nor the one after is checked.
    ///
    /// # Errors
    /// [`Error::Toolstack`] with what the refusal means; [`Error::Unsupported`].
    async fn request(&self, action: &GuestAction) -> Result<()>;

    /// The same from a state from which it is [allowed](GuestAction::allowed_from): the first two
    /// steps of a verb. A back end that can look, ask and look again on one way to the toolstack does
    /// so, and says what it saw last; it is waited for what was not seen. Here it looks and asks.
    ///
    /// # Errors
    /// [`Error::WrongState`] where it is not allowed, and nothing was done; as
    /// [`power_state`](Self::power_state) and [`request`](Self::request).
    async fn request_where_allowed(&self, action: &GuestAction) -> Result<Afterwards> {
        action.require_allowed_from(self.power_state().await?, &self.name())?;
        self.request(action).await?;
        Ok(Afterwards::Unseen)
    }

    /// How the toolstack describes it now.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind [`NoSuchObject`](crate::ToolstackErrorKind::NoSuchObject) when the
    /// toolstack does not know it (any more).
    async fn view(&self) -> Result<GuestView>;

    /// Its domain as the hypervisor has it; `None` when it has none.
    ///
    /// # Errors
    /// When the hypervisor cannot be asked.
    async fn domain(&self) -> Result<Option<DomainView>>;

    /// [`view`](Self::view) and [`domain`](Self::domain) at one time: what each [`check`](Self::check) asks.
    ///
    /// A back end whose toolstack tells both in one answer gives them with one question.
    ///
    /// # Errors
    /// As the two.
    async fn views(&self) -> Result<(GuestView, Option<DomainView>)> {
        // Both at once: a slow host has more than one processor too.
        tokio::try_join!(self.view(), self.domain())
    }

    /// Looks once for the address of its first VIF: what the lab assigned, DHCP leases, what the
    /// guest published, the neighbour table of its host.
    ///
    /// # Errors
    /// When the host cannot be asked. An address that is not known yet is not an error.
    async fn find_address(&self) -> Result<Wait<IpAddr>>;

    /// What it has written on its console, as far as the host kept it; the end, where it is long.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the host does not record consoles.
    async fn console_text(&self) -> Result<String>;

    /// What its screen shows now, as a PNG; `None` where it has no domain, no screen, or a toolstack
    /// that shows none, as here.
    ///
    /// # Errors
    /// When the host cannot be asked, or its answer is not understood.
    async fn screenshot(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Moves it to another host of the same toolstack while it runs, and returns when the
    /// toolstack says that it has. Use [`migrate`](Self::migrate), which verifies it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the toolstack or the host cannot.
    async fn request_migration(&self, target: &Arc<dyn Host>) -> Result<()> {
        let _ = target;
        self.host().require(Ability::LiveMigration)?;
        Err(Error::Unsupported {
            toolstack: self.host().toolstack().to_owned(),
            ability: Ability::LiveMigration,
            reason: None,
        })
    }

    /// Its snapshots: the ability [`Snapshots`](Ability::Snapshots), where the toolstack has it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it has not.
    fn snapshots(&self) -> Result<Arc<dyn Snapshots>> {
        let host = self.host();
        host.require(Ability::Snapshots)?;
        Err(Error::Unsupported {
            toolstack: host.toolstack().to_owned(),
            ability: Ability::Snapshots,
            reason: Some("this version of the library cannot carry them out there".to_owned()),
        })
    }

    /// What it has written on its console since the last look, which `mark` remembers. Cheap where
    /// the toolstack can tell; here the console is read whole and compared.
    ///
    /// # Errors
    /// As [`console_text`](Self::console_text).
    async fn console_since(&self, mark: &mut LogMark) -> Result<String> {
        Ok(mark.news(&self.console_text().await?).to_owned())
    }

    /// The interface of the control domain behind its VIF `vif`, while it has a domain. Here it has
    /// the name that netback gives it (xl-network-configuration(5), `vifname`); a back end whose
    /// hypervisor is another asks its toolstack.
    ///
    /// # Errors
    /// [`Error::WrongState`] where it has no domain; [`Error::NotFound`] where nothing in the
    /// control domain is behind this VIF.
    async fn vif_backend(&self, vif: &Vif) -> Result<String> {
        match self.domain().await? {
            Some(domain) => Ok(format!("vif{}.{}", domain.domid, vif.index)),
            None => Err(Error::wrong_state(
                self.name(),
                "find the interface behind a VIF of",
                self.power_state().await?,
                &[PowerState::Running, PowerState::Paused],
            )),
        }
    }

    // ---- what is common to all toolstacks ----

    /// How long its verbs may take.
    fn deadlines(&self) -> Deadlines {
        self.host().entry().deadlines.clone()
    }

    /// Its power state as the toolstack reports it.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    async fn power_state(&self) -> Result<PowerState> {
        Ok(self.view().await?.power)
    }

    /// Waits until the toolstack reports `state`.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the state that was seen last; [`Error::GuestStopped`] at once when
    /// a guest that should run has crashed.
    async fn wait_for_state(&self, state: PowerState, deadline: Duration) -> Result<()> {
        verbs::power::wait_for_state(self, state, deadline).await
    }

    /// Starts it. Before: Halted. After: Running; that it booted is another matter, see
    /// [`wait_until_reachable`](Self::wait_until_reachable).
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn start(&self) -> Result<()> {
        verbs::power::start(self).await
    }

    /// Starts it and leaves it paused before its first instruction. Before: Halted. After: Paused.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn start_paused(&self) -> Result<()> {
        verbs::power::start_paused(self).await
    }

    /// Shuts it down. Before: Running (for [`Hard`](ShutdownMode::Hard) also Paused, Suspended,
    /// Crashed). After: Halted, and the hypervisor has no domain of it, not even a dying one (the
    /// original's CA-32756).
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn shutdown(&self, mode: ShutdownMode) -> Result<()> {
        verbs::power::shutdown(self, mode).await
    }

    /// Reboots it. Before: Running (for [`Hard`](ShutdownMode::Hard) also Paused). After: Running,
    /// and it *was* rebooted: its domain is another one or, where the toolstack keeps the domain,
    /// the boot id inside has changed. A guest that was reachable is reachable again.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn reboot(&self, mode: ShutdownMode) -> Result<()> {
        verbs::power::reboot(self, mode).await
    }

    /// Stops scheduling it. Before: Running. After: Paused.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn pause(&self) -> Result<()> {
        verbs::power::pause(self).await
    }

    /// Schedules it again. Before: Paused. After: Running.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn unpause(&self) -> Result<()> {
        verbs::power::unpause(self).await
    }

    /// Writes its memory to the host's storage. Before: Running. After: Suspended, and the
    /// hypervisor has no domain of it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn suspend(&self) -> Result<()> {
        verbs::memory::suspend(self).await
    }

    /// Continues from where it was suspended. Before: Suspended. After: Running, and reachable if
    /// it was before.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn resume(&self) -> Result<()> {
        verbs::memory::resume(self).await
    }

    /// Writes its memory to the file `path` of the host. Before: Running. After: Halted, the file
    /// exists and is the caller's to remove.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn save(&self, path: &str) -> Result<()> {
        verbs::memory::save(self, path).await
    }

    /// Continues from a file that [`save`](Self::save) wrote. Before: Halted. After: Running, and
    /// reachable if it was when it was saved; the file is left.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn restore(&self, path: &str) -> Result<()> {
        verbs::memory::restore(self, path).await
    }

    /// Removes it: definition, disks that were made for it, saved memory. Before: Halted, Suspended
    /// or Crashed. After: the toolstack does not know it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn delete(&self) -> Result<()> {
        verbs::life::delete(self).await
    }

    /// Removes it whatever its state; one that is gone already is a success.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    async fn ensure_deleted(&self) -> Result<()> {
        verbs::life::ensure_deleted(self).await
    }

    /// Gives it another name. Before: Halted, Running or Paused. After: it is known by the new name
    /// alone.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Invalid`] for what cannot be a name.
    async fn rename(&self, name: &str) -> Result<()> {
        verbs::life::rename(self, name).await
    }

    /// Changes how many vCPUs it uses. Before: Halted, or Running with the ability. After: the
    /// toolstack, the hypervisor and - where it can be reached - the guest itself say so. A guest
    /// that can be reached and leaves new vCPUs offline is told to use them.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Invalid`] for none or more than its maximum.
    async fn set_vcpus(&self, vcpus: u32) -> Result<()> {
        verbs::resources::set_vcpus(self, vcpus).await
    }

    /// Changes how much memory it has. Before: Halted, or Running with the ability. After: the
    /// toolstack and the hypervisor say so, and the guest has given up or taken what it had to.
    ///
    /// A guest that runs is given no more than its maximum. That grows with what a halted guest is
    /// given, and never falls below the one that was chosen for it
    /// ([`max_memory`](crate::model::GuestSpec::max_memory)).
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn set_memory(&self, memory: Memory) -> Result<()> {
        verbs::resources::set_memory(self, memory).await
    }

    /// Attaches a disk. Before: Halted, or Running with the ability. After: the toolstack lists it
    /// and - where it can be reached - the guest sees it. A disk that is made for this is removed
    /// with it or with the guest.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn attach_disk(&self, disk: DiskSpec) -> Result<Disk> {
        verbs::devices::attach_disk(self, disk).await
    }

    /// Detaches a disk. Before: Halted, or Running with the ability. After: neither the toolstack
    /// nor - where it can be reached - the guest has it; what was made for it is removed.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::NotFound`] for a device that it has not.
    async fn detach_disk(&self, device: &str) -> Result<()> {
        verbs::devices::detach_disk(self, device).await
    }

    /// Attaches a network interface. Before: Halted, or Running with the ability. After: the
    /// toolstack lists it and - where it can be reached - the guest sees it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn attach_vif(&self, vif: VifSpec) -> Result<Vif> {
        verbs::devices::attach_vif(self, vif).await
    }

    /// Detaches a network interface. Before: Halted, or Running with the ability. After: neither
    /// the toolstack nor - where it can be reached - the guest has it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::NotFound`] for an address that none of its VIFs has.
    async fn detach_vif(&self, mac: MacAddress) -> Result<()> {
        verbs::devices::detach_vif(self, mac).await
    }

    /// Moves it to another host while it runs. Before: Running. After: Running on `target` with
    /// the same identity, the source has no domain of it, and it is reachable if it was.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`]. A migration that fails leaves it
    /// Running where it was; anything else is told in the error.
    async fn migrate(&self, target: &Arc<dyn Host>) -> Result<()> {
        verbs::migrate::migrate(self, target).await
    }

    /// Its address: the one that is known, else the one that is found within the boot deadline.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::GuestStopped`] when it stops meanwhile.
    async fn wait_for_address(&self) -> Result<IpAddr> {
        verbs::reach::wait_for_address(self).await
    }

    /// Waits until a login into it works.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the end of its console; [`Error::GuestStopped`] with the same as
    /// soon as it has crashed or halted.
    async fn wait_until_reachable(&self) -> Result<()> {
        verbs::reach::wait_until_reachable(self).await
    }

    /// Whether a login into it works now.
    async fn is_reachable(&self) -> bool {
        verbs::reach::is_reachable(self).await
    }

    /// A shell inside it, once its address is known (see [`wait_for_address`](Self::wait_for_address)).
    ///
    /// # Errors
    /// [`Error::Invalid`] where the lab does not say how to log in; as `wait_for_address`.
    async fn shell(&self) -> Result<Arc<dyn Shell>> {
        let address = self.wait_for_address().await?;
        self.shell_at(address)
    }

    /// A shell inside it at this address. See [`shell`](Self::shell).
    ///
    /// # Errors
    /// As [`Host::guest_shell`].
    fn shell_at(&self, address: IpAddr) -> Result<Arc<dyn Shell>> {
        self.host().guest_shell(self.image().as_deref(), address)
    }

    /// What it sees of itself.
    ///
    /// # Errors
    /// When it cannot be reached, or says what is not understood.
    async fn inside(&self) -> Result<InsideView> {
        verbs::reach::inside(self).await
    }

    /// Compares what it should be with what the toolstack, the hypervisor and - where it should be
    /// reachable - the guest itself show.
    ///
    /// # Errors
    /// [`Error::Check`] with *every* difference; other errors when a view cannot be had.
    async fn check(&self) -> Result<()> {
        verbs::check::check(self).await
    }
}
