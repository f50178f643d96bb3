//! What a specification means on a host: the domain that is to be defined.

use std::net::IpAddr;

use uuid::Uuid;
use xenrt_core::lab::{GuestImage, HostEntry};
use xenrt_core::model::{
    Abilities, Ability, Boot, CrashAction, DiskSource, DiskSpec, GuestKind, GuestSpec, MacAddress,
    Memory, VifSpec,
};
use xenrt_core::{Error, Result};

use crate::driver::{Driver, Facts};
use crate::error::{TOOLSTACK, not_written};
use crate::xml::{
    BootDevice, Devices, Disk, Domain, DomainKind, Element, Features, Interface, LogFile, Made, Os,
    OsType, Present, Quantity, Serial, Source, Target, Vcpu,
};

/// A guest that is to be defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) kind: GuestKind,
    /// The image that it is made from.
    pub(crate) image: Option<String>,
    boot: Boot,
    memory: Memory,
    max_memory: Memory,
    vcpus: u32,
    max_vcpus: u32,
    /// Its disks, and the specification of each.
    pub(crate) disks: Vec<(DiskSpec, Disk)>,
    pub(crate) vifs: Vec<DefinedVif>,
    /// The address of the first VIF, where one was chosen.
    pub(crate) address: Option<IpAddr>,
    on_crash: CrashAction,
    /// The file that its console is recorded in, where it is.
    console: Option<String>,
}

/// One network interface of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DefinedVif {
    pub(crate) mac: MacAddress,
    /// The name of its network.
    pub(crate) network: String,
}

/// What a guest is called in errors.
fn what(spec: &GuestSpec) -> String {
    format!("guest {:?}", spec.name)
}

impl Definition {
    /// What `spec` means on the host of `entry`. `folder` is the guest's folder there; `address` is
    /// what was reserved for it.
    pub(crate) fn from_spec(
        spec: &GuestSpec,
        entry: &HostEntry,
        facts: &Facts,
        abilities: &Abilities,
        uuid: Uuid,
        folder: &str,
        address: Option<IpAddr>,
    ) -> Result<Self> {
        spec.validate()?;
        spec.require_abilities(TOOLSTACK, abilities)?;
        let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
        let boot = boot_of(spec, entry, image, address)?;
        let memory = match (spec.memory, image) {
            (memory, Some(image)) if memory.as_bytes() == 0 => image.memory,
            (memory, None) if memory.as_bytes() == 0 => {
                return Err(Error::invalid(
                    what(spec),
                    "it needs an amount of memory, or an image",
                ));
            }
            (memory, _) => memory,
        };
        // Xen's own record is not in the guest's folder.
        let records = abilities.has(Ability::ConsoleLog) && facts.driver != Driver::Xen;
        let console = records.then(|| format!("{folder}/console.log"));
        let mut definition = Self {
            uuid,
            name: spec.name.clone(),
            kind: kind_of(spec, facts.driver, abilities, image, &boot)?,
            image: image.map(|image| image.name.clone()),
            boot,
            memory,
            max_memory: spec.max_memory.max(memory),
            vcpus: spec.vcpus,
            max_vcpus: spec.max_vcpus.max(spec.vcpus),
            disks: Vec::new(),
            vifs: Vec::new(),
            address,
            on_crash: spec.on_crash,
            console,
        };
        let image_disk = spec.image_disk(image);
        for disk in image_disk.iter().chain(&spec.disks) {
            let taken: Vec<&str> =
                definition.disks.iter().map(|(_, disk)| disk.target.dev.as_str()).collect();
            let made = disk_for(disk, &what(spec), &taken, facts.driver, folder)?;
            definition.disks.push((disk.clone(), made));
        }
        for vif in &spec.vifs {
            let taken: Vec<MacAddress> = definition.vifs.iter().map(|vif| vif.mac).collect();
            let vif = vif_for(vif, &what(spec), &taken, entry)?;
            definition.vifs.push(vif);
        }
        Ok(definition)
    }

    /// Whether libvirt records its console, in its folder.
    pub(crate) fn records_console(&self) -> bool {
        self.console.is_some()
    }

