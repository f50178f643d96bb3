//! Defining a guest: installed from a template, then made what was specified.

use std::net::IpAddr;

use uuid::Uuid;
use xenrt_core::lab::GuestImage;
use xenrt_core::model::{
    Ability, Boot, CrashAction, DiskSource, DiskSpec, GuestBase, GuestKind, GuestSpec, GuestView,
    MacAddress, Memory, Vif,
};
use xenrt_core::{Error, Result};

use crate::host::{HostShared, Making};
use crate::observe::{self, IMAGE, KEEP, Vbd};
use crate::parse::{self, Record, records, values};
use crate::xe::{self, Chain, Xe, XeCommand, XeError};
use crate::{disks, requests};

/// The template of a guest without an image, or with one that has no disk of its own.
const BARE_TEMPLATE: &str = "Other install media";

/// What is known of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    uuid: Uuid,
    name: String,
    memory: [Memory; 4],
    vcpus: u32,
    max_vcpus: u32,
    domain_type: Option<String>,
    has_disks: bool,
}

/// Fields of memory, from the least to the most.
const MEMORY_FIELDS: [&str; 4] =
    ["memory-static-min", "memory-dynamic-min", "memory-dynamic-max", "memory-static-max"];

/// Asks for all templates.
pub(crate) fn templates_command() -> XeCommand {
    let [a, b, c, d] = MEMORY_FIELDS;
    XeCommand::new("template-list").fields(&[
        "uuid",
        "name-label",
        a,
        b,
        c,
        d,
        "VCPUs-max",
        "VCPUs-at-startup",
        "domain-type",
        "other-config",
        "VBDs",
    ])
}

/// The templates in an answer.
pub(crate) fn read_templates(text: &str) -> Result<Vec<Template>> {
    let template = |record: Result<Record<'_>>| {
        let record = record?;
        let mut memory = [Memory::default(); 4];
        for (size, field) in memory.iter_mut().zip(MEMORY_FIELDS) {
            *size = Memory::bytes(record.parse(field)?);
        }
        let config = record.get("other-config").map(values::map).unwrap_or_default();
        let provisioned = config.get("disks").is_some_and(|disks| disks.contains("<disk"));
        Ok(Template {
            uuid: record.parse("uuid")?,
            name: record.require("name-label")?.to_owned(),
            memory,
            vcpus: record.parse("VCPUs-at-startup")?,
            max_vcpus: record.parse("VCPUs-max")?,
            domain_type: record.get("domain-type").map(str::to_owned),
            has_disks: provisioned || !record.get("VBDs").unwrap_or_default().is_empty(),
        })
    };
    records(text).map(template).collect()
}

fn choose(templates: &[Template], name: &str) -> Result<Template> {
    let mut found = templates.iter().filter(|own| own.name == name || own.uuid.to_string() == name);
    match (found.next(), found.next()) {
        (Some(template), None) => Ok(template.clone()),
        (Some(_), Some(_)) => {
            let problem = "several templates have that name; say the UUID of one";
            Err(Error::invalid(format!("template {name:?}"), problem))
        }
        (None, _) => Err(Error::NotFound {
            kind: "template",
            name: name.to_owned(),
            known: templates.iter().map(|own| own.name.clone()).collect(),
        }),
    }
}

async fn template_for(host: &HostShared, xe: &Xe, name: &str) -> Result<Template> {
    if let Ok(template) = choose(&host.known_templates(), name) {
        return Ok(template);
    }
    let text = xe.run(&templates_command()).await;
    let templates = read_templates(&text.map_err(|error| error.during("list", "templates"))?)?;
    host.know_templates(templates.clone());
    choose(&templates, name)
}

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
struct Plan<'a> {
    spec: &'a GuestSpec,
    image: Option<&'a GuestImage>,
    kind: GuestKind,
    boot: Option<Boot>,
    template: Template,
    memory: Memory,
    max_memory: Memory,
    address: Option<IpAddr>,
    vifs: Vec<(MacAddress, Uuid, String)>,
    /// The storage that its disks are made on.
    sr: Option<Uuid>,
}

