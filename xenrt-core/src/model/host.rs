//! A machine that runs guests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;

use super::{
    Abilities, Ability, CreatedObject, DomainView, Guest, GuestKind, GuestSpec, HostInfo,
    Interfaces, LogMark, LogSource, Network, NetworkSpec, ObjectKind, Pooling, Scope, Storages,
    Templates, Undo, VifSpec,
};
use crate::lab::HostEntry;
use crate::remote::{Command, ExitStatus, Shell, ShellExt, Wait, wait_until};
use crate::{Error, Result};

/// How many sources of evidence are asked at the same time.
const EVIDENCE_AT_ONCE: usize = 3;

/// One piece of evidence that a host can give: a command in dom0 whose output is kept in a file.
#[derive(Debug, Clone)]
pub struct EvidenceSource {
    /// The name of the file: `xl-dmesg.txt`.
    pub file: String,
    /// The command.
    pub command: Command,
}

/// Everything on a host that tests make and must not leave, for the comparison before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostInventory {
    /// One line an object, each beginning with its class: `domain tiny`, `network xrt1`,
    /// `file /var/lib/xenrt/disk-1.raw`, `process 812 iperf`. Sorted.
    pub objects: Vec<String>,
}

impl HostInventory {
    /// The objects that are here and were not in `before`.
    pub fn added_since(&self, before: &Self) -> Vec<String> {
        self.objects.iter().filter(|object| !before.objects.contains(object)).cloned().collect()
    }
}

/// A machine that runs guests, with the toolstack that manages them.
///
/// Handles are cheap and share one connection. [`in_scope`](Self::in_scope) gives a handle whose
/// creations are undone, and whose commands are recorded, with a test.
///
/// A host is [`Any`](std::any::Any), so that a back end can find its own host behind the target of
/// a migration.
#[async_trait]
pub trait Host: std::any::Any + Send + Sync + std::fmt::Debug {
    /// What the lab calls it.
    fn name(&self) -> &str;

    /// The toolstack's name: `xl`.
    fn toolstack(&self) -> &'static str;

    /// Its entry in the lab: address, login, guest network, image catalogue.
    fn entry(&self) -> &HostEntry;

    /// What it can do.
    fn abilities(&self) -> &Abilities;

    /// How many bytes the names of its guests can have at most: 255 where the toolstack does not
    /// keep them in something shorter.
    fn longest_guest_name(&self) -> usize {
        super::spec::LONGEST_GUEST_NAME
    }

    /// Whether guests of this kind can surely be moved while they run; asked of hosts with
    /// [`LiveMigration`](Ability::LiveMigration).
    fn moves(&self, _kind: GuestKind) -> bool {
        true
    }

    /// Of these kinds the first that this host runs and [`moves`](Self::moves); the first that it
    /// runs where it moves none surely, and `None` where it runs none.
    fn kind_to_move(&self, kinds: &[GuestKind]) -> Option<GuestKind> {
        let runs = || kinds.iter().copied().filter(|kind| self.abilities().has(kind.ability()));
        runs().find(|kind| self.moves(*kind)).or_else(|| runs().next())
    }

    /// The shell of the control domain. Commands are recorded for the scope of this handle.
    fn dom0(&self) -> Arc<dyn Shell>;

    /// Whom creations through this handle belong to.
    fn scope(&self) -> &Scope;

    /// A handle to the same host whose creations belong to `scope`.
    fn in_scope(&self, scope: Scope) -> Arc<dyn Host>;

    /// What the host says about itself now.
    ///
    /// # Errors
    /// When it cannot be asked or its answer is not understood.
    async fn info(&self) -> Result<HostInfo>;

    /// All domains that the hypervisor has, dom0 and those that are dying included.
    ///
    /// # Errors
    /// When it cannot be asked or its answer is not understood.
    async fn domains(&self) -> Result<Vec<DomainView>>;

    /// Defines a guest without starting it and without registering an undo; tests use
    /// [`create_guest`](Self::create_guest). Afterwards the guest is Halted, its disks exist.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a specification that cannot be carried out here, a name that is taken
    /// included, and whatever the toolstack refuses. Nothing is left behind.
    async fn define_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>>;

    /// The guests that this host manages and that this library knows or can adopt: all that the
    /// toolstack lists but the control domain.
    ///
    /// # Errors
    /// When it cannot be asked or its answer is not understood.
    async fn guests(&self) -> Result<Vec<Arc<dyn Guest>>>;

    /// The networks of the host.
    ///
    /// # Errors
    /// When it cannot be asked or its answer is not understood.
    async fn networks(&self) -> Result<Vec<Network>>;

    /// Makes a network without registering an undo; tests use
    /// [`create_network`](Self::create_network). Afterwards [`networks`](Self::networks) lists it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that cannot be one or is taken.
    async fn define_network(&self, spec: &NetworkSpec) -> Result<Network>;

