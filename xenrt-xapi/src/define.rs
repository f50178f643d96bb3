//! Defining a guest: installed from a template, then made what was specified.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::lab::GuestImage;
use xenrt_core::model::{
    Boot, DiskSource, GuestBase, GuestKind, GuestSpec, GuestView, MacAddress, Memory, Vif,
};
use xenrt_core::{Error, Result};

use crate::bases::{BARE_TEMPLATE, Template, template_for};
use crate::observe::{self, Vbd};
use crate::parse::{self, records, values};
use crate::shared::{HostShared, Making};
use crate::tokens::{TOKEN, made_as};
use crate::xe::{self, Chain, Xe, XeCommand, XeError};
use crate::{disks, requests};

/// A guest that was defined.
#[derive(Debug)]
pub(crate) struct Defined {
    pub(crate) uuid: Uuid,
    pub(crate) kind: GuestKind,
    pub(crate) image: Option<String>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) view: GuestView,
}

/// What a specification means on a host, before anything is made.
pub(crate) struct Plan<'a> {
    pub(crate) spec: &'a GuestSpec,
    pub(crate) image: Option<&'a GuestImage>,
    pub(crate) kind: GuestKind,
    pub(crate) boot: Option<Boot>,
    pub(crate) template: Template,
    pub(crate) memory: Memory,
    pub(crate) max_memory: Memory,
    pub(crate) address: Option<IpAddr>,
    pub(crate) vifs: Vec<(MacAddress, Uuid, String)>,
    /// The storage that its disks are made on.
    pub(crate) sr: Option<Uuid>,
}

/// Defines a guest. Nothing is left behind by an error.
///
/// One remote command, and two for each disk. Calls of `xe`: one to see that the name
/// is free, one to install, one where the memory is not the template's, one for the other settings,
/// one a VIF, three a disk, one where the template has disks. Addresses of a pool cost one more.
pub(crate) async fn define(
    host: &HostShared,
    xe: &Xe,
    spec: &GuestSpec,
    making: &Making<'_>,
) -> Result<Defined> {
    spec.validate()?;
    let plan = plan(host, xe, spec).await?;
    let object = format!("guest {:?}", spec.name);
    let during = |error: XeError| error.during("define", &object);
    let taken = || {
        let problem = format!("there is a guest named {:?} already", spec.name);
        Error::invalid(object.as_str(), problem)
    };
    // xapi itself would let two have it.
    let _own = host.reserve_name(&spec.name).ok_or_else(taken)?;
    let (uuid, vbds) = match plan.install(host, xe, making.token()).await {
        Installed::NameIsTaken => return Err(taken()),
        Installed::No(error) => return Err(during(error)),
        Installed::Yes(uuid, vbds) => (uuid, vbds),
    };
    let completed = async {
        let mut vbds = observe::read_vbds(&vbds.map_err(during)?)?;
        for spec in &spec.disks {
            vbds.push(disks::add(xe, uuid, spec, &vbds, plan.sr, &object).await?);
        }
        Ok(vbds)
    };
    match completed.await {
        Ok(vbds) => Ok(plan.defined(uuid, &vbds)),
        Err(error) => {
            let keep = spec.disks.iter().filter_map(|disk| match &disk.source {
                DiskSource::Existing(vdi) => vdi.parse().ok(),
                _ => None,
            });
            match requests::remove(xe, uuid, &keep.collect::<Vec<Uuid>>()).await {
                Err(undo) if !undo.is_missing_object() => Err(Error::Lab {
                    message: format!(
                        "{object} could not be defined ({error}), and what there is of it could not \
                         be removed ({undo}); remove the VM {uuid}"
                    ),
                    source: Some(Box::new(error)),
                }),
                _ => Err(error),
            }
        }
    }
}

/// What came of installing a VM.
enum Installed {
    /// Another guest has its name; nothing was made.
    NameIsTaken,
    /// Nothing was made.
    No(XeError),
    /// It is there, and the list of its VBDs is this - or this is why it could not be completed.
    Yes(Uuid, xe::Result<String>),
}