/// Defines a guest. Nothing is left behind by an error.
///
/// One remote command, and two or three for each new disk. Calls of `xe`: one to see that the name
/// is free, one to install, one where the memory is not the template's, one for the other settings,
/// one a VIF, two a new disk, one where the template has disks. Addresses of a pool cost one more.
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
            vbds.push(add_disk(xe, uuid, spec, &vbds, plan.sr, &object).await?);
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
    let able = |kind: GuestKind| {
        abilities.has(match kind {
            GuestKind::Pv => Ability::Pv,
            GuestKind::Pvh => Ability::Pvh,
            GuestKind::Hvm => Ability::Hvm,
        })
    };
    let kind = match (spec.kind, image) {
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
const ADDRESS: &str = "xenrt-address";

/// The key in `other-config` of a VM for what only its creator knew.
pub(crate) const TOKEN: &str = "xenrt-token";

/// What the name of a VM in the making begins with; a UUID follows.
const IN_THE_MAKING: &str = "xenrt-";

/// A name that nobody else has.
pub(crate) fn new_token() -> String {
    format!("{IN_THE_MAKING}{}", Uuid::new_v4())
}

/// Whether this is the name of a VM that is not yet what it will be.
pub(crate) fn is_token(name: &str) -> bool {
    name.strip_prefix(IN_THE_MAKING)
        .is_some_and(|rest| rest.len() == 36 && rest.parse::<Uuid>().is_ok())
}

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
            .maybe("sr-uuid", self.sr.map(|uuid| uuid.to_string()))
            .deadline(host.entry.deadlines.suspend)
            .kept();
        let mut chain = vec![taken, install];
        chain.extend(self.completing(host, token));
        let mut lost = false;
        loop {
            let Chain { mut outputs, error } = xe.run_chain(&chain).await;
            let uuid = outputs.get(1).map(|made| parse::created(made));
            return match (uuid, error) {
                (Some(Err(error)), _) => Installed::No(error.into()),
                (Some(Ok(uuid)), None) if outputs.len() == chain.len() => {
                    let listed = outputs.pop().filter(|_| self.template.has_disks);
                    Installed::Yes(uuid, Ok(listed.unwrap_or_default()))
                }
                (Some(Ok(uuid)), Some(error)) if error.is_ambiguous() => {
                    Installed::Yes(uuid, self.go_on(host, xe, uuid, token).await)
                }
                (Some(Ok(uuid)), error) => Installed::Yes(uuid, Err(error.unwrap_or_else(cut_off))),
                (None, None) => Installed::NameIsTaken,
                (None, Some(error)) if !error.is_ambiguous() => Installed::No(error),
                (None, Some(error)) => match made_as(xe, token).await {
                    Ok(Some(uuid)) => Installed::Yes(uuid, self.go_on(host, xe, uuid, token).await),
                    // It was not made, so that it can be sent once more.
                    Ok(None) if !lost => {
                        lost = true;
                        continue;
                    }
                    Ok(None) => Installed::No(error),
                    Err(error) => Installed::No(error),
                },
            };
        }
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

    /// Sends what the VM lacks, where the connection broke in the middle.
    async fn go_on(&self, host: &HostShared, xe: &Xe, vm: Uuid, token: &str) -> xe::Result<String> {
        let vifs = XeCommand::new("vif-list").param("vm-uuid", vm.to_string());
        let there = xe.list(vifs.fields(&["MAC"])).await?;
        let missing = self.completing(host, token).into_iter().filter(|command| {
            !there.iter().any(|mac| command.to_string().contains(&format!("mac={mac}")))
        });
        let missing: Vec<XeCommand> = missing.map(|command| command.with_made(vm)).collect();
        let listed = xe.run_all(&missing).await?.pop().filter(|_| self.template.has_disks);
        Ok(listed.unwrap_or_default())
    }

    fn memory_command(&self) -> Option<XeCommand> {
        let least = self.template.memory[0].min(self.memory);
        let wanted = [least, self.memory, self.memory, self.max_memory];
        (wanted != self.template.memory).then(|| memory_limits(wanted).made("uuid"))
    }

    fn settings(&self, host: &HostShared) -> XeCommand {
        let crash = match self.spec.on_crash {
            CrashAction::Preserve => "preserve",
            CrashAction::Destroy => "destroy",
            CrashAction::Restart => "restart",
        };
        let mut command = XeCommand::new("vm-param-set")
            .made("uuid")
            .param("name-label", self.spec.name.as_str())
            .param("actions-after-crash", crash)
            .param("affinity", host.uuid.to_string());
        let (vcpus, most) = (self.spec.vcpus, self.spec.max_vcpus);
        if (vcpus, most) != (self.template.vcpus, self.template.max_vcpus) {
            let start = ("VCPUs-at-startup", vcpus);
            let maximum = ("VCPUs-max", most);
            // The number must never be above the maximum, not even between the two.
            let order =
                if most >= self.template.vcpus { [maximum, start] } else { [start, maximum] };
            for (field, number) in order {
                command = command.param(field, number.to_string());
            }
        }
        if let Some(image) = self.image {
            command = command.param(format!("other-config:{IMAGE}"), image.name.as_str());
        }
        if let Some(address) = self.address {
            command = command.param(format!("other-config:{ADDRESS}"), address.to_string());
        }
        self.boot_settings(host, command)
    }

    fn boot_settings(&self, host: &HostShared, mut command: XeCommand) -> XeCommand {
        let (domain_type, policy) = match self.kind {
            GuestKind::Pv => ("pv", ""),
            GuestKind::Pvh => ("pvh", ""),
            GuestKind::Hvm => ("hvm", "BIOS order"),
        };
        if host.product.has_domain_type() {
            if self.template.domain_type.as_deref() != Some(domain_type) {
                command = command.param("domain-type", domain_type);
            }
        } else {
            command = command.param("HVM-boot-policy", policy);
        }
        match &self.boot {
            Some(Boot::Kernel { kernel, ramdisk, command_line }) => {
                let line = self.command_line(host, command_line);
                command = command
                    .param("PV-kernel", kernel.as_str())
                    .param("PV-ramdisk", ramdisk.as_deref().unwrap_or(""))
                    .param("PV-args", line)
                    .param("PV-bootloader", "");
            }
            Some(Boot::Disk) | None if self.kind != GuestKind::Hvm => {
                command = command.param("PV-bootloader", "pygrub");
                if !self.spec.extra_command_line.is_empty() {
                    command = command.param("PV-args", self.spec.extra_command_line.as_str());
                }
            }
            Some(Boot::Disk) | None => {}
        }
        command
    }

    fn command_line(&self, host: &HostShared, own: &str) -> String {
        let mut line = own.to_owned();
        if let (Some(address), Some(image)) = (self.address, self.image) {
            line.push(' ');
            line.push_str(&image.address_command_line.replace("{address}", &address.to_string()));
        }
        if !self.spec.extra_command_line.is_empty() {
            line.push(' ');
            line.push_str(&self.spec.extra_command_line);
        }
        let pool = host.entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
        if let Some(pool) = pool {
            line = line.replace("{gateway}", &pool.gateway.to_string());
            line = line.replace("{prefix}", &pool.prefix.to_string());
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        line.replace("{name}", &self.spec.name.chars().map(plain).collect::<String>())
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

/// The VM that was made by the one who knows `token`, if it was.
async fn made_as(xe: &Xe, token: &str) -> xe::Result<Option<Uuid>> {
    // Until it is complete, the token is its name.
    let named = XeCommand::new("vm-list").param("name-label", token).minimal();
    let key = format!("other-config:{TOKEN}");
    let marked = XeCommand::new("vm-list").param(key, token).minimal();
    for listed in xe.run_all(&[named, marked]).await? {
        if let Some(uuid) = parse::minimal(&listed)?.first() {
            let wrong = |_| parse::not_understood("xe --minimal", "a UUID", uuid);
            return Ok(Some(uuid.parse().map_err(wrong)?));
        }
    }
    Ok(None)
}

fn cut_off() -> XeError {
    XeError::Other { message: "fewer commands ran than were sent".to_owned() }
}

/// Sets the limits of memory of a halted VM: static minimum, dynamic range, static maximum.
pub(crate) fn memory_limits(limits: [Memory; 4]) -> XeCommand {
    let names = ["static-min", "dynamic-min", "dynamic-max", "static-max"];
    let command = XeCommand::new("vm-memory-limits-set");
    names
        .into_iter()
        .zip(limits)
        .fold(command, |command, (name, size)| command.param(name, size.as_bytes().to_string()))
}

/// Attaches a VIF to a VM. The address is always ours: `mac=random` knows only 256 of them in
/// releases since 23.31.
pub(crate) fn vif_create(network: Uuid, device: usize, mac: MacAddress) -> XeCommand {
    XeCommand::new("vif-create")
        .param("network-uuid", network.to_string())
        .param("device", device.to_string())
        .param("mac", mac.to_string())
}

/// Makes the disk of `spec` and attaches it to a VM with these VBDs. Where it cannot be attached,
/// what was made is removed.
pub(crate) async fn add_disk(
    xe: &Xe,
    vm: Uuid,
    spec: &DiskSpec,
    vbds: &[Vbd],
    sr: Option<Uuid>,
    object: &str,
) -> Result<Vbd> {
    let taken = |number: u32| vbds.iter().any(|vbd| vbd.device == disks::device_name(number));
    let number = match &spec.device {
        Some(device) => disks::device_number(device)?,
        None => (0..16)
            .find(|number| !taken(*number))
            .ok_or_else(|| Error::invalid(object, "it has 16 disks already"))?,
    };
    let device = disks::device_name(number);
    if taken(number) {
        return Err(Error::invalid(object, format!("it has a device {device} already")));
    }
    let (vdi, made) = disks::make(xe, spec, sr, object).await?;
    let create = disks::vbd_create(vm, vdi, number, spec.read_only);
    let find = XeCommand::new("vbd-list")
        .param("vm-uuid", vm.to_string())
        .param("vdi-uuid", vdi.to_string())
        .minimal();
    let attached = async {
        let uuid = xe.create_once(&create, &find).await?;
        if !made {
            let key = format!("other-config:{KEEP}");
            let mark = XeCommand::new("vbd-param-set").uuid(uuid).param(key, "true");
            if let Err(error) = xe.run(&mark).await {
                // Unmarked, the disk would go with the guest.
                xe.run(&XeCommand::new("vbd-destroy").uuid(uuid)).await?;
                return Err(error);
            }
        }
        Ok(uuid)
    };
    match attached.await {
        Ok(uuid) => Ok(Vbd {
            uuid,
            is_disk: true,
            device,
            vdi: Some(vdi),
            read_only: spec.read_only,
            attached: false,
            keep: !made,
        }),
        Err(error) => {
            let error: crate::xe::XeError = error;
            if made && let Err(undo) = xe.run(&XeCommand::new("vdi-destroy").uuid(vdi)).await {
                let message = format!("{error}; its disk {vdi} could not be removed: {undo}");
                return Err(crate::error::refusal(
                    error.kind(),
                    "attach a disk to",
                    object,
                    message,
                ));
            }
            Err(error.during("attach a disk to", object))
        }
    }
}