    /// The disks that somebody else made.
    pub(crate) fn existing_disks(&mut self) -> Vec<&mut Disk> {
        let existing = |spec: &DiskSpec| matches!(spec.source, DiskSource::Existing(_));
        self.disks.iter_mut().filter_map(|(spec, disk)| existing(spec).then_some(disk)).collect()
    }

    /// Whether there are files that are its own.
    pub(crate) fn has_files(&self) -> bool {
        let made = |(spec, _): &(DiskSpec, _)| !matches!(spec.source, DiskSource::Existing(_));
        self.console.is_some() || self.address.is_some() || self.disks.iter().any(made)
    }

    /// Its document. `sources` says what each VIF is connected to, in their order.
    pub(crate) fn to_element(&self, facts: &Facts, sources: &[Source]) -> Result<Element> {
        let driver = facts.driver;
        let vifs = self.vifs.iter().zip(sources);
        let serial = self.console.as_ref().map(|file| Serial {
            kind: "pty".to_owned(),
            log: Some(LogFile { file: file.clone(), append: Some("on".to_owned()) }),
        });
        let console = Serial { kind: "pty".to_owned(), log: None };
        let domain = Domain {
            kind: facts.domain_kind,
            name: self.name.clone(),
            uuid: self.uuid,
            memory: Quantity::kib(self.max_memory),
            current_memory: Some(Quantity::kib(self.memory)),
            vcpu: Vcpu {
                current: Some(self.vcpus).filter(|vcpus| *vcpus < self.max_vcpus),
                most: self.max_vcpus,
            },
            os: self.os(facts),
            features: (self.kind == GuestKind::Hvm && driver != Driver::Test)
                .then_some(Features { acpi: Some(Present {}), apic: Some(Present {}) }),
            on_poweroff: Some("destroy".to_owned()),
            on_reboot: Some("restart".to_owned()),
            on_crash: Some(
                match self.on_crash {
                    CrashAction::Preserve => "preserve",
                    CrashAction::Destroy => "destroy",
                    CrashAction::Restart => "restart",
                }
                .to_owned(),
            ),
            devices: Devices {
                emulator: None,
                disks: self.disks.iter().map(|(_, disk)| disk.clone()).collect(),
                interfaces: vifs
                    .map(|(vif, source)| Interface::on(source.clone(), vif.mac, driver.vif_model()))
                    .collect(),
                serials: serial.into_iter().collect(),
                consoles: if driver == Driver::Xen { vec![console] } else { Vec::new() },
            },
        };
        let unwritten = |error| not_written(&format!("guest {:?}", self.name), &error);
        let mut tree = domain.to_element().map_err(unwritten)?;
        let chosen = (self.max_memory > self.memory).then(|| self.max_memory.as_kib());
        let made = Made::new(self.image.clone(), self.address).with_max_memory_kib(chosen);
        made.put_into(&mut tree).map_err(unwritten)?;
        if facts.driver == Driver::Qemu {
            // Without it nothing tells that a guest panicked; the address is that of the ISA device.
            let mut panic = Element::new("panic");
            panic.set_attribute("model", "isa");
            tree.child_mut("devices").push(panic);
            // What is on the screen of a guest that fails may be all that it says: firmware and boot
            // loaders write nowhere else.
            let mut model = Element::new("model");
            model.set_attribute("type", "vga");
            let mut video = Element::new("video");
            video.push(model);
            tree.child_mut("devices").push(video);
            if self.max_vcpus > 1 {
                tree.push(self.removable_vcpus());
            }
        }
        Ok(tree)
    }

    /// Its vCPUs one by one: all but the first can be taken away while it runs, also those that it has
    /// from its start.
    fn removable_vcpus(&self) -> Element {
        let yes = |condition| if condition { "yes" } else { "no" };
        let mut vcpus = Element::new("vcpus");
        for id in 0..self.max_vcpus {
            let mut vcpu = Element::new("vcpu");
            vcpu.set_attribute("id", id.to_string());
            vcpu.set_attribute("enabled", yes(id < self.vcpus));
            vcpu.set_attribute("hotpluggable", yes(id > 0));
            vcpus.push(vcpu);
        }
        vcpus
    }

