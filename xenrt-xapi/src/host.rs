//! A host that xapi manages.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{
    Abilities, Ability, DomainView, EvidenceSource, Guest, GuestSpec, Host, HostInfo,
    HostInventory, Interfaces, Memory, Network, NetworkSpec, Pooling, Scope, Storages, Templates,
};
use xenrt_core::remote::{Command, ObservedShell, Shell, ShellExt as _};
use xenrt_core::{Error, Result};

use crate::error::TOOLSTACK;
use crate::guest::{GuestShared, XapiGuest};
use crate::interfaces::XapiInterfaces;
use crate::observe::{Vbd, Vm};
use crate::parse::{records, values};
use crate::pool::XapiPooling;
use crate::product::Product;
use crate::shared::HostShared;
use crate::storage::XapiStorages;
use crate::templates::XapiTemplates;
use crate::xe::{Xe, XeCommand};
use crate::{define, evidence, inventory, networks, observe};

/// How long a look at the hypervisor may take.
const LOOK: Duration = Duration::from_secs(60);

/// A host that xapi manages; see [`Host`]. Made by [`XapiToolstack`](crate::XapiToolstack).
///
/// What xapi has beyond the object model - snapshots, storage, the pool, tasks - is in methods of
/// its own; [`of`](Self::of) finds the host behind a `dyn Host`.
#[derive(Debug, Clone)]
pub struct XapiHost {
    pub(crate) shared: Arc<HostShared>,
    pub(crate) scope: Scope,
}

impl XapiHost {
    /// The host of this toolstack behind `host`, if it is one.
    pub fn of(host: &dyn Host) -> Option<Self> {
        let any: &dyn Any = host;
        any.downcast_ref::<Self>().cloned()
    }

    /// Its UUID in the pool.
    pub fn uuid(&self) -> Uuid {
        self.shared.uuid
    }

    /// Which product and release it runs.
    pub fn product(&self) -> &Product {
        &self.shared.product
    }

    /// Its `xe`, recorded for the scope of this handle.
    pub fn xe(&self) -> Xe {
        self.shared.xe.through(self.dom0())
    }

    /// A guest of the pool by its identity, with the methods that only this toolstack has.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind `NoSuchObject` where there is none.
    pub async fn xapi_guest(&self, uuid: Uuid) -> Result<XapiGuest> {
        let list = observe::vm(uuid).param("is-control-domain", "false");
        let guests = self.adopt(list, &|_| true).await?;
        guests.into_iter().next().ok_or_else(|| {
            let (kind, message) =
                (xenrt_core::ToolstackErrorKind::NoSuchObject, "xapi lists no such VM");
            crate::error::refusal(kind, "look at", &format!("guest {uuid}"), message)
        })
    }

    pub(crate) fn handle(&self, guest: Arc<GuestShared>) -> XapiGuest {
        XapiGuest::new(guest, self.scope.clone())
    }

    fn observed(&self, shell: Arc<dyn Shell>) -> Arc<dyn Shell> {
        match self.scope.observer() {
            Some(observer) => Arc::new(ObservedShell::new(shell, Arc::clone(observer))),
            None => shell,
        }
    }

    /// The guests that `list` shows and that are `wanted`. One call, and two more where there are
    /// some that nobody here has a handle to.
    async fn adopt(
        &self,
        list: XeCommand,
        wanted: &(dyn Fn(&Vm) -> bool + Sync),
    ) -> Result<Vec<XapiGuest>> {
        let during = |error: crate::xe::XeError| error.during("list", "guests");
        let xe = self.xe();
        let mut vms = observe::read_vms(&xe.run(&list).await.map_err(during)?)?;
        vms.retain(|vm| wanted(vm) && self.shared.is_made(vm));
        let known: Vec<Option<Arc<GuestShared>>> =
            vms.iter().map(|vm| self.shared.known_guest(vm.uuid)).collect();
        let unknown: Vec<Uuid> = vms
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(vm, _)| vm.uuid)
            .collect();
        let answers = match unknown.as_slice() {
            [] => vec![String::new(), String::new()],
            // Of one VM its own devices, of several those of all.
            [one] => {
                xe.run_all(&[observe::vbds(*one), observe::vifs(*one)]).await.map_err(during)?
            }
            _ => {
                let all = [observe::vbds_of(|list| list), observe::vifs_of(|list| list)];
                xe.run_all(&all).await.map_err(during)?
            }
        };
        let [vbds, vifs] = answers.as_slice() else { return Ok(Vec::new()) };
        let mut vbds = observe::read_vbds_by_vm(vbds)?;
        let name_of = |uuid| networks::name_of(&self.shared, uuid);
        let mut vifs = observe::read_vifs_by_vm(vifs, &name_of)?;
        let guest = |(vm, known): (Vm, Option<Arc<GuestShared>>)| match known {
            Some(known) => {
                known.renamed(&vm.name);
                self.handle(known)
            }
            None => {
                let vbds = vbds.remove(&vm.uuid).unwrap_or_default();
                self.known(vm.clone(), vbds, &vifs.remove(&vm.uuid).unwrap_or_default())
            }
        };
        Ok(vms.into_iter().zip(known).map(guest).collect())
    }

    /// The handle for a VM that was seen.
    fn known(&self, vm: Vm, vbds: Vec<Vbd>, vifs: &[(Uuid, xenrt_core::model::Vif)]) -> XapiGuest {
        let view = vm.view(&vbds, vifs);
        let guest = self.shared.guest(vm.uuid, || {
            GuestShared::new(
                vm.uuid,
                vm.name.clone(),
                vm.kind,
                vm.image.clone(),
                vbds,
                view,
                None,
                Arc::clone(&self.shared),
            )
        });
        guest.renamed(&vm.name);
        self.handle(guest)
    }
}

