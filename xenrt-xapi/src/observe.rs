//! Looking at VMs: what is asked for, and what is made of the answers.

use std::collections::HashMap;
use std::net::IpAddr;

use uuid::Uuid;
use xenrt_core::model::{
    Disk, DomainView, GuestKind, GuestView, MacAddress, Memory, PowerState, Vif,
};
use xenrt_core::{Error, Result};

use crate::parse::{Record, not_understood, records, values};
use crate::tokens;
use crate::xe::XeCommand;

/// The fields that make a [`Vm`].
const VM_FIELDS: &[&str] = &[
    "uuid",
    "name-label",
    "power-state",
    "memory-actual",
    "memory-static-max",
    "memory-dynamic-max",
    "memory-static-min",
    "VCPUs-max",
    "VCPUs-at-startup",
    "VCPUs-number",
    "domain-type",
    "HVM-boot-policy",
    "resident-on",
    "affinity",
    "other-config",
    "dom-id",
    "VBDs",
];

/// A VM as xapi lists it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vm {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) power: PowerState,
    pub(crate) vcpus: u32,
    pub(crate) max_vcpus: u32,
    pub(crate) memory: Memory,
    pub(crate) static_max: Memory,
    pub(crate) static_min: Memory,
    /// What the hypervisor gave it, where xapi says so.
    actual: Memory,
    pub(crate) kind: GuestKind,
    pub(crate) resident_on: Option<Uuid>,
    /// The host that it prefers.
    affinity: Option<Uuid>,
    domid: Option<u32>,
    pub(crate) image: Option<String>,
    /// What its creator alone knew while it was made.
    pub(crate) token: Option<String>,
    /// Its VBDs.
    pub(crate) vbds: Vec<Uuid>,
}

/// One VBD of a VM with a disk; drives for CDs have none of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vbd {
    pub(crate) uuid: Uuid,
    /// Whether it is a disk, no CD.
    pub(crate) is_disk: bool,
    /// The device as the guest names it: `xvda`.
    pub(crate) device: String,
    pub(crate) vdi: Option<Uuid>,
    pub(crate) read_only: bool,
    pub(crate) attached: bool,
    /// Whether the disk was there before the guest and stays when it goes.
    pub(crate) keep: bool,
}

/// The key in `other-config` of a VM for the image that it was made from.
pub(crate) const IMAGE: &str = "xenrt-image";
/// The key in `other-config` of a VBD whose disk must stay.
pub(crate) const KEEP: &str = "xenrt-keep";

/// Asks for one VM.
pub(crate) fn vm(uuid: Uuid) -> XeCommand {
    XeCommand::new("vm-list").uuid(uuid).fields(VM_FIELDS)
}

/// Asks for all VMs but the control domains.
pub(crate) fn vms() -> XeCommand {
    XeCommand::new("vm-list").param("is-control-domain", "false").fields(VM_FIELDS)
}

/// Asks for all VMs, control domains included.
pub(crate) fn vms_everywhere() -> XeCommand {
    XeCommand::new("vm-list").fields(VM_FIELDS)
}

/// Asks for the power state and the addresses of one VM.
pub(crate) fn addresses(uuid: Uuid) -> XeCommand {
    XeCommand::new("vm-list").uuid(uuid).fields(&["power-state", "networks"])
}

/// Asks for the VBDs of a VM.
pub(crate) fn vbds(vm: Uuid) -> XeCommand {
    vbds_of(|list| list.param("vm-uuid", vm.to_string()))
}

/// Asks for the VBDs of the VM that `named` adds, or of all.
pub(crate) fn vbds_of(named: impl FnOnce(XeCommand) -> XeCommand) -> XeCommand {
    named(XeCommand::new("vbd-list")).fields(&[
        "uuid",
        "vdi-uuid",
        "userdevice",
        "mode",
        "type",
        "currently-attached",
        "other-config",
        "vm-uuid",
    ])
}

/// Asks for the VIFs of a VM.
pub(crate) fn vifs(vm: Uuid) -> XeCommand {
    vifs_of(|list| list.param("vm-uuid", vm.to_string()))
}

/// Asks for the VIFs of the VM that `named` adds, or of all.
pub(crate) fn vifs_of(named: impl FnOnce(XeCommand) -> XeCommand) -> XeCommand {
    let fields = ["uuid", "device", "MAC", "network-uuid", "vm-uuid"];
    named(XeCommand::new("vif-list")).fields(&fields)
}