async fn plan<'a>(host: &'a HostShared, xe: &Xe, spec: &'a GuestSpec) -> Result<Plan<'a>> {
    let object = format!("guest {:?}", spec.name);
    let image = spec.image.as_deref().map(|name| host.entry.image_for(name)).transpose()?;
    let of_image = || image.and_then(|image| image.disk.as_deref());
    let template = match &spec.base {
        GuestBase::Image => of_image().unwrap_or(BARE_TEMPLATE),
        GuestBase::Disks => BARE_TEMPLATE,
        GuestBase::Template(name) => name,
    };
    let template = template_for(host, xe, template).await?;
    if image.is_none() && spec.boot.is_none() && spec.disks.is_empty() {
        return Err(Error::invalid(object, "it has no image, no kernel and no disk to boot from"));
    }
    let abilities = &host.abilities;
    let able = |kind: GuestKind| abilities.has(kind.ability());
    let kind = match (spec.wanted_kind(), image) {
        (Some(kind), _) => kind,
        (None, Some(image)) => {
            let none = || {
                let problem = "this host can run none of the kinds that its image allows";
                Error::invalid(object.as_str(), problem)
            };
            image.kinds.iter().copied().find(|kind| able(*kind)).ok_or_else(none)?
        }
        (None, None) => GuestKind::Hvm,
    };
    if !able(kind) {
        let problem = format!("this host runs no {kind:?} guests");
        return Err(Error::invalid(object, problem));
    }
    let boot = spec.boot.clone().or_else(|| boot_of(image?));
    if matches!(boot, Some(Boot::Kernel { .. })) && kind == GuestKind::Hvm {
        let problem = "xapi loads a kernel for PV and PVH guests alone";
        return Err(Error::invalid(object, problem));
    }
    let memory = match (spec.memory.as_bytes(), image) {
        (0, Some(image)) => image.memory,
        (0, None) => template.memory[2],
        _ => spec.memory,
    };
    let told = image.is_some_and(|image| !image.address_command_line.is_empty());
    let told = told && matches!(boot, Some(Boot::Kernel { .. })) && !spec.vifs.is_empty();
    let address = match (spec.address, told) {
        (Some(address), true) => Some(address),
        (Some(_), false) => {
            let problem = "nothing tells the guest its fixed address: its image has no kernel with \
                           an address_command_line, or it has no VIF";
            return Err(Error::invalid(object, problem));
        }
        (None, true) => free_address(host, xe, &object).await?,
        (None, false) => None,
    };
    let mut vifs: Vec<(MacAddress, Uuid, String)> = Vec::new();
    for vif in &spec.vifs {
        let network = host.network_name(vif.network.as_deref())?;
        let uuid = crate::networks::uuid_of(host, xe, &network).await?;
        let mac = vif.mac.unwrap_or_else(MacAddress::random_xen);
        if vifs.iter().any(|(earlier, ..)| *earlier == mac) {
            return Err(Error::invalid(object, format!("two VIFs have the address {mac}")));
        }
        vifs.push((mac, uuid, network));
    }
    let max_memory = spec.max_memory.max(memory);
    let sr = match &spec.storage {
        Some(name) => Some(storage(xe, name, &object).await?),
        None => host.default_sr(),
    };
    Ok(Plan { spec, image, kind, boot, template, memory, max_memory, address, vifs, sr })
}

/// The storage of this name or UUID.
async fn storage(xe: &Xe, name: &str, object: &str) -> Result<Uuid> {
    let list = XeCommand::new("sr-list").fields(&["uuid", "name-label"]);
    let text = xe.run(&list).await.map_err(|error| error.during("define", object))?;
    let mut found: Vec<Uuid> = Vec::new();
    let mut known = Vec::new();
    for record in records(&text) {
        let record = record?;
        let (uuid, label): (Uuid, &str) = (record.parse("uuid")?, record.require("name-label")?);
        if label == name || uuid.to_string() == name {
            found.push(uuid);
        }
        known.push(label.to_owned());
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::NotFound { kind: "storage", name: name.to_owned(), known }),
        _ => Err(Error::invalid(format!("storage {name:?}"), "several have that name")),
    }
}

fn boot_of(image: &GuestImage) -> Option<Boot> {
    Some(Boot::Kernel {
        kernel: image.kernel.clone()?,
        ramdisk: image.ramdisk.clone(),
        command_line: image.command_line.clone(),
    })
}

/// The key in `other-config` of a VM for the address that was chosen for it.
pub(crate) const ADDRESS: &str = "xenrt-address";

/// The first address of the lab's pool that no VM has.
async fn free_address(host: &HostShared, xe: &Xe, object: &str) -> Result<Option<IpAddr>> {
    let pool = host.entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
    let Some(pool) = pool else { return Ok(None) };
    let list = XeCommand::new("vm-list").fields(&["uuid", "other-config"]);
    let text = xe.run(&list).await.map_err(|error| error.during("define", object))?;
    let mut used = Vec::new();
    for record in records(&text) {
        let config = record?.get("other-config").map(values::map).unwrap_or_default();
        used.extend(config.get(ADDRESS).and_then(|address| address.parse::<IpAddr>().ok()));
    }
    let free = pool.addresses().map(IpAddr::V4).find(|address| !used.contains(address));
    free.map(Some).ok_or_else(|| {
        Error::invalid(object, "all addresses of the pool of the guest network are taken")
    })
}