#[async_trait]
impl Host for XapiHost {
    fn name(&self) -> &str {
        &self.shared.entry.name
    }

    fn toolstack(&self) -> &'static str {
        TOOLSTACK
    }

    fn entry(&self) -> &HostEntry {
        &self.shared.entry
    }

    fn abilities(&self) -> &Abilities {
        &self.shared.abilities
    }

    fn dom0(&self) -> Arc<dyn Shell> {
        self.observed(Arc::clone(&self.shared.shell))
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn in_scope(&self, scope: Scope) -> Arc<dyn Host> {
        Arc::new(Self { shared: Arc::clone(&self.shared), scope })
    }

    /// One call.
    async fn info(&self) -> Result<HostInfo> {
        let list = XeCommand::new("host-param-list").uuid(self.shared.uuid);
        let object = format!("host {:?}", self.name());
        let text = self.xe().run(&list).await.map_err(|error| error.during("describe", &object))?;
        let Some(record) = records(&text).next().transpose()? else {
            return Err(Error::lab(format!("xapi does not know {object} any more")));
        };
        let product = Product::read(&record)?;
        let cpus = record.get("cpu_info").map(values::map).unwrap_or_default();
        let bytes = |name: &str| record.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(HostInfo {
            hostname: record.get("hostname").unwrap_or_default().to_owned(),
            hypervisor: format!("Xen {}, {product}", product.xen),
            kernel: product.kernel.clone(),
            cpus: cpus.get("cpu_count").and_then(|count| count.parse().ok()).unwrap_or(0),
            memory: Memory::bytes(bytes("memory-total")),
            // What new guests can have; older releases print none, and a measurement is all there is.
            free_memory: Memory::bytes(match bytes("memory-free-computed") {
                0 => bytes("memory-free"),
                computed => computed,
            }),
            capabilities: values::set(record.get("capabilities").unwrap_or_default())
                .into_iter()
                .filter(|capability| !capability.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Where dom0 has `xl`, the hypervisor is asked without xapi; otherwise xapi says which domains
    /// there are on this host.
    async fn domains(&self) -> Result<Vec<DomainView>> {
        if self.shared.has_xl {
            let command = Command::new("xl").args(["list", "-v"]).deadline(LOOK);
            return observe::read_domains(&self.dom0().text(&command).await?);
        }
        let here = observe::vms_everywhere().param("resident-on", self.shared.uuid.to_string());
        let text = self.xe().run(&here).await.map_err(|error| error.during("list", "domains"))?;
        Ok(observe::read_vms(&text)?.iter().filter_map(Vm::domain).collect())
    }

    async fn define_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
        let making = self.shared.making();
        let defined = define::define(&self.shared, &self.xe(), spec, &making).await?;
        let guest = self.shared.guest(defined.uuid, || {
            GuestShared::new(
                defined.uuid,
                spec.name.clone(),
                defined.kind,
                defined.image,
                // Not what was asked for: the first look shows what xapi made of it.
                Vec::new(),
                defined.view,
                defined.address,
                Arc::clone(&self.shared),
            )
        });
        Ok(Arc::new(self.handle(guest)))
    }

    /// Those that run here, and those that run nowhere and prefer no other host of the pool. One
    /// call, and two more where some are seen for the first time.
    async fn guests(&self) -> Result<Vec<Arc<dyn Guest>>> {
        let guests = self.adopt(observe::vms(), &|vm| vm.is_of(self.shared.uuid)).await?;
        Ok(guests.into_iter().map(|guest| Arc::new(guest) as Arc<dyn Guest>).collect())
    }

    /// xapi is asked for that name alone: one call, and two more for a guest that is seen for the
    /// first time. Where there is none, all are listed.
    async fn guest(&self, name: &str) -> Result<Arc<dyn Guest>> {
        let named = observe::vms().param("name-label", name);
        let own = self.adopt(named, &|vm| vm.is_of(self.shared.uuid)).await?;
        if let Some(guest) = own.into_iter().next() {
            return Ok(Arc::new(guest));
        }
        let known = self.guests().await?.iter().map(|guest| guest.name()).collect();
        Err(Error::NotFound { kind: "guest", name: name.to_owned(), known })
    }

    /// Two calls.
    async fn networks(&self) -> Result<Vec<Network>> {
        networks::list(&self.shared, &self.xe()).await
    }

    async fn define_network(&self, spec: &NetworkSpec) -> Result<Network> {
        networks::define(&self.shared, &self.xe(), spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        networks::remove(&self.shared, &self.xe(), name).await
    }

    fn storages(&self) -> Result<Arc<dyn Storages>> {
        self.require(Ability::Storage)?;
        Ok(Arc::new(XapiStorages(self.clone())))
    }

    fn templates(&self) -> Result<Arc<dyn Templates>> {
        self.require(Ability::Templates)?;
        Ok(Arc::new(XapiTemplates(self.clone())))
    }

    fn pooling(&self) -> Result<Arc<dyn Pooling>> {
        self.require(Ability::Pool)?;
        Ok(Arc::new(XapiPooling(self.clone())))
    }

    fn interfaces(&self) -> Result<Arc<dyn Interfaces>> {
        self.require(Ability::Interfaces)?;
        Ok(Arc::new(XapiInterfaces(self.clone())))
    }

    async fn inventory(&self) -> Result<HostInventory> {
        inventory::take(self).await
    }

    fn evidence_sources(&self) -> Vec<EvidenceSource> {
        evidence::sources()
    }

    fn guest_shell(&self, image: Option<&str>, address: IpAddr) -> Result<Arc<dyn Shell>> {
        let shell = self.shared.guest_shells.shell(&self.shared.entry, image, address)?;
        Ok(self.observed(shell))
    }
}