/// The VMs in an answer.
pub(crate) fn read_vms(text: &str) -> Result<Vec<Vm>> {
    records(text).map(|record| Vm::read(&record?)).collect()
}

/// The power state that xapi prints.
pub(crate) fn power(text: &str) -> Result<PowerState> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "halted" => PowerState::Halted,
        "running" => PowerState::Running,
        "paused" => PowerState::Paused,
        "suspended" => PowerState::Suspended,
        "crashed" => PowerState::Crashed,
        _ => {
            let expected = "halted, running, paused or suspended";
            return Err(not_understood("the field power-state", expected, text));
        }
    })
}

/// The power state and, where an agent reports it, the address of VIF 0; nothing where there is no
/// such VM.
pub(crate) fn read_addresses(text: &str) -> Result<Option<(PowerState, Option<IpAddr>)>> {
    let Some(record) = records(text).next().transpose()? else { return Ok(None) };
    let state = power(record.require("power-state")?)?;
    let networks = record.get("networks").map(values::map).unwrap_or_default();
    // Of an older agent there is only `0/ip`; of one for IPv6 alone only `0/ipv6/0`.
    let keys = ["0/ip", "0/ipv4/0", "0/ipv6/0"];
    let address = keys.iter().find_map(|key| networks.get(key)?.parse::<IpAddr>().ok());
    let usable = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    Ok(Some((state, address.filter(usable))))
}

/// The VBDs in an answer.
pub(crate) fn read_vbds(text: &str) -> Result<Vec<Vbd>> {
    let mut vbds: Vec<Vbd> = records(text).map(|record| vbd(&record?)).collect::<Result<_>>()?;
    sort_vbds(&mut vbds);
    Ok(vbds)
}

/// The VBDs in an answer by their VMs.
pub(crate) fn read_vbds_by_vm(text: &str) -> Result<HashMap<Uuid, Vec<Vbd>>> {
    let mut by_vm: HashMap<Uuid, Vec<Vbd>> = HashMap::new();
    for record in records(text) {
        let record = record?;
        by_vm.entry(record.parse("vm-uuid")?).or_default().push(vbd(&record)?);
    }
    by_vm.values_mut().for_each(|vbds| sort_vbds(vbds));
    Ok(by_vm)
}

fn sort_vbds(vbds: &mut [Vbd]) {
    vbds.sort_by(|a, b| (a.device.len(), &a.device).cmp(&(b.device.len(), &b.device)));
}

fn vbd(record: &Record<'_>) -> Result<Vbd> {
    Ok(Vbd {
        uuid: record.parse("uuid")?,
        is_disk: record.require("type")?.eq_ignore_ascii_case("disk"),
        device: crate::disks::device_name(record.parse("userdevice")?),
        vdi: record.get("vdi-uuid").and_then(|uuid| uuid.parse().ok()),
        read_only: record.require("mode")?.eq_ignore_ascii_case("ro"),
        attached: record.get("currently-attached") == Some("true"),
        keep: record
            .get("other-config")
            .is_some_and(|config| values::map(config).contains_key(KEEP)),
    })
}

/// A VIF with its UUID.
pub(crate) type Known = (Uuid, Vif);

/// The VIFs in an answer, with their UUIDs, and their networks as `name_of` calls them.
pub(crate) fn read_vifs(text: &str, name_of: &dyn Fn(Uuid) -> String) -> Result<Vec<Known>> {
    let mut vifs: Vec<Known> =
        records(text).map(|record| vif(&record?, name_of)).collect::<Result<_>>()?;
    vifs.sort_by_key(|(_, vif)| vif.index);
    Ok(vifs)
}

/// The VIFs in an answer by their VMs.
pub(crate) fn read_vifs_by_vm(
    text: &str,
    name_of: &dyn Fn(Uuid) -> String,
) -> Result<HashMap<Uuid, Vec<Known>>> {
    let mut by_vm: HashMap<Uuid, Vec<Known>> = HashMap::new();
    for record in records(text) {
        let record = record?;
        by_vm.entry(record.parse("vm-uuid")?).or_default().push(vif(&record, name_of)?);
    }
    by_vm.values_mut().for_each(|vifs| vifs.sort_by_key(|(_, vif)| vif.index));
    Ok(by_vm)
}