    /// Removes a network that this library made. Afterwards it is not listed; one that was not
    /// there is a success.
    ///
    /// # Errors
    /// When guests still use it, or it was not made by this library.
    async fn remove_network(&self, name: &str) -> Result<()>;

    /// What stands on the host now, for finding leaks.
    ///
    /// # Errors
    /// When it cannot be asked.
    async fn inventory(&self) -> Result<HostInventory>;

    /// The evidence that a failure on this host calls for: hypervisor log, kernel log, lists.
    fn evidence_sources(&self) -> Vec<EvidenceSource>;

    /// The logs in which findings are looked for after each test: the kernel log of dom0, and what a
    /// back end adds.
    fn log_sources(&self) -> Vec<LogSource> {
        let command = Command::new("dmesg").deadline(Duration::from_secs(30));
        vec![LogSource { name: "kernel log".to_owned(), command }]
    }

    /// What was written into the [logs](Self::log_sources) since the last look, which `marks`
    /// remembers by name. Each log is read whole and compared; a back end that can tell what is new
    /// does it better.
    ///
    /// # Errors
    /// When dom0 cannot be asked.
    async fn logs_since(
        &self,
        marks: &mut BTreeMap<String, LogMark>,
    ) -> Result<Vec<(String, String)>> {
        let dom0 = self.dom0();
        let mut news = Vec::new();
        for LogSource { name, command } in self.log_sources() {
            let text = dom0.text(&command).await?;
            let new = marks.entry(name.clone()).or_default().news(&text).to_owned();
            news.push((name, new));
        }
        Ok(news)
    }

    /// A shell inside a guest of this host, at `address`, logged in as the image says. Guests that
    /// only their host can reach are reached through it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the lab does not say how to log in.
    fn guest_shell(&self, image: Option<&str>, address: IpAddr) -> Result<Arc<dyn Shell>>;

    // ---- optional abilities ----

    /// Its storage: the ability [`Storage`](Ability::Storage), where the toolstack has it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it has not.
    fn storages(&self) -> Result<Arc<dyn Storages>> {
        Err(self.lacks(Ability::Storage))
    }

    /// Its templates: the ability [`Templates`](Ability::Templates), where the toolstack has it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it has not.
    fn templates(&self) -> Result<Arc<dyn Templates>> {
        Err(self.lacks(Ability::Templates))
    }

    /// The pool that it is in: the ability [`Pool`](Ability::Pool), where the toolstack has it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it has not.
    fn pooling(&self) -> Result<Arc<dyn Pooling>> {
        Err(self.lacks(Ability::Pool))
    }

    /// Its network interfaces: the ability [`Interfaces`](Ability::Interfaces), where the toolstack
    /// has it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it has not.
    fn interfaces(&self) -> Result<Arc<dyn Interfaces>> {
        Err(self.lacks(Ability::Interfaces))
    }

    // ---- what is common to all toolstacks ----

    /// That it has not got an ability, with the reason where that is known.
    fn lacks(&self, ability: Ability) -> Error {
        let (toolstack, abilities) = (self.toolstack().to_owned(), self.abilities());
        let reason = match abilities.has(ability) {
            true => Some("this version of the library cannot carry it out there".to_owned()),
            false => abilities.reason(ability).map(str::to_owned),
        };
        Error::Unsupported { toolstack, ability, reason }
    }

    /// Nothing where the host has the ability.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it has not.
    fn require(&self, ability: Ability) -> Result<()> {
        self.abilities().require(self.toolstack(), ability)
    }

    /// An object of this host, for the record of what a run made.
    fn object(&self, kind: ObjectKind, name: &str) -> CreatedObject {
        CreatedObject { host: self.name().to_owned(), kind, name: name.to_owned() }
    }

