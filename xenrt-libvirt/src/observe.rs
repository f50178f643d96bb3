//! One look at domains: what libvirt says of them, understood.

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::{Error as VirtError, ErrorNumber};
use virt_sys as sys;
use xenrt_core::model::{
    Disk, DomainView, ExpectedGuest, GuestKind, GuestView, MacAddress, Memory, PowerState, Vif,
};
use xenrt_core::{Error, Result};

use crate::connection::Failure;
use crate::definition;
use crate::driver::Driver;
use crate::error::not_understood;
use crate::sys::NodeMemory;
use crate::xml::{Domain, Element, Made, XmlError};

/// A guest as libvirt describes it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) power: PowerState,
    /// Its document: of the domain where it has one, else of its next start.
    xml: String,
    /// The document of its next start, of a domain whose own one may not say what it should have.
    next: Option<String>,
}

/// The power state of a domain. Blocks.
pub(crate) fn power(domain: &VirtDomain) -> Result<PowerState, VirtError> {
    let (state, reason) = domain.get_state()?;
    Ok(match state {
        sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED | sys::VIR_DOMAIN_NOSTATE => {
            PowerState::Running
        }
        sys::VIR_DOMAIN_PAUSED if reason == sys::VIR_DOMAIN_PAUSED_CRASHED as i32 => {
            PowerState::Crashed
        }
        sys::VIR_DOMAIN_PAUSED | sys::VIR_DOMAIN_PMSUSPENDED => PowerState::Paused,
        sys::VIR_DOMAIN_CRASHED => match domain.is_active()? {
            true => PowerState::Crashed,
            false => PowerState::Halted,
        },
        sys::VIR_DOMAIN_SHUTDOWN => PowerState::Dying,
        // libxl's driver calls a domain shut off while it still removes it, and one that crashed
        // and is kept for a look.
        sys::VIR_DOMAIN_SHUTOFF if domain.is_active()? => {
            let crashed = reason == sys::VIR_DOMAIN_SHUTOFF_CRASHED as i32;
            match crashed && stays_after_crash(domain)? {
                true => PowerState::Crashed,
                false => PowerState::Dying,
            }
        }
        _ if has_saved_memory(domain)? => PowerState::Suspended,
        _ => PowerState::Halted,
    })
}

/// Whether the domain of a guest that crashes is kept.
fn stays_after_crash(domain: &VirtDomain) -> Result<bool, VirtError> {
    let document = Domain::parse(&domain.get_xml_desc(0)?);
    Ok(document.is_ok_and(|own| own.on_crash.as_deref() == Some("preserve")))
}

/// Whether libvirt keeps the memory of a domain (managed save). What a daemon that died had not yet
/// written whole is none: libvirt lists it, and does not go on from it.
pub(crate) fn has_saved_memory(domain: &VirtDomain) -> Result<bool, VirtError> {
    Ok(has_saved_file(domain)? && crate::sys::saved_memory_is_whole(domain)?)
}

fn has_saved_file(domain: &VirtDomain) -> Result<bool, VirtError> {
    match domain.has_managed_save(0) {
        Err(error) if error.code() == ErrorNumber::NoSupport => Ok(false),
        result => result,
    }
}

/// Removes what libvirt keeps of the memory of a domain, if it keeps any. Blocks.
pub(crate) fn remove_saved_memory(domain: &VirtDomain) -> Result<(), VirtError> {
    if has_saved_file(domain)? { domain.managed_save_remove(0).map(drop) } else { Ok(()) }
}

/// Looks at a domain. Blocks.
pub(crate) fn look(domain: &VirtDomain) -> Result<Seen, Failure> {
    let power = power(domain)?;
    let xml = domain.get_xml_desc(0)?;
    // QEMU starts a guest with the most memory that it can have, and says so until the guest's own
    // driver has given back what is too much. Both documents are set together.
    let gives_back =
        ["qemu", "kvm"].iter().any(|own| xml.contains(&format!("<domain type='{own}'")));
    let next = match gives_back && power.has_domain() && domain.is_persistent()? {
        true => Some(domain.get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?),
        false => None,
    };
    Ok(Seen { uuid: domain.get_uuid()?, name: domain.get_name()?, power, xml, next })
}

/// A domain by its identity. Blocks.
pub(crate) fn find(connect: &Connect, uuid: Uuid) -> Result<VirtDomain, VirtError> {
    VirtDomain::lookup_by_uuid(connect, uuid)
}

/// Whether the hypervisor has it, as one that is in this state. Blocks.
pub(crate) fn has_domain(domain: &VirtDomain, power: PowerState) -> bool {
    power.has_domain() && domain.get_id().is_some()
}

/// What the hypervisor has of an active domain; `None` where it is not active. Blocks.
pub(crate) fn domain(domain: &VirtDomain) -> Result<Option<DomainView>, VirtError> {
    let Some(domid) = domain.get_id() else { return Ok(None) };
    let info = domain.get_info()?;
    let power = power(domain)?;
    if !power.has_domain() {
        return Ok(None);
    }
    Ok(Some(DomainView {
        domid,
        name: domain.get_name()?,
        uuid: Some(domain.get_uuid()?),
        power,
        vcpus: info.nr_virt_cpu,
        memory: Memory::kib(info.memory),
        cpu_seconds: info.cpu_time as f64 / 1e9,
    }))
}

