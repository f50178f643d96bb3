//! Carrying out requests.

mod resources;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::{Error as VirtError, ErrorNumber};
use virt_sys as sys;
use xenrt_core::model::{Afterwards, GuestAction, Memory, PowerState};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::Failure;
use crate::driver::Driver;
use crate::error::{not_understood, refusal};
use crate::guest::GuestShared;
use crate::host::LibvirtHost;
use crate::observe;
use crate::settle::{is_interrupted, settle};
use crate::xml::{Domain, Element};
use crate::{define, devices};

/// Passes `action` to libvirt.
pub(crate) async fn carry_out(
    host: &LibvirtHost,
    guest: &GuestShared,
    action: &GuestAction,
) -> Result<()> {
    match action {
        GuestAction::AttachDisk(spec) => devices::attach_disk(host, guest, spec).await,
        GuestAction::DetachDisk(name) => devices::detach_disk(host, guest, name).await,
        GuestAction::AttachVif(spec) => devices::attach_vif(host, guest, spec).await,
        GuestAction::DetachVif(mac) => devices::detach_vif(host, guest, *mac).await,
        _ => pass_on(host, guest, action, Looks::None).await.map(drop),
    }
}

/// The same from a state from which it is allowed: in one call, where it is none with devices.
pub(crate) async fn carry_out_where_allowed(
    host: &LibvirtHost,
    guest: &GuestShared,
    action: &GuestAction,
) -> Result<Afterwards> {
    let with_devices = matches!(
        action,
        GuestAction::AttachDisk(_)
            | GuestAction::DetachDisk(_)
            | GuestAction::AttachVif(_)
            | GuestAction::DetachVif(_)
    );
    if with_devices {
        let seen = guest.look("look at").await?;
        action.require_allowed_from(seen.power, &seen.name)?;
        carry_out(host, guest, action).await?;
        return Ok(Afterwards::Unseen);
    }
    let looks = Looks::around(guest.name().clone());
    pass_on(host, guest, action, looks).await
}

/// Whether a request is looked around, in the same call.
#[derive(Debug, Clone)]
enum Looks {
    None,
    /// Before, at whether it is allowed for the guest, and after.
    Around {
        /// The guest's name.
        guest: String,
        /// Whether it was passed on: until then nothing was done.
        asked: Arc<AtomicBool>,
    },
}

impl Looks {
    fn around(guest: String) -> Self {
        Self::Around { guest, asked: Arc::default() }
    }

    fn was_asked(&self) -> bool {
        match self {
            Self::None => true,
            Self::Around { asked, .. } => asked.load(Ordering::Acquire),
        }
    }
}

/// Passes `action`, which is none with devices, to libvirt.
async fn pass_on(
    host: &LibvirtHost,
    guest: &GuestShared,
    action: &GuestAction,
    looks: Looks,
) -> Result<Afterwards> {
    match action {
        GuestAction::Save(path) | GuestAction::Restore(path)
            if !path.starts_with('/') || path.contains(char::is_control) =>
        {
            let problem = "expected an absolute path on the host";
            return Err(Error::invalid(format!("file {path:?}"), problem));
        }
        _ => {}
    }
    let deadlines = &host.shared.entry.deadlines;
    let deadline = match action {
        GuestAction::Suspend
        | GuestAction::Resume
        | GuestAction::Save(_)
        | GuestAction::Restore(_) => deadlines.suspend,
        _ => deadlines.command,
    };
    let request = Request {
        driver: host.shared.facts.driver,
        uuid: guest.uuid,
        object: guest.object(),
        action: action.clone(),
        looks,
    };
    let object = guest.object();
    let own = request.clone();
    let done = host.shared.call_within(deadline, action.verb(), &object, move |c| own.run(c)).await;
    let done = match done {
        Err(lost) if is_interrupted(&lost) && request.looks.was_asked() => {
            settle(host, request, lost).await?
        }
        done => done?,
    };
    let after = match &done {
        Done::All { after } => *after,
        Done::Deleted { gone: true, .. } => Afterwards::Gone,
        Done::Deleted { .. } => Afterwards::Unseen,
    };
    match (action, done) {
        (GuestAction::Rename(name), _) => guest.renamed(name),
        (GuestAction::Delete, Done::Deleted { has_files, .. }) => {
            host.shared.forget(guest.uuid);
            // Its address is kept there too.
            if has_files || guest.address.is_some() || guest.may_have_snapshots() {
                define::remove_files(host, guest.uuid, &object).await?;
            }
        }
        _ => {}
    }
    Ok(after)
}