impl Plan<'_> {
    /// Installs the VM and makes it what was specified but for its disks: one remote command.
    /// If the connection breaks, `token` tells whether the VM was made.
    async fn install(&self, host: &HostShared, xe: &Xe, token: &str) -> Installed {
        let name = self.spec.name.as_str();
        let taken = XeCommand::new("vm-list").param("name-label", name).minimal().only_if_nothing();
        let install = XeCommand::new("vm-install")
            .param("template-uuid", self.template.uuid.to_string())
            .param("new-name-label", token)
            .maybe("sr-uuid", self.chosen_sr().map(|uuid| uuid.to_string()))
            .deadline(host.entry.deadlines.suspend)
            .kept();
        let mut chain = vec![taken, install];
        chain.extend(self.completing(host, token));
        let within: Duration = chain.iter().map(|command| xe.time_for(command)).sum();
        let (lost, finds, chain) = (&AtomicBool::new(false), &made_as(token), &chain);
        let installed = xe
            .until_told(within, |left| async move {
                if lost.load(Ordering::Relaxed)
                    && let Some(uuid) = xe.settled(finds, left).await?
                {
                    return Ok(Installed::Yes(uuid, self.go_on(host, xe, uuid, token).await));
                }
                let Chain { mut outputs, error } = xe.run_chain(chain).await;
                let uuid = outputs.get(1).map(|made| parse::created(made)).transpose()?;
                Ok(match (uuid, error) {
                    (Some(uuid), None) if outputs.len() == chain.len() => {
                        let listed = outputs.pop().filter(|_| self.template.has_disks);
                        Installed::Yes(uuid, Ok(listed.unwrap_or_default()))
                    }
                    (Some(uuid), Some(error)) if error.is_ambiguous() => {
                        Installed::Yes(uuid, self.go_on(host, xe, uuid, token).await)
                    }
                    (Some(uuid), error) => Installed::Yes(uuid, Err(error.unwrap_or_else(cut_off))),
                    (None, None) => Installed::NameIsTaken,
                    (None, Some(error)) => {
                        lost.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
                        return Err(error);
                    }
                })
            })
            .await;
        match installed {
            // Time is over; it may be there all the same.
            Err(error) if error.is_ambiguous() => match xe.found(finds).await {
                Ok(Some(uuid)) => Installed::Yes(uuid, Err(error)),
                _ => Installed::No(error),
            },
            installed => installed.unwrap_or_else(Installed::No),
        }
    }

    /// The storage that xapi is told, where the specification chose one. xapi then copies the disks
    /// of the template in full (`VM.copy`) in the place of cloning them, and finds the default storage
    /// for new ones itself (`vm_install` in xapi's cli_operations.ml).
    fn chosen_sr(&self) -> Option<Uuid> {
        self.sr.filter(|_| self.spec.storage.is_some())
    }

    /// What completes the VM that a chain made. They may be sent again: settings are the same twice,
    /// and VIFs have fixed addresses.
    fn completing(&self, host: &HostShared, token: &str) -> Vec<XeCommand> {
        let mut commands: Vec<XeCommand> = self.memory_command().into_iter().collect();
        commands.push(self.settings(host).param(format!("other-config:{TOKEN}"), token));
        for (index, (mac, network, _)) in self.vifs.iter().enumerate() {
            commands.push(vif_create(*network, index, *mac).made("vm-uuid"));
        }
        if self.template.has_disks {
            commands.push(observe::vbds_of(|list| list.made("vm-uuid")));
        }
        commands
    }

    /// Sends what the VM lacks, where the connection broke in the middle: again, where it breaks
    /// again.
    async fn go_on(&self, host: &HostShared, xe: &Xe, vm: Uuid, token: &str) -> xe::Result<String> {
        let commands = &self.completing(host, token);
        let within: Duration = commands.iter().map(|command| xe.time_for(command)).sum();
        xe.until_told(within, |_| async move {
            let vifs = XeCommand::new("vif-list").param("vm-uuid", vm.to_string());
            let there = xe.list(vifs.fields(&["MAC"])).await?;
            let missing = commands.iter().filter(|command| {
                !there.iter().any(|mac| command.to_string().contains(&format!("mac={mac}")))
            });
            let missing: Vec<XeCommand> = missing.map(|command| command.with_made(vm)).collect();
            let listed = xe.run_all(&missing).await?.pop().filter(|_| self.template.has_disks);
            Ok(listed.unwrap_or_default())
        })
        .await
    }

    fn defined(&self, uuid: Uuid, vbds: &[Vbd]) -> Defined {
        let vif = |(index, (mac, _, network)): (usize, &(MacAddress, Uuid, String))| Vif {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            mac: *mac,
            network: network.clone(),
        };
        let view = GuestView {
            power: xenrt_core::model::PowerState::Halted,
            vcpus: self.spec.vcpus,
            max_vcpus: self.spec.max_vcpus,
            memory: self.memory,
            disks: observe::disks(vbds),
            vifs: self.vifs.iter().enumerate().map(vif).collect(),
        };
        Defined {
            uuid,
            kind: self.kind,
            image: self.image.map(|image| image.name.clone()),
            address: self.address,
            view,
        }
    }
}

fn cut_off() -> XeError {
    XeError::Other { message: "fewer commands ran than were sent".to_owned() }
}

/// Attaches a VIF to a VM. The address is always ours: `mac=random` knows only 256 of them in
/// releases since 23.31.
pub(crate) fn vif_create(network: Uuid, device: usize, mac: MacAddress) -> XeCommand {
    XeCommand::new("vif-create")
        .param("network-uuid", network.to_string())
        .param("device", device.to_string())
        .param("mac", mac.to_string())
}