    /// Defines a guest; it is deleted, whatever its state, when the scope of this handle ends.
    ///
    /// # Errors
    /// As [`define_guest`](Self::define_guest).
    async fn create_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
        spec.validate()?;
        let object = self.object(ObjectKind::Guest, &spec.name);
        self.scope().creating(&object);
        let guest =
            self.define_guest(spec).await.inspect_err(|_| self.scope().not_created(&object))?;
        let doomed = Arc::clone(&guest);
        self.scope().note_guest(Arc::clone(&guest));
        let undo = Undo::new(format!("delete guest {:?}", spec.name), move || async move {
            doomed.ensure_deleted().await
        });
        self.scope().on_cleanup(undo.of(object));
        Ok(guest)
    }

    /// Creates and starts a guest of an image of this host's catalogue with one VIF on the guest
    /// network, and waits until a login into it works.
    ///
    /// `distro` is the name of an image or one of its aliases (`debian`, `generic-linux`,
    /// `centos57`).
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are when no image goes by that name; whatever
    /// creating and starting bring.
    async fn create_basic_guest(&self, name: &str, distro: &str) -> Result<Arc<dyn Guest>> {
        let image = self.entry().image_for(distro)?;
        let spec = GuestSpec::new(name).image(&image.name).vif(VifSpec::on_default());
        let guest = self.create_guest(&spec).await?;
        guest.start().await?;
        guest.wait_until_reachable().await?;
        Ok(guest)
    }

    /// The guest with this name.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are.
    async fn guest(&self, name: &str) -> Result<Arc<dyn Guest>> {
        let guests = self.guests().await?;
        let known = guests.iter().map(|guest| guest.name()).collect();
        guests.into_iter().find(|guest| guest.name() == name).ok_or_else(|| Error::NotFound {
            kind: "guest",
            name: name.to_owned(),
            known,
        })
    }

    /// Makes a network; it is removed when the scope of this handle ends.
    ///
    /// # Errors
    /// As [`define_network`](Self::define_network).
    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.require(Ability::Networks)?;
        let object = self.object(ObjectKind::Network, &spec.name);
        self.scope().creating(&object);
        let network =
            self.define_network(spec).await.inspect_err(|_| self.scope().not_created(&object))?;
        let host = self.in_scope(self.scope().clone());
        let name = network.name.clone();
        let undo = Undo::new(format!("remove network {name:?}"), move || async move {
            host.remove_network(&name).await
        });
        self.scope().on_cleanup(undo.of(object));
        Ok(network)
    }

    /// Whether a login into dom0 works now.
    async fn is_reachable(&self) -> bool {
        let probe = Command::new("true").deadline(Duration::from_secs(60));
        self.dom0().succeeds(&probe).await.unwrap_or(false)
    }

    /// Waits until a login into dom0 works and the toolstack answers.
    ///
    /// # Errors
    /// [`Error::Timeout`] with what was last seen.
    async fn wait_until_up(&self) -> Result<()> {
        wait_until(format!("host {} to be up", self.name()), || async {
            match self.info().await {
                Ok(_) => Ok(Wait::Done(())),
                Err(error) => Ok(Wait::NotYet(error.to_string())),
            }
        })
        .within(self.entry().deadlines.host_boot)
        .await
    }

    /// Reboots the machine and waits until it is up again. Its guests are gone or Halted after it.
    ///
    /// That it *was* rebooted is proven by the kernel's boot id, which changes with every boot
    /// (`/proc/sys/kernel/random/boot_id`, random(4)).
    ///
    /// # Errors
    /// [`Error::Timeout`] when it does not come back, or comes back without having been away.
    async fn reboot(&self) -> Result<()> {
        let boot_id = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
        let boot_id = boot_id.deadline(Duration::from_secs(30));
        let before = self.dom0().text(&boot_id).await?;
        let request = Command::new("systemctl").arg("reboot").deadline(Duration::from_secs(30));
        match self.dom0().execute(&request).await {
            // The connection may go before the command returns, or the command with the host; that is
            // what was asked for.
            Ok(output) if matches!(output.status, ExitStatus::Code(code) if code != 0) => {
                output.require_success(&request, self.dom0().target())?;
            }
            Ok(_) => {}
            Err(error) if error.is_connection() => {}
            Err(error) => return Err(error.into()),
        }
        let dom0 = self.dom0();
        wait_until(format!("host {} to have rebooted", self.name()), || async {
            dom0.reset().await;
            let now = dom0.text(&boot_id).await?;
            Ok(Wait::on(now != before, "it still runs the boot from before"))
        })
        .within(self.entry().deadlines.host_boot)
        .await?;
        self.wait_until_up().await
    }

    /// Runs every [evidence source](Self::evidence_sources) and writes the outputs into `folder`.
    /// Returns the files. A source that fails leaves a file that says so: evidence is collected
    /// when things are broken, so one failure never stops the rest.
    ///
    /// # Errors
    /// [`Error::Io`] when `folder` cannot be written.
    async fn collect_evidence(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let dom0 = self.dom0();
        let sources = self.evidence_sources().into_iter().map(|source| {
            let dom0 = &dom0;
            async move {
                let text = match dom0.execute(&source.command).await {
                    Ok(output) => format!(
                        "$ {}\n{}{}[{}]\n",
                        source.command,
                        output.text(),
                        output.error_text(),
                        output.status
                    ),
                    Err(error) => format!("$ {}\n[{error}]\n", source.command),
                };
                (source.file, text)
            }
        });
        // A host in trouble must not be given everything to do at once.
        let outputs: Vec<(String, String)> =
            futures::stream::iter(sources).buffered(EVIDENCE_AT_ONCE).collect().await;
        let cannot_write = |path: &Path, source| Error::Io {
            action: "cannot write",
            path: path.display().to_string(),
            source,
        };
        tokio::fs::create_dir_all(folder).await.map_err(|error| cannot_write(folder, error))?;
        let mut files = Vec::new();
        for (file, text) in outputs {
            let path = folder.join(file);
            tokio::fs::write(&path, text).await.map_err(|error| cannot_write(&path, error))?;
            files.push(path);
        }
        Ok(files)
    }
}