/// What came of a request.
pub(crate) enum Done {
    /// All that there was to do.
    All {
        /// What was seen then.
        after: Afterwards,
    },
    /// The domain is not defined any more.
    Deleted {
        /// Whether it may have files in its folder.
        has_files: bool,
        /// Whether it was looked for then, and not found.
        gone: bool,
    },
}

/// A request, for the thread that carries it out.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    driver: Driver,
    pub(crate) uuid: Uuid,
    pub(crate) object: String,
    pub(crate) action: GuestAction,
    looks: Looks,
}

impl Request {
    fn refuse(&self, kind: ToolstackErrorKind, message: impl Into<String>) -> Failure {
        refusal(kind, self.action.verb(), &self.object, message).into()
    }

    /// All memory of the host, in KiB.
    fn host_memory(&self, connect: &Connect) -> Result<u64, VirtError> {
        Ok(observe::host_memory(connect, self.driver)?.total)
    }

    pub(crate) fn run(&self, connect: &Connect) -> Result<Done, Failure> {
        let domain = observe::find(connect, self.uuid)?;
        if let Looks::Around { guest, asked } = &self.looks {
            self.action.require_allowed_from(observe::power(&domain)?, guest)?;
            asked.store(true, Ordering::Release);
        }
        match &self.action {
            GuestAction::Start => self.start(connect, &domain, false)?,
            GuestAction::StartPaused => self.start(connect, &domain, true)?,
            GuestAction::Shutdown => domain.shutdown().map(drop)?,
            GuestAction::PowerOff => self.power_off(&domain)?,
            GuestAction::Reboot => {
                self.driver.require_running_code()?;
                domain.reboot(0)?;
            }
            GuestAction::Reset => {
                domain.destroy()?;
                self.start(connect, &domain, false)?;
            }
            GuestAction::Pause => domain.suspend().map(drop)?,
            GuestAction::Unpause => domain.resume().map(drop)?,
            GuestAction::Suspend => domain.managed_save(0).map(drop)?,
            GuestAction::Resume => {
                if !observe::has_saved_memory(&domain)? {
                    let kind = ToolstackErrorKind::BadState;
                    return Err(self.refuse(kind, "its memory is not saved"));
                }
                domain.create()?;
            }
            GuestAction::Save(path) => crate::sys::save(&domain, path)?,
            GuestAction::Restore(path) => self.restore(connect, &domain, path)?,
            GuestAction::Delete => return self.delete(connect, &domain),
            GuestAction::Rename(name) => self.rename(connect, &domain, name)?,
            GuestAction::SetVcpus(vcpus) => self.set_vcpus(connect, &domain, *vcpus)?,
            GuestAction::SetMemory(memory) => self.set_memory(connect, &domain, *memory)?,
            _ => {
                let message = "this version of the library does not know that request";
                return Err(self.refuse(ToolstackErrorKind::NotSupported, message));
            }
        }
        let after = match self.looks {
            Looks::None => Afterwards::Unseen,
            // It is waited for what was not seen, and that look says what is wrong.
            Looks::Around { .. } => seen_after(&domain).unwrap_or(Afterwards::Unseen),
        };
        Ok(Done::All { after })
    }

    fn start(&self, connect: &Connect, domain: &VirtDomain, paused: bool) -> Result<(), Failure> {
        if !domain.is_active()? && observe::has_saved_memory(domain)? {
            // libvirt would go on from there.
            let message = "its memory is saved; resume it, or take its power away";
            return Err(self.refuse(ToolstackErrorKind::BadState, message));
        }
        let (needed, all) = (domain.get_info()?.memory, self.host_memory(connect)?);
        if needed > all {
            let (needed, all) = (Memory::kib(needed), Memory::kib(all));
            let message = format!("it needs {needed}, and the host has {all}");
            return Err(self.refuse(ToolstackErrorKind::OutOfMemory, message));
        }
        if !paused {
            domain.create()?;
            return Ok(());
        }
        if self.driver != Driver::Test {
            domain.create_with_flags(sys::VIR_DOMAIN_START_PAUSED)?;
            return Ok(());
        }
        // The driver for tests knows no VIR_DOMAIN_START_PAUSED; nothing runs in between.
        domain.create()?;
        if let Err(error) = domain.suspend() {
            domain.destroy()?;
            return Err(error.into());
        }
        Ok(())
    }

    fn power_off(&self, domain: &VirtDomain) -> Result<(), Failure> {
        let active = domain.is_active()?;
        let saved = observe::has_saved_memory(domain)?;
        if active || !saved {
            match domain.destroy() {
                // It ended by itself in the moment before.
                Err(_) if active && !domain.is_active()? => {}
                result => result?,
            }
        }
        // That of a domain is what an interrupted suspend left; the guest is not in it.
        Ok(observe::remove_saved_memory(domain)?)
    }

