//! libvirt's event loop, and what it tells of domains.

use std::sync::OnceLock;
use std::time::Duration;

use uuid::Uuid;
use virt::error::Error as VirtError;
use virt_sys as sys;

use crate::sys::RawEvent;

/// Something that happened to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainEvent {
    /// It was started, stopped, paused, defined, ... What its state is now is better asked.
    Lifecycle {
        /// Its identity.
        domain: Uuid,
        /// What happened (virDomainEventType).
        what: i32,
        /// Why, with a meaning that depends on `what`.
        detail: i32,
    },
    /// The guest in it rebooted.
    Reboot {
        /// Its identity.
        domain: Uuid,
    },
    /// The guest has let a device go.
    DeviceRemoved {
        /// Its identity.
        domain: Uuid,
        /// libvirt's name of the device.
        alias: String,
    },
    /// libvirt cannot control it any more.
    ControlError {
        /// Its identity.
        domain: Uuid,
    },
    /// Something that is done to a disk of it went on: it is copied, committed or pulled.
    BlockJob {
        /// Its identity.
        domain: Uuid,
        /// The name of the disk: `vda`.
        disk: String,
        /// What is done (virDomainBlockJobType).
        what: i32,
        /// How far it is.
        status: BlockJobStatus,
    },
    /// The connection was made anew: what happened in between was not told.
    Gap,
}

/// How far something is that is done to a disk (virConnectDomainEventBlockJobStatus).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockJobStatus {
    /// It is done.
    Completed,
    /// It failed.
    Failed,
    /// It was ended.
    Canceled,
    /// Both disks are the same, and stay so until it is said which is to be used.
    Ready,
    /// One that this library does not know.
    Other(i32),
}

impl BlockJobStatus {
    fn of(number: i32) -> Self {
        match number.try_into() {
            Ok(sys::VIR_DOMAIN_BLOCK_JOB_COMPLETED) => Self::Completed,
            Ok(sys::VIR_DOMAIN_BLOCK_JOB_FAILED) => Self::Failed,
            Ok(sys::VIR_DOMAIN_BLOCK_JOB_CANCELED) => Self::Canceled,
            Ok(sys::VIR_DOMAIN_BLOCK_JOB_READY) => Self::Ready,
            _ => Self::Other(number),
        }
    }
}

impl DomainEvent {
    /// Whether it may be about this domain.
    pub fn concerns(&self, uuid: Uuid) -> bool {
        match self {
            Self::Lifecycle { domain, .. }
            | Self::Reboot { domain }
            | Self::DeviceRemoved { domain, .. }
            | Self::ControlError { domain }
            | Self::BlockJob { domain, .. } => *domain == uuid,
            Self::Gap => true,
        }
    }
}

impl From<RawEvent> for DomainEvent {
    fn from(raw: RawEvent) -> Self {
        match raw {
            RawEvent::Lifecycle(domain, what, detail) => Self::Lifecycle { domain, what, detail },
            RawEvent::Reboot(domain) => Self::Reboot { domain },
            RawEvent::DeviceRemoved(domain, alias) => Self::DeviceRemoved { domain, alias },
            RawEvent::ControlError(domain) => Self::ControlError { domain },
            RawEvent::BlockJob(domain, disk, what, status) => {
                Self::BlockJob { domain, disk, what, status: BlockJobStatus::of(status) }
            }
        }
    }
}

/// Begins libvirt's event loop, once in a process and before the first connection is opened: it is
/// what keep-alive and events of connections depend on (virEventRegisterDefaultImpl).
///
/// # Errors
/// When it cannot be begun; every later call says the same.
pub(super) fn begin_loop() -> Result<(), String> {
    static BEGUN: OnceLock<Result<(), String>> = OnceLock::new();
    BEGUN
        .get_or_init(|| {
            // What goes wrong is told by the calls; by itself libvirt also prints it.
            virt::error::clear_error_callback();
            virt::event::event_register_default_impl().map_err(|error| error.to_string())?;
            std::thread::Builder::new()
                .name("libvirt-events".to_owned())
                .spawn(run)
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .clone()
}

/// One round after the other until the process ends.
fn run() {
    /// A loop that cannot go round must not take a processor.
    const BREATH: Duration = Duration::from_millis(100);
    /// What happens within so short a time is told in one round: each round costs as much as a short
    /// call. Answers do not wait for it, the thread that made a call reads them itself.
    const GATHER: Duration = Duration::from_micros(500);
    loop {
        let pause = match round() {
            Ok(()) => GATHER,
            Err(error) => {
                tracing::warn!(%error, "libvirt's event loop");
                BREATH
            }
        };
        std::thread::sleep(pause);
    }
}

fn round() -> Result<(), VirtError> {
    virt::event::event_run_default_impl()
}