    fn os(&self, facts: &Facts) -> Os {
        let (kernel, initrd, cmdline) = match &self.boot {
            Boot::Kernel { kernel, ramdisk, command_line } => {
                let words = command_line.replace("{name}", &self.name);
                (Some(kernel.clone()), ramdisk.clone(), Some(words).filter(|w| !w.is_empty()))
            }
            Boot::Disk | Boot::Uefi => (None, None, None),
        };
        let disk = kernel.is_none() && self.kind == GuestKind::Hvm;
        Os {
            firmware: (self.boot == Boot::Uefi).then(|| "efi".to_owned()),
            os_type: OsType {
                arch: facts.arch.clone(),
                machine: None,
                name: facts.driver.os_type(self.kind).to_owned(),
            },
            kernel,
            initrd,
            cmdline,
            boot: disk.then(|| BootDevice { dev: "hd".to_owned() }).into_iter().collect(),
        }
    }
}

/// The disk that `spec` asks for: its name chosen, its place in `folder` where it is to be made.
pub(crate) fn disk_for(
    spec: &DiskSpec,
    guest: &str,
    taken: &[&str],
    driver: Driver,
    folder: &str,
) -> Result<Disk> {
    let wrong = |problem: String| Error::invalid(format!("a disk of {guest}"), problem);
    let prefix = driver.disk_prefix();
    let device = match &spec.device {
        Some(device) if taken.contains(&device.as_str()) => {
            return Err(wrong(format!("it has a disk {device} already")));
        }
        Some(device) => device.clone(),
        None => ('a'..='z')
            .map(|letter| format!("{prefix}{letter}"))
            .find(|name| !taken.contains(&name.as_str()))
            .ok_or_else(|| wrong(format!("{prefix}a to {prefix}z are all in use")))?,
    };
    let bus = driver.bus(&device).map_err(&wrong)?;
    let (path, from) = match &spec.source {
        DiskSource::New(_) => (format!("{folder}/{device}.raw"), None),
        DiskSource::CopyOf(from) => (format!("{folder}/{device}.raw"), Some(from)),
        DiskSource::Existing(path) => (path.clone(), None),
    };
    for path in [Some(&path), from].into_iter().flatten() {
        if !path.starts_with('/') || path.contains(char::is_control) {
            return Err(wrong(format!("{path:?} is not an absolute path")));
        }
    }
    let block = path.starts_with("/dev/");
    let source = if block {
        Source { dev: Some(path), ..Source::default() }
    } else {
        Source { file: Some(path), ..Source::default() }
    };
    Ok(Disk {
        kind: if block { "block" } else { "file" }.to_owned(),
        device: Some("disk".to_owned()),
        driver: (driver == Driver::Qemu).then(|| crate::xml::Driver {
            name: Some("qemu".to_owned()),
            format: Some("raw".to_owned()),
        }),
        source: Some(source),
        target: Target { dev: device, bus: Some(bus) },
        readonly: spec.read_only.then_some(Present {}),
    })
}

/// The VIF that `spec` asks for: its network and address chosen.
pub(crate) fn vif_for(
    spec: &VifSpec,
    guest: &str,
    taken: &[MacAddress],
    entry: &HostEntry,
) -> Result<DefinedVif> {
    let wrong = |problem: String| Error::invalid(format!("a VIF of {guest}"), problem);
    let guest_network = entry.guest_network.as_ref().map(|network| network.network.clone());
    let network = spec.network.clone().or(guest_network).ok_or_else(|| {
        wrong(format!(
            "host {} has no guest network; name one, or set `guest_network` in the lab file",
            entry.name
        ))
    })?;
    let mac = spec.mac.unwrap_or_else(MacAddress::random_xen);
    if taken.contains(&mac) {
        return Err(wrong(format!("it has a VIF {mac} already")));
    }
    Ok(DefinedVif { mac, network })
}

/// The words in command lines that stand for an address.
const ADDRESS_WORDS: [&str; 3] = ["{address}", "{prefix}", "{gateway}"];

