//! vCPUs and memory.

use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::ErrorNumber;
use virt_sys as sys;
use xenrt_core::model::{Ability, Memory};
use xenrt_core::{Error, ToolstackErrorKind};

use super::Request;
use crate::connection::Failure;
use crate::driver::Driver;
use crate::error::{TOOLSTACK, not_understood};
use crate::xml::{Domain, DomainKind, Made};

impl Request {
    /// Of a halted guest whose maximum is what it has, the maximum follows in both directions, but
    /// not below the one that was chosen for it: QEMU starts a guest with its maximum, and only the
    /// guest's own driver gives back what is too much.
    pub(super) fn set_memory(
        &self,
        connect: &Connect,
        domain: &VirtDomain,
        memory: Memory,
    ) -> Result<(), Failure> {
        let (active, kib, info) = (domain.is_active()?, memory.as_kib(), domain.get_info()?);
        if active && kib > info.max_mem {
            let all = Memory::kib(self.host_memory(connect)?);
            let most = Memory::kib(info.max_mem);
            let (kind, message) = match memory > all {
                true => (ToolstackErrorKind::OutOfMemory, format!("the host has {all}")),
                false => (
                    ToolstackErrorKind::InvalidConfiguration,
                    format!("while it runs it can have {most}, its maximum"),
                ),
            };
            return Err(self.refuse(kind, message));
        }
        if !active && (kib > info.max_mem || info.memory == info.max_mem) {
            let most = sys::VIR_DOMAIN_MEM_CONFIG | sys::VIR_DOMAIN_MEM_MAXIMUM;
            let chosen = self.chosen_maximum(domain)?.unwrap_or(0);
            domain.set_memory_flags(kib.max(chosen), most)?;
        }
        // The driver for tests does not take both at once.
        if active {
            domain.set_memory_flags(kib, sys::VIR_DOMAIN_MEM_LIVE)?;
        }
        if domain.is_persistent()? {
            domain.set_memory_flags(kib, sys::VIR_DOMAIN_MEM_CONFIG)?;
        }
        Ok(())
    }

    /// Changes the vCPUs in the definition of a halted domain.
    fn define_with_vcpus(
        &self,
        connect: &Connect,
        domain: &VirtDomain,
        vcpus: u32,
    ) -> Result<(), Failure> {
        let flags = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
        let most = vcpus.max(
            domain.get_vcpus_flags(sys::VIR_DOMAIN_VCPU_CONFIG | sys::VIR_DOMAIN_VCPU_MAXIMUM)?,
        );
        let mut document = self.parsed(&domain.get_xml_desc(flags)?)?;
        let element = document.child_mut("vcpu");
        element.set_text(most.to_string());
        element.set_attribute("current", vcpus.to_string());
        VirtDomain::define_xml(connect, &document.to_xml())?;
        Ok(())
    }

    /// In KiB; `None` where none was chosen, or somebody else made the guest.
    fn chosen_maximum(&self, domain: &VirtDomain) -> Result<Option<u64>, Failure> {
        let document = domain.get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?;
        let made = Made::of(&self.parsed(&document)?)
            .map_err(|error| not_understood(&format!("the document of {}", self.object), &error))?;
        Ok(made.and_then(|made| made.max_memory_kib))
    }

    pub(super) fn set_vcpus(
        &self,
        connect: &Connect,
        domain: &VirtDomain,
        vcpus: u32,
    ) -> Result<(), Failure> {
        let active = domain.is_active()?;
        // libvirt's Xen driver sets no more vCPUs than there are processors (libvirt,
        // src/libxl/libxl_driver.c, libxlDomainSetVcpusFlags), and starts guests with more.
        if self.driver == Driver::Xen {
            let processors = connect.get_max_vcpus(None)?;
            if vcpus > processors && active {
                return Err(cannot_set_vcpus(format!(
                    "libvirt gives a guest of Xen that runs no more vCPUs than its host has \
                     processors ({processors}); a halted one can be set to more"
                )));
            }
            if vcpus > processors {
                return self.define_with_vcpus(connect, domain, vcpus);
            }
        }
        let (config, maximum) = (sys::VIR_DOMAIN_VCPU_CONFIG, sys::VIR_DOMAIN_VCPU_MAXIMUM);
        if !active && vcpus > domain.get_vcpus_flags(config | maximum)? {
            domain.set_vcpus_flags(vcpus, config | maximum)?;
        }
        if active && vcpus < domain.get_info()?.nr_virt_cpu {
            require_removable_vcpus(domain)?;
        }
        if active {
            match domain.set_vcpus_flags(vcpus, sys::VIR_DOMAIN_VCPU_LIVE) {
                // The guest was asked and takes longer to let one go than libvirt waits.
                Err(error) if error.code() == ErrorNumber::OperationTimeout => {}
                result => result.map(drop)?,
            }
        }
        if domain.is_persistent()? {
            // What the guest has from its start, it can let go too.
            let removable =
                if self.driver == Driver::Qemu { sys::VIR_DOMAIN_VCPU_HOTPLUGGABLE } else { 0 };
            domain.set_vcpus_flags(vcpus, config | removable)?;
        }
        Ok(())
    }
}

/// Why a vCPU of a running guest that is emulated cannot be taken away.
const KEEPS_VCPUS: &str = "QEMU that emulates a processor never tells libvirt that a vCPU which its \
     guest let go is gone (no DEVICE_DELETED), so that libvirt would count one too many; with KVM \
     it can be taken away";

/// That vCPUs of an active domain can be taken away. Blocks.
fn require_removable_vcpus(domain: &VirtDomain) -> Result<(), Failure> {
    let document = Domain::parse(&domain.get_xml_desc(0)?)
        .map_err(|error| not_understood("the document of a domain", &error))?;
    if document.kind != DomainKind::Qemu {
        return Ok(());
    }
    Err(cannot_set_vcpus(KEEPS_VCPUS.to_owned()))
}

fn cannot_set_vcpus(reason: String) -> Failure {
    Failure::Own(Error::Unsupported {
        toolstack: TOOLSTACK.to_owned(),
        ability: Ability::VcpuHotplug,
        reason: Some(reason),
    })
}