fn vif(record: &Record<'_>, name_of: &dyn Fn(Uuid) -> String) -> Result<Known> {
    let mac: MacAddress = record.parse("MAC")?;
    let network = record.parse("network-uuid").map(name_of)?;
    Ok((record.parse("uuid")?, Vif { index: record.parse("device")?, mac, network }))
}

impl Vm {
    fn read(record: &Record<'_>) -> Result<Self> {
        let power = power(record.require("power-state")?)?;
        let bytes = |name: &str| record.parse(name).map(Memory::bytes);
        let at_startup = record.parse("VCPUs-at-startup")?;
        let now: u32 = record.get("VCPUs-number").and_then(|n| n.parse().ok()).unwrap_or(0);
        let config = record.get("other-config").map(values::map).unwrap_or_default();
        Ok(Self {
            uuid: record.parse("uuid")?,
            name: record.require("name-label")?.to_owned(),
            power,
            vcpus: if power.has_domain() && now > 0 { now } else { at_startup },
            max_vcpus: record.parse("VCPUs-max")?,
            memory: bytes("memory-dynamic-max")?,
            static_max: bytes("memory-static-max")?,
            static_min: bytes("memory-static-min")?,
            actual: Memory::bytes(
                record.get("memory-actual").and_then(|text| text.parse().ok()).unwrap_or(0),
            ),
            kind: kind(record),
            resident_on: record.get("resident-on").and_then(|uuid| uuid.parse().ok()),
            affinity: record.get("affinity").and_then(|uuid| uuid.parse().ok()),
            domid: record.get("dom-id").and_then(|id| id.parse().ok()),
            image: config.get(IMAGE).cloned(),
            token: config.get(tokens::TOKEN).cloned(),
            vbds: values::set(record.get("VBDs").unwrap_or(""))
                .into_iter()
                .map(|uuid| {
                    uuid.parse().map_err(|_| not_understood("the field VBDs", "UUIDs", uuid))
                })
                .collect::<Result<_>>()?,
        })
    }

    /// Whether it is of this host: it runs there, or runs nowhere and prefers no other.
    pub(crate) fn is_of(&self, host: Uuid) -> bool {
        self.resident_on.or(self.affinity).is_none_or(|own| own == host)
    }

    /// As the core shows it.
    pub(crate) fn view(&self, vbds: &[Vbd], vifs: &[(Uuid, Vif)]) -> GuestView {
        GuestView {
            power: self.power,
            vcpus: self.vcpus,
            max_vcpus: self.max_vcpus,
            memory: self.memory,
            disks: disks(vbds),
            vifs: vifs.iter().map(|(_, vif)| vif.clone()).collect(),
        }
    }

    /// The domain that xapi says it has, for hosts whose hypervisor cannot be asked itself.
    pub(crate) fn domain(&self) -> Option<DomainView> {
        let domid = self.domid.filter(|_| self.power.has_domain())?;
        // A host that does not measure says 0.
        let memory = if self.actual.as_bytes() > 0 { self.actual } else { self.memory };
        Some(DomainView {
            domid,
            name: self.name.clone(),
            uuid: Some(self.uuid),
            power: self.power,
            vcpus: self.vcpus,
            memory,
            cpu_seconds: 0.0,
        })
    }
}

/// The disks among VBDs, as the core shows them.
pub(crate) fn disks(vbds: &[Vbd]) -> Vec<Disk> {
    vbds.iter().filter(|vbd| vbd.is_disk).map(Vbd::disk).collect()
}

impl Vbd {
    fn disk(&self) -> Disk {
        Disk {
            device: self.device.clone(),
            path: self.vdi.map(|uuid| uuid.to_string()).unwrap_or_default(),
            read_only: self.read_only,
        }
    }
}

fn kind(record: &Record<'_>) -> GuestKind {
    let policy = record.get("HVM-boot-policy").unwrap_or_default();
    match record.get("domain-type") {
        Some("pvh") => GuestKind::Pvh,
        Some("hvm") => GuestKind::Hvm,
        Some("pv" | "pv-in-pvh") => GuestKind::Pv,
        _ if policy.is_empty() => GuestKind::Pv,
        _ => GuestKind::Hvm,
    }
}