/// The memory of the host, in KiB, as far as each driver makes it known. Blocks.
pub(crate) fn host_memory(connect: &Connect, driver: Driver) -> Result<NodeMemory, VirtError> {
    let node = || Ok(connect.get_node_info()?.memory);
    Ok(match driver {
        Driver::Xen => NodeMemory { total: node()?, available: connect.get_free_memory()? >> 10 },
        // Nothing but guests uses the memory of the driver for tests.
        Driver::Test => NodeMemory { total: node()?, available: node()? },
        Driver::Qemu => crate::sys::node_memory(connect)?,
    })
}

/// All active domains. Where the hypervisor has no control domain, the host itself, which does what
/// a control domain does, stands for it as number 0. Blocks.
pub(crate) fn domains(connect: &Connect, driver: Driver) -> Result<Vec<DomainView>, VirtError> {
    let mut views = Vec::new();
    if driver != Driver::Xen {
        let node = connect.get_node_info()?;
        let cpu = crate::sys::node_cpu_time(connect).unwrap_or_default();
        views.push(DomainView {
            domid: 0,
            name: connect.get_hostname()?,
            uuid: None,
            power: PowerState::Running,
            vcpus: node.cpus,
            memory: Memory::kib(node.memory),
            cpu_seconds: cpu.as_secs_f64(),
        });
    }
    for one in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)? {
        match domain(&one) {
            Ok(view) => views.extend(view),
            // It went while the others were looked at.
            Err(error) if error.code() == ErrorNumber::NoDomain => {}
            Err(error) => return Err(error),
        }
    }
    views.sort_by_key(|view| view.domid);
    Ok(views)
}

/// All guests: every domain but the control domain. Blocks.
pub(crate) fn guests(connect: &Connect) -> Result<Vec<Seen>, Failure> {
    let mut seen = Vec::new();
    for one in connect.list_all_domains(0)? {
        if one.get_id() == Some(0) {
            continue;
        }
        match look(&one) {
            Ok(own) => seen.push(own),
            Err(Failure::Libvirt(error)) if error.code() == ErrorNumber::NoDomain => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

/// What is known of a guest from its document alone.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) kind: GuestKind,
    pub(crate) made: Option<Made>,
}

impl Seen {
    fn wrong(&self, error: &XmlError) -> Error {
        not_understood(&format!("the document of guest {:?}", self.name), error)
    }

    /// As the object model has it.
    pub(crate) fn view(&self) -> Result<GuestView> {
        self.view_of(&Domain::parse(&self.xml).map_err(|error| self.wrong(&error))?)
    }

    fn view_of(&self, domain: &Domain) -> Result<GuestView> {
        let mut vifs = Vec::new();
        for (index, vif) in (0..).zip(&domain.devices.interfaces) {
            vifs.push(Vif {
                index,
                mac: vif.mac().map_err(|error| self.wrong(&error))?,
                network: vif.network().to_owned(),
            });
        }
        let disks = domain.devices.disks.iter().map(|disk| Disk {
            device: disk.target.dev.clone(),
            path: disk.path().to_owned(),
            read_only: disk.is_read_only(),
        });
        Ok(GuestView {
            power: self.power,
            vcpus: domain.vcpu.current.unwrap_or(domain.vcpu.most),
            max_vcpus: domain.vcpu.most,
            memory: match &self.next {
                Some(next) => Domain::parse(next).and_then(|next| next.current_memory()),
                None => domain.current_memory(),
            }
            .map_err(|error| self.wrong(&error))?,
            disks: disks.collect(),
            vifs,
        })
    }

    /// The interface of the host behind the VIF `mac` of its domain.
    pub(crate) fn backend(&self, mac: MacAddress) -> Result<String> {
        if !self.power.has_domain() {
            return Err(Error::wrong_state(
                self.name.as_str(),
                "find the interface behind a VIF of",
                self.power,
                &[PowerState::Running, PowerState::Paused],
            ));
        }
        let domain = Domain::parse(&self.xml).map_err(|error| self.wrong(&error))?;
        let vifs = &domain.devices.interfaces;
        let own = vifs.iter().find(|own| own.mac().is_ok_and(|own| own == mac));
        let target = own.and_then(|own| own.target.as_ref());
        target.map(|target| target.dev.clone()).ok_or_else(|| Error::NotFound {
            kind: "interface of the host behind a VIF",
            name: mac.to_string(),
            known: vifs.iter().filter_map(|own| Some(own.target.as_ref()?.dev.clone())).collect(),
        })
    }

    /// As the object model has it, and what it was made as.
    pub(crate) fn view_and_origin(&self) -> Result<(GuestView, Origin)> {
        let domain = Domain::parse(&self.xml).map_err(|error| self.wrong(&error))?;
        let tree = Element::parse(&self.xml).map_err(|error| self.wrong(&error))?;
        let made = Made::of(&tree).map_err(|error| self.wrong(&error))?;
        let origin = Origin { kind: definition::kind_of_domain(&domain), made };
        Ok((self.view_of(&domain)?, origin))
    }
}

/// What a guest should be when `view` is how it is.
pub(crate) fn expected(view: GuestView, address: Option<std::net::IpAddr>) -> ExpectedGuest {
    ExpectedGuest {
        power: view.power,
        vcpus: view.vcpus,
        memory: view.memory,
        disks: view.disks,
        vifs: view.vifs,
        address,
        reachable: false,
    }
}
