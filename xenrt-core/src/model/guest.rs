//! A virtual machine.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Ability, CheckReport, Disk, DiskSpec, DomainView, Expectation, GuestAction, GuestKind,
    GuestView, Host, InsideView, LogMark, MacAddress, Memory, PowerState, ShutdownMode, Vif,
    VifSpec, compare_guest, inside,
};
use crate::lab::Deadlines;
use crate::remote::{Command, Shell, ShellExt, Wait, shorten_middle, wait_until};
use crate::{Error, Result, ToolstackErrorKind};

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

    /// How the toolstack describes it now.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind [`NoSuchObject`](ToolstackErrorKind::NoSuchObject) when the
    /// toolstack does not know it (any more).
    async fn view(&self) -> Result<GuestView>;

    /// Its domain as the hypervisor has it; `None` when it has none.
    ///
    /// # Errors
    /// When the hypervisor cannot be asked.
    async fn domain(&self) -> Result<Option<DomainView>>;

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

    /// What it has written on its console since the last look, which `mark` remembers. Cheap where
    /// the toolstack can tell; here the console is read whole and compared.
    ///
    /// # Errors
    /// As [`console_text`](Self::console_text).
    async fn console_since(&self, mark: &mut LogMark) -> Result<String> {
        Ok(mark.news(&self.console_text().await?).to_owned())
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
        let waiting_for = format!("guest {} to be {state}", self.name());
        wait_until(waiting_for, || async {
            let seen = self.power_state().await?;
            if seen == PowerState::Crashed && state == PowerState::Running {
                return Err(self.stopped(seen, "to be Running").await);
            }
            Ok(Wait::on(seen == state, seen.to_string()))
        })
        .within(deadline)
        .await
    }

    /// Starts it. Before: Halted. After: Running; that it booted is another matter, see
    /// [`wait_until_reachable`](Self::wait_until_reachable).
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn start(&self) -> Result<()> {
        self.change_power(&GuestAction::Start, PowerState::Running, self.deadlines().state).await
    }

    /// Starts it and leaves it paused before its first instruction. Before: Halted. After: Paused.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn start_paused(&self) -> Result<()> {
        self.change_power(&GuestAction::StartPaused, PowerState::Paused, self.deadlines().state)
            .await
    }

    /// Shuts it down. Before: Running (for [`Hard`](ShutdownMode::Hard) also Paused, Suspended,
    /// Crashed). After: Halted, and the hypervisor has no domain of it, not even a dying one (the
    /// original's CA-32756).
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn shutdown(&self, mode: ShutdownMode) -> Result<()> {
        let action = match mode {
            ShutdownMode::Clean => GuestAction::Shutdown,
            ShutdownMode::Hard => GuestAction::PowerOff,
        };
        self.change_power(&action, PowerState::Halted, self.deadlines().state).await?;
        self.wait_until_no_domain().await
    }

    /// Reboots it. Before: Running (for [`Hard`](ShutdownMode::Hard) also Paused). After: Running,
    /// and it *was* rebooted: its domain is another one or, where the toolstack keeps the domain,
    /// the boot id inside has changed. A guest that was reachable is reachable again.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn reboot(&self, mode: ShutdownMode) -> Result<()> {
        let action = match mode {
            ShutdownMode::Clean => GuestAction::Reboot,
            ShutdownMode::Hard => GuestAction::Reset,
        };
        self.require_allowed(&action).await?;
        let was_reachable = self.expectation().get().reachable;
        let domid_before = self.domain().await?.map(|domain| domain.domid);
        let boot_before = if was_reachable { Some(self.boot_id().await?) } else { None };
        self.request(&action).await?;
        let waiting_for = format!("guest {} to have rebooted", self.name());
        wait_until(waiting_for, || async {
            let domain = self.domain().await?;
            let state = self.power_state().await?;
            if state == PowerState::Crashed {
                return Err(self.stopped(state, "to reboot").await);
            }
            let domid = domain.map(|domain| domain.domid);
            if state != PowerState::Running {
                return Ok(Wait::NotYet(state.to_string()));
            }
            if domid.is_some() && domid != domid_before {
                return Ok(Wait::Done(()));
            }
            let rebooted = match (&boot_before, self.boot_id().await) {
                (Some(before), Ok(now)) => *before != now,
                _ => false,
            };
            Ok(Wait::on(rebooted, format!("{state}, the same domain and boot as before")))
        })
        .within(self.deadlines().boot)
        .await?;
        self.expectation().update(|expected| expected.power = PowerState::Running);
        if was_reachable { self.wait_until_reachable().await } else { Ok(()) }
    }

    /// Stops scheduling it. Before: Running. After: Paused.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn pause(&self) -> Result<()> {
        self.change_power(&GuestAction::Pause, PowerState::Paused, self.deadlines().state).await
    }

    /// Schedules it again. Before: Paused. After: Running.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn unpause(&self) -> Result<()> {
        self.change_power(&GuestAction::Unpause, PowerState::Running, self.deadlines().state).await
    }

    /// Writes its memory to the host's storage. Before: Running. After: Suspended, and the
    /// hypervisor has no domain of it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn suspend(&self) -> Result<()> {
        self.host().require(Ability::Suspend)?;
        let deadline = self.deadlines().suspend;
        self.change_power(&GuestAction::Suspend, PowerState::Suspended, deadline).await?;
        self.wait_until_no_domain().await
    }

    /// Continues from where it was suspended. Before: Suspended. After: Running, and reachable if
    /// it was before.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn resume(&self) -> Result<()> {
        self.host().require(Ability::Suspend)?;
        let deadline = self.deadlines().suspend;
        self.change_power(&GuestAction::Resume, PowerState::Running, deadline).await?;
        self.reach_again().await
    }

    /// Writes its memory to the file `path` of the host. Before: Running. After: Halted, the file
    /// exists and is the caller's to remove.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn save(&self, path: &str) -> Result<()> {
        self.host().require(Ability::Save)?;
        let action = GuestAction::Save(path.to_owned());
        self.change_power(&action, PowerState::Halted, self.deadlines().suspend).await?;
        self.wait_until_no_domain().await
    }

    /// Continues from a file that [`save`](Self::save) wrote. Before: Halted. After: Running, and
    /// reachable if it was when it was saved; the file is left.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`].
    async fn restore(&self, path: &str) -> Result<()> {
        self.host().require(Ability::Save)?;
        let action = GuestAction::Restore(path.to_owned());
        self.change_power(&action, PowerState::Running, self.deadlines().suspend).await?;
        self.reach_again().await
    }

    /// Removes it: definition, disks that were made for it, saved memory. Before: Halted, Suspended
    /// or Crashed. After: the toolstack does not know it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn delete(&self) -> Result<()> {
        self.require_allowed(&GuestAction::Delete).await?;
        self.request(&GuestAction::Delete).await?;
        let waiting_for = format!("guest {} to be gone", self.name());
        wait_until(waiting_for, || async {
            match self.view().await {
                Err(error) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => {
                    Ok(Wait::Done(()))
                }
                Ok(view) => Ok(Wait::NotYet(view.power.to_string())),
                Err(error) => Err(error),
            }
        })
        .within(self.deadlines().state)
        .await
    }

    /// Removes it whatever its state; one that is gone already is a success.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    async fn ensure_deleted(&self) -> Result<()> {
        let state = match self.power_state().await {
            Ok(state) => state,
            Err(error) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if GuestAction::PowerOff.allowed_from().contains(&state) {
            self.shutdown(ShutdownMode::Hard).await?;
        } else if state == PowerState::Dying {
            self.wait_for_state(PowerState::Halted, self.deadlines().state).await?;
        }
        self.delete().await
    }

    /// Gives it another name. Before: Halted, Running or Paused. After: it is known by the new name
    /// alone.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Invalid`] for what cannot be a name.
    async fn rename(&self, name: &str) -> Result<()> {
        super::spec::validate_guest_name(name)?;
        let action = GuestAction::Rename(name.to_owned());
        let state = self.require_allowed(&action).await?;
        if state.has_domain() {
            self.host().require(Ability::RenameRunning)?;
        }
        self.request(&action).await?;
        wait_until(format!("guest {} to be known by that name", self.name()), || async {
            if !state.has_domain() {
                return self.view().await.map(|_| Wait::Done(()));
            }
            let domain = self.domain().await?;
            let seen = domain.map_or_else(|| "no domain".to_owned(), |domain| domain.name);
            Ok(Wait::on(seen == name, format!("the hypervisor knows it as {seen:?}")))
        })
        .within(self.deadlines().device)
        .await
    }

    /// Changes how many vCPUs it uses. Before: Halted, or Running with the ability. After: the
    /// toolstack, the hypervisor and - where it can be reached - the guest itself say so. A guest
    /// that can be reached and leaves new vCPUs offline is told to use them.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Invalid`] for none or more than its maximum.
    async fn set_vcpus(&self, vcpus: u32) -> Result<()> {
        let action = GuestAction::SetVcpus(vcpus);
        let state = self.require_allowed(&action).await?;
        let most = self.view().await?.max_vcpus;
        if vcpus == 0 || (vcpus > most && state == PowerState::Running) {
            let problem =
                format!("{vcpus} vCPUs; a running guest can have 1 to {most}, its maximum");
            return Err(Error::invalid(format!("guest {:?}", self.name()), problem));
        }
        if state == PowerState::Running {
            self.host().require(Ability::VcpuHotplug)?;
        }
        self.request(&action).await?;
        let before = self.expectation().get();
        self.expectation().update(|expected| expected.vcpus = vcpus);
        if state == PowerState::Running && before.reachable && vcpus > before.vcpus {
            let shell = self.shell().await?;
            let waiting_for = format!("guest {} to use {vcpus} vCPUs", self.name());
            wait_until(waiting_for, || inside::bring_online(shell.as_ref(), vcpus))
                .within(self.deadlines().device)
                .await?;
        }
        self.wait_until_as_expected("its vCPUs", self.deadlines().device).await
    }

    /// Changes how much memory it has. Before: Halted, or Running with the ability. After: the
    /// toolstack and the hypervisor say so, and the guest has given up or taken what it had to.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn set_memory(&self, memory: Memory) -> Result<()> {
        let action = GuestAction::SetMemory(memory);
        if self.require_allowed(&action).await? == PowerState::Running {
            self.host().require(Ability::MemoryHotplug)?;
        }
        self.request(&action).await?;
        self.expectation().update(|expected| expected.memory = memory);
        self.wait_until_as_expected("its memory", self.deadlines().device).await
    }

    /// Attaches a disk. Before: Halted, or Running with the ability. After: the toolstack lists it
    /// and - where it can be reached - the guest sees it. A disk that is made for this is removed
    /// with it or with the guest.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn attach_disk(&self, disk: DiskSpec) -> Result<Disk> {
        let action = GuestAction::AttachDisk(disk);
        if self.require_allowed(&action).await? == PowerState::Running {
            self.host().require(Ability::DiskHotplug)?;
        }
        let before = self.view().await?.disks;
        self.request(&action).await?;
        let waiting_for = format!("guest {} to have one more disk", self.name());
        let disk = wait_until(waiting_for, || async {
            let now = self.view().await?.disks;
            let added = now.iter().find(|disk| before.iter().all(|old| old.device != disk.device));
            Ok(match added {
                Some(disk) => Wait::Done(disk.clone()),
                None => Wait::NotYet(format!("{} disks as before", before.len())),
            })
        })
        .within(self.deadlines().device)
        .await?;
        self.expectation().update(|expected| expected.disks.push(disk.clone()));
        self.wait_until_as_expected("its disks", self.deadlines().device).await?;
        Ok(disk)
    }

    /// Detaches a disk. Before: Halted, or Running with the ability. After: neither the toolstack
    /// nor - where it can be reached - the guest has it; what was made for it is removed.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::NotFound`] for a device that it has not.
    async fn detach_disk(&self, device: &str) -> Result<()> {
        let action = GuestAction::DetachDisk(device.to_owned());
        if self.require_allowed(&action).await? == PowerState::Running {
            self.host().require(Ability::DiskHotplug)?;
        }
        let disks = self.view().await?.disks;
        if disks.iter().all(|disk| disk.device != device) {
            let known = disks.into_iter().map(|disk| disk.device).collect();
            return Err(Error::NotFound { kind: "disk", name: device.to_owned(), known });
        }
        self.request(&action).await?;
        self.expectation().update(|expected| expected.disks.retain(|disk| disk.device != device));
        self.wait_until_as_expected("its disks", self.deadlines().device).await
    }

    /// Attaches a network interface. Before: Halted, or Running with the ability. After: the
    /// toolstack lists it and - where it can be reached - the guest sees it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`].
    async fn attach_vif(&self, vif: VifSpec) -> Result<Vif> {
        let mac = vif.mac.unwrap_or_else(MacAddress::random_xen);
        let action = GuestAction::AttachVif(VifSpec { mac: Some(mac), ..vif });
        if self.require_allowed(&action).await? == PowerState::Running {
            self.host().require(Ability::VifHotplug)?;
        }
        self.request(&action).await?;
        let vif = wait_until(format!("guest {} to have the VIF {mac}", self.name()), || async {
            let vifs = self.view().await?.vifs;
            Ok(match vifs.iter().find(|vif| vif.mac == mac) {
                Some(vif) => Wait::Done(vif.clone()),
                None => Wait::NotYet(format!("{} VIFs, not that one", vifs.len())),
            })
        })
        .within(self.deadlines().device)
        .await?;
        self.expectation().update(|expected| expected.vifs.push(vif.clone()));
        self.wait_until_as_expected("its VIFs", self.deadlines().device).await?;
        Ok(vif)
    }

    /// Detaches a network interface. Before: Halted, or Running with the ability. After: neither
    /// the toolstack nor - where it can be reached - the guest has it.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::NotFound`] for an address that none of its VIFs has.
    async fn detach_vif(&self, mac: MacAddress) -> Result<()> {
        let action = GuestAction::DetachVif(mac);
        if self.require_allowed(&action).await? == PowerState::Running {
            self.host().require(Ability::VifHotplug)?;
        }
        let vifs = self.view().await?.vifs;
        if vifs.iter().all(|vif| vif.mac != mac) {
            let known = vifs.into_iter().map(|vif| vif.mac.to_string()).collect();
            return Err(Error::NotFound { kind: "VIF", name: mac.to_string(), known });
        }
        self.request(&action).await?;
        self.expectation().update(|expected| expected.vifs.retain(|vif| vif.mac != mac));
        self.wait_until_as_expected("its VIFs", self.deadlines().device).await
    }

    /// Moves it to another host while it runs. Before: Running. After: Running on `target` with
    /// the same identity, the source has no domain of it, and it is reachable if it was.
    ///
    /// # Errors
    /// As all verbs, see [`Guest`]; [`Error::Unsupported`]. A migration that fails leaves it
    /// Running where it was; anything else is told in the error.
    async fn migrate(&self, target: &Arc<dyn Host>) -> Result<()> {
        let source = self.host();
        source.require(Ability::LiveMigration)?;
        target.require(Ability::LiveMigration)?;
        let state = self.power_state().await?;
        if state != PowerState::Running {
            return Err(self.wrong_state("migrate", state, &[PowerState::Running]));
        }
        self.request_migration(target).await?;
        self.wait_for_state(PowerState::Running, self.deadlines().state).await?;
        let name = self.name();
        wait_until(format!("host {} to have let guest {name} go", source.name()), || async {
            let left = source.domains().await?;
            let left = left.iter().find(|domain| {
                domain.uuid.map_or(domain.name.starts_with(&name), |uuid| uuid == self.uuid())
            });
            Ok(match left {
                None => Wait::Done(()),
                Some(domain) => Wait::NotYet(format!(
                    "domain {} {:?} is still there, {}",
                    domain.domid, domain.name, domain.power
                )),
            })
        })
        .within(self.deadlines().state)
        .await?;
        self.reach_again().await
    }

    /// Its address: the one that is known, else the one that is found within the boot deadline.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::GuestStopped`] when it stops meanwhile.
    async fn wait_for_address(&self) -> Result<IpAddr> {
        if let Some(address) = self.expectation().get().address {
            return Ok(address);
        }
        let waiting_for = format!("guest {} to have an address", self.name());
        let address = wait_until(waiting_for, || async {
            self.require_alive("to have an address").await?;
            self.find_address().await
        })
        .within(self.deadlines().boot)
        .await?;
        self.expectation().update(|expected| expected.address = Some(address));
        Ok(address)
    }

    /// Waits until a login into it works.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the end of its console; [`Error::GuestStopped`] with the same as
    /// soon as it has crashed or halted.
    async fn wait_until_reachable(&self) -> Result<()> {
        let address = self.wait_for_address().await?;
        let shell = self.shell_at(address)?;
        let probe = Command::new("true").deadline(Duration::from_secs(60));
        let waiting_for = format!("a login into guest {} at {address} to work", self.name());
        let result = wait_until(waiting_for, || async {
            self.require_alive("to be reachable").await?;
            match shell.run(&probe).await {
                Ok(_) => Ok(Wait::Done(())),
                Err(error) => Ok(Wait::NotYet(error.to_string())),
            }
        })
        .within(self.deadlines().boot)
        .await;
        match result {
            Ok(()) => {
                self.expectation().update(|expected| expected.reachable = true);
                Ok(())
            }
            Err(Error::Timeout { waiting_for, waited, last_seen }) => {
                let last_seen = match self.console_tail().await {
                    Some(console) => format!("{last_seen}; its console ends with:\n{console}"),
                    None => last_seen,
                };
                Err(Error::Timeout { waiting_for, waited, last_seen })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a login into it works now.
    async fn is_reachable(&self) -> bool {
        let Some(address) = self.expectation().get().address else { return false };
        let Ok(shell) = self.shell_at(address) else { return false };
        let probe = Command::new("true").deadline(Duration::from_secs(60));
        shell.succeeds(&probe).await.unwrap_or(false)
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
        inside::look(self.shell().await?.as_ref()).await
    }

    /// Compares what it should be with what the toolstack, the hypervisor and - where it should be
    /// reachable - the guest itself show.
    ///
    /// # Errors
    /// [`Error::Check`] with *every* difference; other errors when a view cannot be had.
    async fn check(&self) -> Result<()> {
        let differences = self.differences().await?;
        if differences.is_empty() {
            return Ok(());
        }
        let object = format!("guest {:?}", self.name());
        Err(Error::Check(CheckReport { object, differences }))
    }

    // ---- steps of the verbs ----

    #[doc(hidden)]
    async fn differences(&self) -> Result<Vec<super::Difference>> {
        let expected = self.expectation().get();
        let toolstack = self.view().await?;
        let domain = self.domain().await?;
        let running = |power| power == PowerState::Running;
        let (mut inside, mut unreachable) = (None, None);
        if expected.reachable && running(expected.power) && running(toolstack.power) {
            match self.inside().await {
                Ok(view) => inside = Some(view),
                // That it cannot be reached is what is wrong with it, not a reason not to say what
                // else is.
                Err(Error::Remote(error)) => unreachable = Some(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let mut differences =
            compare_guest(&expected, Some(&toolstack), Some(domain.as_ref()), inside.as_ref());
        differences.extend(unreachable.map(|found| super::Difference {
            view: super::View::Guest,
            what: "reachability".to_owned(),
            expected: "a login works".to_owned(),
            found,
        }));
        Ok(differences)
    }

    #[doc(hidden)]
    async fn wait_until_as_expected(&self, what: &str, deadline: Duration) -> Result<()> {
        let object = format!("guest {:?}", self.name());
        let waiting_for = format!("guest {} to show {what} everywhere", self.name());
        wait_until(waiting_for, || async {
            let differences = self.differences().await?;
            if differences.is_empty() {
                return Ok(Wait::Done(()));
            }
            let report = CheckReport { object: object.clone(), differences };
            Ok(Wait::NotYet(report.to_string()))
        })
        .within(deadline)
        .await
    }

    #[doc(hidden)]
    fn wrong_state(&self, verb: &'static str, state: PowerState, needed: &[PowerState]) -> Error {
        let needed = needed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        Error::WrongState { guest: self.name(), verb, state, needed }
    }

    #[doc(hidden)]
    async fn require_allowed(&self, action: &GuestAction) -> Result<PowerState> {
        let state = self.power_state().await?;
        if action.allowed_from().contains(&state) {
            return Ok(state);
        }
        Err(self.wrong_state(action.verb(), state, action.allowed_from()))
    }

    #[doc(hidden)]
    async fn change_power(
        &self,
        action: &GuestAction,
        goal: PowerState,
        deadline: Duration,
    ) -> Result<()> {
        self.require_allowed(action).await?;
        self.request(action).await?;
        self.wait_for_state(goal, deadline).await?;
        let reachable_later = matches!(
            action,
            GuestAction::Pause
                | GuestAction::Suspend
                | GuestAction::Save(_)
                | GuestAction::Unpause
                | GuestAction::Resume
                | GuestAction::Restore(_)
        );
        self.expectation().update(|expected| {
            expected.power = goal;
            expected.reachable &= reachable_later;
        });
        Ok(())
    }

    #[doc(hidden)]
    async fn reach_again(&self) -> Result<()> {
        if self.expectation().get().reachable { self.wait_until_reachable().await } else { Ok(()) }
    }

    #[doc(hidden)]
    async fn wait_until_no_domain(&self) -> Result<()> {
        let waiting_for = format!("the domain of guest {} to be gone", self.name());
        wait_until(waiting_for, || async {
            Ok(match self.domain().await? {
                None => Wait::Done(()),
                Some(domain) => {
                    Wait::NotYet(format!("domain {} is {}", domain.domid, domain.power))
                }
            })
        })
        .within(self.deadlines().state)
        .await
    }

    #[doc(hidden)]
    async fn boot_id(&self) -> Result<String> {
        let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
        Ok(self.shell().await?.text(&read.deadline(Duration::from_secs(60))).await?)
    }

    #[doc(hidden)]
    async fn require_alive(&self, doing: &'static str) -> Result<()> {
        match self.power_state().await? {
            state @ (PowerState::Crashed | PowerState::Halted) => {
                Err(self.stopped(state, doing).await)
            }
            _ => Ok(()),
        }
    }

    #[doc(hidden)]
    async fn stopped(&self, state: PowerState, doing: &'static str) -> Error {
        let console = self.console_tail().await.unwrap_or_else(|| "(not recorded)".to_owned());
        Error::GuestStopped { guest: self.name(), state, doing, console }
    }

    #[doc(hidden)]
    async fn console_tail(&self) -> Option<String> {
        let text = self.console_text().await.ok()?;
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        Some(shorten_middle(&tail, 2000))
    }
}