/// Understands `xl list -v`, the hypervisor's own view where dom0 has it. Names may hold anything,
/// so each line is read from its end.
pub(crate) fn read_domains(text: &str) -> Result<Vec<DomainView>> {
    let mut lines = text.lines();
    match lines.next() {
        Some(heading) if heading.starts_with("Name ") && heading.contains("UUID") => {}
        other => {
            let expected = "its heading with Name and UUID";
            return Err(not_understood("xl list -v", expected, other.unwrap_or("nothing")));
        }
    }
    lines.filter(|line| !line.trim().is_empty()).map(domain).collect()
}

fn domain(line: &str) -> Result<DomainView> {
    let wrong = || -> Error {
        let expected = "name, ID, memory, vCPUs, state, time, UUID, reason code, security label";
        not_understood("xl list -v", expected, line)
    };
    let mut rest = line;
    let mut last_word = || -> Option<&str> {
        rest = rest.trim_end();
        let start = rest
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        let word = &rest[start..];
        rest = &rest[..start];
        (!word.is_empty()).then_some(word)
    };
    let _label = last_word().ok_or_else(wrong)?;
    let _reason = last_word().ok_or_else(wrong)?;
    let uuid: Uuid = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let cpu_seconds = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let flags = last_word().filter(|flags| flags.len() == 6).ok_or_else(wrong)?;
    let vcpus = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let memory = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let domid = last_word().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
    let name = rest.trim_end().to_owned();
    let power = match flags {
        flags if flags.contains('d') => PowerState::Dying,
        flags if flags.contains('c') => PowerState::Crashed,
        flags if flags.contains('s') => PowerState::Dying,
        flags if flags.contains('p') => PowerState::Paused,
        _ => PowerState::Running,
    };
    Ok(DomainView {
        domid,
        name,
        uuid: (!uuid.is_nil()).then_some(uuid),
        power,
        vcpus,
        memory: Memory::mib(memory),
        cpu_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_those_of_the_first_vif() {
        let text = |networks: &str| {
            format!("power-state ( RO)    : running\n       networks (MRO): {networks}\n\n\n")
        };
        let address = |networks: &str| read_addresses(&text(networks)).unwrap().unwrap().1;
        let both = "0/ipv6/0: fe80::5054:ff:fe00:101; 1/ip: 192.0.2.102; 0/ip: 192.0.2.101";
        assert_eq!(address(both), Some("192.0.2.101".parse().unwrap()));
        assert_eq!(address("0/ipv6/0: 2001:db8::1"), Some("2001:db8::1".parse().unwrap()));
        for none in ["", "1/ip: 192.0.2.102", "0/ip: 169.254.1.1", "0/ipv6/0: fe80::1", "0/ip: x"] {
            assert_eq!(address(none), None, "{none}");
        }
        assert_eq!(read_addresses("").unwrap(), None);
        let halted =
            "power-state ( RO)    : halted\n       networks (MRO): <not in database>\n\n\n";
        assert_eq!(read_addresses(halted).unwrap(), Some((PowerState::Halted, None)));
    }

    #[test]
    fn states_that_were_never_seen_are_refused() {
        assert!(power("hibernating").unwrap_err().to_string().contains("hibernating"));
        assert_eq!(power("Running").unwrap(), PowerState::Running);
    }

    #[test]
    fn the_hypervisors_list_is_read_from_the_end() {
        let text = "Name  ID   Mem VCPUs\tState\tTime(s) UUID Reason-Code Security Label\n\
                    a  b (c)  7  256     2     --p---      1.5 3ae0c1a1-5cc8-4beb-b648-2eab78dffecc \
                    -  -\n";
        let domains = read_domains(text).unwrap();
        assert_eq!((domains[0].name.as_str(), domains[0].domid), ("a  b (c)", 7));
        assert_eq!(domains[0].power, PowerState::Paused);
        assert!(read_domains("xl: not found\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String) {
            let record = format!("uuid ( RO)    : {text}\n");
            let _ = (read_vms(&text).is_ok(), read_vms(&record).is_ok());
            let _ = (read_vbds(&record).is_ok(), read_vifs(&record, &|uuid| uuid.to_string()).is_ok());
            let _ = read_domains(&format!("Name UUID\n{text}")).is_ok();
        }
    }
}