    fn restore(&self, connect: &Connect, domain: &VirtDomain, path: &str) -> Result<(), Failure> {
        if domain.is_active()? {
            return Err(self.refuse(ToolstackErrorKind::BadState, "it has a domain already"));
        }
        let document = VirtDomain::save_image_get_xml_desc(connect, path, 0)?;
        let saved = Domain::parse(&document)
            .map_err(|error| not_understood(&format!("the document in {path}"), &error))?;
        if saved.uuid != self.uuid {
            let message = format!("{path} holds the memory of guest {:?}", saved.name);
            return Err(self.refuse(ToolstackErrorKind::InvalidConfiguration, message));
        }
        Ok(VirtDomain::domain_restore(connect, path)?)
    }

    fn delete(&self, connect: &Connect, domain: &VirtDomain) -> Result<Done, Failure> {
        if domain.is_active()? {
            if observe::power(domain)? != PowerState::Crashed {
                return Err(self.refuse(ToolstackErrorKind::BadState, "it has a domain"));
            }
            domain.destroy()?;
        }
        // Disks and logs in its folder, which is named by its identity.
        let document = domain.get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?;
        let has_files = document.contains(&format!("/{}/", self.uuid));
        let more = match self.driver {
            Driver::Qemu => {
                sys::VIR_DOMAIN_UNDEFINE_NVRAM | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            }
            Driver::Test => sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
            Driver::Xen => 0,
        };
        domain.undefine_flags(sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | more)?;
        let looked = match self.looks {
            Looks::None => None,
            Looks::Around { .. } => observe::find(connect, self.uuid).err(),
        };
        let gone = looked.is_some_and(|error| error.code() == ErrorNumber::NoDomain);
        Ok(Done::Deleted { has_files, gone })
    }

    fn rename(&self, connect: &Connect, domain: &VirtDomain, name: &str) -> Result<(), Failure> {
        if domain.get_name()? == name {
            return Ok(());
        }
        let renamed = match self.driver {
            Driver::Xen => self.define_as(connect, domain, name),
            Driver::Qemu | Driver::Test => domain.rename(name, 0).map(drop).map_err(Failure::from),
        };
        renamed.map_err(|error| match (VirtDomain::lookup_by_name(connect, name), error) {
            (Ok(other), Failure::Libvirt(_))
                if other.get_uuid().is_ok_and(|own| own != self.uuid) =>
            {
                let message = format!("there is a guest named {name:?} already");
                self.refuse(ToolstackErrorKind::AlreadyExists, message)
            }
            (_, error) => error,
        })
    }

    /// Its document.
    fn parsed(&self, document: &str) -> Result<Element, Failure> {
        let wrong = |error| not_understood(&format!("the document of {}", self.object), &error);
        Ok(Element::parse(document).map_err(wrong)?)
    }

    /// What libvirt's Xen driver has instead of virDomainRename: the definition of a halted domain
    /// is taken away and made anew under the other name.
    fn define_as(&self, connect: &Connect, domain: &VirtDomain, name: &str) -> Result<(), Failure> {
        // Nothing is taken away for a name that is taken.
        if VirtDomain::lookup_by_name(connect, name).is_ok() {
            let message = format!("there is a guest named {name:?} already");
            return Err(self.refuse(ToolstackErrorKind::AlreadyExists, message));
        }
        // One with a domain would live on without a definition.
        if domain.is_active()? {
            return Err(self.refuse(ToolstackErrorKind::BadState, "it has a domain"));
        }
        let starts_with_host = domain.get_autostart()?;
        let flags = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
        let before = domain.get_xml_desc(flags)?;
        let mut document = self.parsed(&before)?;
        document.child_mut("name").set_text(name);
        // One with memory that is kept is refused here.
        domain.undefine()?;
        let made = match VirtDomain::define_xml(connect, &document.to_xml()) {
            Ok(made) => made,
            Err(error) => {
                VirtDomain::define_xml(connect, &before).inspect_err(|lost| {
                    tracing::error!(%lost, before, "the definition of a guest is lost");
                })?;
                return Err(error.into());
            }
        };
        if starts_with_host {
            made.set_autostart(true)?;
        }
        Ok(())
    }
}

fn seen_after(domain: &VirtDomain) -> Result<Afterwards, VirtError> {
    let power = observe::power(domain)?;
    Ok(Afterwards::Seen { power, has_domain: observe::has_domain(domain, power) })
}