/// Whether a guest of `spec` can be told its address by its kernel's command line.
pub(crate) fn wants_address(spec: &GuestSpec, entry: &HostEntry) -> Result<bool> {
    let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
    let by_image = image.is_some_and(|image| !image.address_command_line.is_empty());
    let by_boot = match &spec.boot {
        Some(Boot::Kernel { command_line, .. }) => command_line.contains(ADDRESS_WORDS[0]),
        _ => false,
    };
    Ok(!spec.vifs.is_empty() && (by_image || by_boot))
}

fn boot_of(
    spec: &GuestSpec,
    entry: &HostEntry,
    image: Option<&GuestImage>,
    address: Option<IpAddr>,
) -> Result<Boot> {
    let boot = match (&spec.boot, image) {
        (Some(boot), _) => boot.clone(),
        (None, Some(image)) => match &image.kernel {
            Some(kernel) => Boot::Kernel {
                kernel: kernel.clone(),
                ramdisk: image.ramdisk.clone(),
                command_line: image.command_line.clone(),
            },
            None => Boot::Disk,
        },
        (None, None) => {
            let problem = "it has neither an image nor a kernel nor is it said to boot from disk";
            return Err(Error::invalid(what(spec), problem));
        }
    };
    let (kernel, ramdisk, command_line) = match boot {
        Boot::Kernel { kernel, ramdisk, command_line } => (kernel, ramdisk, command_line),
        disk @ (Boot::Disk | Boot::Uefi) => return Ok(disk),
    };
    let by_image = address.and(image).map_or("", |image| &image.address_command_line);
    let words = [command_line.as_str(), by_image, &spec.extra_command_line];
    let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
    let mut command_line = words.join(" ");
    if let Some(address) = address {
        command_line = command_line.replace(ADDRESS_WORDS[0], &address.to_string());
        let pool = entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
        if let Some(pool) = pool {
            command_line = command_line
                .replace(ADDRESS_WORDS[1], &pool.prefix.to_string())
                .replace(ADDRESS_WORDS[2], &pool.gateway.to_string());
        }
    }
    if let Some(word) = ADDRESS_WORDS.iter().find(|word| command_line.contains(**word)) {
        let problem = format!(
            "its command line has {word}, and nothing says what that is; set `guest_network.pool` \
             of host {}",
            entry.name
        );
        return Err(Error::invalid(what(spec), problem));
    }
    if command_line.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Error::invalid(what(spec), "its command line holds control characters"));
    }
    Ok(Boot::Kernel { kernel, ramdisk, command_line })
}

fn kind_of(
    spec: &GuestSpec,
    driver: Driver,
    abilities: &Abilities,
    image: Option<&GuestImage>,
    boot: &Boot,
) -> Result<GuestKind> {
    let allowed: &[GuestKind] = match (image, boot) {
        (Some(image), _) => &image.kinds,
        (None, Boot::Kernel { .. }) => &[GuestKind::Pvh, GuestKind::Pv, GuestKind::Hvm],
        (None, Boot::Disk) => &[GuestKind::Hvm, GuestKind::Pvh, GuestKind::Pv],
        (None, Boot::Uefi) => &[GuestKind::Hvm],
    };
    let wanted = spec.wanted_kind();
    if let (Some(kind), Some(image)) = (wanted, image)
        && !allowed.contains(&kind)
    {
        let problem = format!("image {} boots as one of {allowed:?}, not as {kind:?}", image.name);
        return Err(Error::invalid(what(spec), problem));
    }
    if driver == Driver::Test {
        // No guest of it runs as any kind, and each can be defined.
        return Ok(wanted.unwrap_or(GuestKind::Hvm));
    }
    let possible = allowed.iter().copied().find(|kind| abilities.has(kind.ability()));
    let preferred = allowed.first().copied().unwrap_or(GuestKind::Hvm);
    let kind = wanted.or(possible).unwrap_or(preferred);
    abilities.require(TOOLSTACK, kind.ability())?;
    Ok(kind)
}

/// How a domain that is there is virtualised.
pub(crate) fn kind_of_domain(domain: &Domain) -> GuestKind {
    match (domain.kind, domain.os.os_type.name.as_str()) {
        (DomainKind::Xen, "xenpvh") => GuestKind::Pvh,
        (DomainKind::Xen, "linux" | "xen") => GuestKind::Pv,
        _ => GuestKind::Hvm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenrt_core::lab::LabFile;

    fn entry() -> HostEntry {
        let text = r#"
            [[host]]
            name = "a"
            address = "localhost"
            toolstack = "libvirt"
            [host.guest_network]
            network = "xenbr0"
            pool = { first = "10.0.2.101", last = "10.0.2.200", prefix = 24, gateway = "10.0.2.2" }
            [[host.images]]
            name = "tiny"
            kinds = ["pvh", "pv", "hvm"]
            kernel = "/images/vmlinuz"
            ramdisk = "/images/tiny.cpio.gz"
            command_line = "console=ttyS0 hostname={name}"
            address_command_line = "ip={address}/{prefix}:{gateway}"
            memory_mib = 192
        "#;
        LabFile::parse(text, "lab.toml").unwrap().hosts.remove(0)
    }

    fn facts(driver: Driver) -> Facts {
        let (domain_kind, arch, kinds): (_, _, &[&str]) = match driver {
            Driver::Test => (DomainKind::Test, None, &["hvm-i686-test"]),
            Driver::Qemu => (DomainKind::Qemu, Some("x86_64".into()), &["hvm-x86_64-qemu"]),
            Driver::Xen => (DomainKind::Xen, None, &["xen-x86_64-xen", "xenpvh-x86_64-xen"]),
        };
        let capabilities = kinds.iter().map(|&kind| kind.to_owned()).collect();
        Facts { driver, domain_kind, arch, capabilities, consoles: None }
    }

    fn document(driver: Driver, spec: &GuestSpec) -> String {
        let facts = facts(driver);
        let uuid = Uuid::from_u128(7);
        let address = Some("10.0.2.101".parse().unwrap());
        let folder = format!("/var/lib/xenrt/guests/{uuid}");
        let abilities = facts.abilities();
        let definition =
            Definition::from_spec(spec, &entry(), &facts, &abilities, uuid, &folder, address);
        let source = |name: &str| Source { network: Some(name.into()), ..Source::default() };
        let tree = definition.unwrap().to_element(&facts, &[source("default")]).unwrap();
        Domain::parse(&tree.to_xml()).unwrap();
        tree.to_xml().replace("><", ">\n<")
    }

    fn spec() -> GuestSpec {
        let mac = "00:16:3e:01:02:03".parse().unwrap();
        GuestSpec::new("it's <a> & b")
            .image("tiny")
            .vcpus(1)
            .max_vcpus(2)
            .max_memory(Memory::mib(256))
            .disk(DiskSpec::new(Memory::mib(8)))
            .disk(DiskSpec::existing("/dev/vg/x").read_only())
            .vif(VifSpec::on("default").mac(mac))
    }

    #[test]
    fn domains_of_qemu() {
        insta::assert_snapshot!(document(Driver::Qemu, &spec()));
    }

    #[test]
    fn domains_of_xen() {
        insta::assert_snapshot!(document(Driver::Xen, &spec()));
    }

    #[test]
    fn libvirt_chooses_the_firmware_of_uefi() {
        let uefi = document(Driver::Qemu, &spec().boot(Boot::Uefi));
        assert!(
            uefi.contains("<os firmware=\"efi\">") && uefi.contains("<boot dev=\"hd\""),
            "{uefi}"
        );
        assert!(!document(Driver::Qemu, &spec().boot(Boot::Disk)).contains("firmware"));
    }

    #[test]
    fn domains_of_the_driver_for_tests() {
        insta::assert_snapshot!(document(Driver::Test, &spec().boot(Boot::Disk)));
    }

    #[test]
    fn a_kind_that_the_driver_has_not_is_refused_with_its_reason() {
        let facts = facts(Driver::Qemu);
        let spec = spec().kind(GuestKind::Pv);
        let uuid = Uuid::from_u128(7);
        let result =
            Definition::from_spec(&spec, &entry(), &facts, &facts.abilities(), uuid, "/f", None);
        let error = result.unwrap_err().to_string();
        assert_eq!(error, "pv is not supported by libvirt: QEMU runs no Xen guests");
    }
}
