//! What the `virt` crate lacks of libvirt's C interface, behind safe functions.

#![allow(unsafe_code, reason = "calls into libvirt's C library; nowhere else are there any")]

pub(crate) mod checkpoint;
mod stream;

use std::ffi::{CStr, CString, c_int, c_void};
use std::time::Duration;

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt_sys as sys;

pub(crate) use stream::{EventStream, Found};

/// Whom events are told to. It is called on the thread of the event loop and must not wait.
pub(crate) type Sink = Box<dyn Fn(RawEvent) + Send + Sync>;

/// What libvirt told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawEvent {
    /// A domain changed its state: `virDomainEventType` and its detail.
    Lifecycle(Uuid, i32, i32),
    /// A domain rebooted.
    Reboot(Uuid),
    /// A device left a domain: its alias.
    DeviceRemoved(Uuid, String),
    /// A domain cannot be controlled any more.
    ControlError(Uuid),
    /// Something that is done to a disk went on: the name of the disk, `virDomainBlockJobType` and
    /// `virConnectDomainEventBlockJobStatus`.
    BlockJob(Uuid, String, i32, i32),
}

unsafe extern "C" {
    /// free(3), by which what libvirt gives out is given back.
    fn free(memory: *mut c_void);
}

fn check(result: c_int) -> Result<c_int, Error> {
    if result < 0 { Err(Error::last_error()) } else { Ok(result) }
}

/// Closes a connection: what was opened with it stays valid as long as it is held.
pub(crate) fn close(connect: &Connect) {
    // SAFETY: the pointer is that of an open connection, and this is the last use of it.
    // A connection that died cannot be closed any better than this.
    let _ = unsafe { sys::virConnectClose(connect.as_ptr()) };
}

/// Writes the memory of a domain to a file and ends it (virDomainSaveFlags).
pub(crate) fn save(domain: &Domain, path: &str) -> Result<(), Error> {
    // A path with a zero byte was refused before.
    let path = CString::new(path).unwrap_or_default();
    // SAFETY: both pointers are valid during the call; no other configuration is given.
    let result =
        unsafe { sys::virDomainSaveFlags(domain.as_ptr(), path.as_ptr(), std::ptr::null(), 0) };
    check(result).map(drop)
}

/// Ends what a domain is busy with, a migration for example (virDomainAbortJob).
pub(crate) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the pointer is valid during the call.
    check(unsafe { sys::virDomainAbortJob(domain.as_ptr()) }).map(drop)
}

/// Whether what libvirt keeps of the memory of a domain was written to its end: only then can its
/// document be read (virDomainManagedSaveGetXMLDesc). Drivers that cannot tell write it in one step.
pub(crate) fn saved_memory_is_whole(domain: &Domain) -> Result<bool, Error> {
    // SAFETY: the pointer is valid during the call.
    let text = unsafe { sys::virDomainManagedSaveGetXMLDesc(domain.as_ptr(), 0) };
    if !text.is_null() {
        // SAFETY: the text is ours to free, and this is its last use.
        unsafe { free(text.cast()) };
        return Ok(true);
    }
    let error = Error::last_error();
    match error.code() {
        ErrorNumber::NoSupport => Ok(true),
        ErrorNumber::OperationFailed => Ok(false),
        _ => Err(error),
    }
}

/// Processor time that the host itself has used, all processors together (virNodeGetCPUStats).
pub(crate) fn node_cpu_time(connect: &Connect) -> Result<Duration, Error> {
    /// VIR_NODE_CPU_STATS_ALL_CPUS.
    const ALL: c_int = -1;
    let mut count: c_int = 0;
    // SAFETY: without an array only the number of figures is written.
    check(unsafe {
        sys::virNodeGetCPUStats(connect.as_ptr(), ALL, std::ptr::null_mut(), &raw mut count, 0)
    })?;
    // SAFETY: the structure is plain numbers and characters, for which zeros are valid.
    let none: sys::virNodeCPUStats = unsafe { std::mem::zeroed() };
    let mut figures = vec![none; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the array has room for as many figures as libvirt is told.
    check(unsafe {
        let room = figures.as_mut_ptr();
        sys::virNodeGetCPUStats(connect.as_ptr(), ALL, room, &raw mut count, 0)
    })?;
    let busy = figures.iter().filter(|figure| {
        // SAFETY: libvirt ends the name with a zero, and the array was zero before.
        let name = unsafe { CStr::from_ptr(figure.field.as_ptr()) };
        [c"kernel", c"user"].contains(&name)
    });
    Ok(Duration::from_nanos(busy.map(|figure| figure.value).sum()))
}

/// The memory of a host, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NodeMemory {
    /// All that its kernel has.
    pub(crate) total: u64,
    /// What is free or would be given up at once.
    pub(crate) available: u64,
}

/// The memory of the host (virNodeGetMemoryStats). Both figures are of one source: what
/// virNodeGetInfo says is the sum of its NUMA nodes, which may be less than what its kernel has.
pub(crate) fn node_memory(connect: &Connect) -> Result<NodeMemory, Error> {
    /// VIR_NODE_MEMORY_STATS_ALL_CELLS.
    const ALL: c_int = -1;
    let mut count: c_int = 0;
    // SAFETY: without an array only the number of figures is written.
    check(unsafe {
        sys::virNodeGetMemoryStats(connect.as_ptr(), ALL, std::ptr::null_mut(), &raw mut count, 0)
    })?;
    // SAFETY: the structure is plain numbers and characters, for which zeros are valid.
    let none: sys::virNodeMemoryStats = unsafe { std::mem::zeroed() };
    let mut figures = vec![none; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the array has room for as many figures as libvirt is told.
    check(unsafe {
        let room = figures.as_mut_ptr();
        sys::virNodeGetMemoryStats(connect.as_ptr(), ALL, room, &raw mut count, 0)
    })?;
    let mut memory = NodeMemory::default();
    for figure in &figures {
        // SAFETY: libvirt ends the name with a zero, and the array was zero before.
        let name = unsafe { CStr::from_ptr(figure.field.as_ptr()) };
        if name == c"total" {
            memory.total = figure.value;
        } else if [c"free", c"buffers", c"cached"].contains(&name) {
            memory.available += figure.value;
        }
    }
    Ok(memory)
}

/// Has `sink` told of the events of all domains of a connection, as long as the connection lives.
/// A driver without one kind of them is asked for the others.
pub(crate) fn tell_events(connect: &Connect, sink: Sink) -> Result<(), Error> {
    type Generic = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
    let sink = std::sync::Arc::new(sink);
    // SAFETY: libvirt calls each function with the arguments of its kind of event, which are those
    // that it is declared with (libvirt-domain.h).
    let kinds: [(u32, Generic); 5] = unsafe {
        [
            (
                sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                std::mem::transmute::<*const (), Generic>(lifecycle as *const ()),
            ),
            (sys::VIR_DOMAIN_EVENT_ID_REBOOT, reboot as Generic),
            (
                sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
                std::mem::transmute::<*const (), Generic>(device_removed as *const ()),
            ),
            (sys::VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, control_error as Generic),
            (
                sys::VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
                std::mem::transmute::<*const (), Generic>(block_job as *const ()),
            ),
        ]
    };
    for (number, callback) in kinds {
        let own = Box::into_raw(Box::new(std::sync::Arc::clone(&sink)));
        // SAFETY: the pointer stays valid until libvirt gives it back to `forget`.
        let result = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                std::ptr::null_mut(),
                number as c_int,
                Some(callback),
                own.cast(),
                Some(forget),
            )
        };
        if let Err(error) = check(result) {
            // SAFETY: libvirt did not take it.
            unsafe { forget(own.cast()) };
            if number == sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE {
                return Err(error);
            }
        }
    }
    Ok(())
}

type Shared = std::sync::Arc<Sink>;

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: it is the pointer that was made for this registration, and its only end.
    drop(unsafe { Box::from_raw(opaque.cast::<Shared>()) });
}

/// The sink behind `opaque` is told what `make` makes of the domain's identity.
unsafe fn tell(
    domain: sys::virDomainPtr,
    opaque: *mut c_void,
    make: impl FnOnce(Uuid) -> RawEvent,
) {
    let mut bytes = [0u8; 16];
    // SAFETY: the domain is valid during the callback; an identity has 16 bytes.
    if unsafe { sys::virDomainGetUUID(domain, bytes.as_mut_ptr()) } < 0 {
        return;
    }
    // SAFETY: it is the pointer that was made for this registration.
    let sink = unsafe { &*opaque.cast::<Shared>() };
    sink(make(Uuid::from_bytes(bytes)));
}

unsafe extern "C" fn lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: the arguments are libvirt's.
    unsafe { tell(domain, opaque, |uuid| RawEvent::Lifecycle(uuid, event, detail)) };
    0
}

unsafe extern "C" fn reboot(_: sys::virConnectPtr, domain: sys::virDomainPtr, opaque: *mut c_void) {
    // SAFETY: the arguments are libvirt's.
    unsafe { tell(domain, opaque, RawEvent::Reboot) };
}

unsafe extern "C" fn control_error(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    opaque: *mut c_void,
) {
    // SAFETY: the arguments are libvirt's.
    unsafe { tell(domain, opaque, RawEvent::ControlError) };
}

unsafe extern "C" fn device_removed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    alias: *const std::ffi::c_char,
    opaque: *mut c_void,
) {
    // SAFETY: the text is libvirt's.
    let alias = unsafe { owned(alias) };
    // SAFETY: the arguments are libvirt's.
    unsafe { tell(domain, opaque, |uuid| RawEvent::DeviceRemoved(uuid, alias)) };
}

unsafe extern "C" fn block_job(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    disk: *const std::ffi::c_char,
    kind: c_int,
    status: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: the text is libvirt's.
    let disk = unsafe { owned(disk) };
    // SAFETY: the arguments are libvirt's.
    unsafe { tell(domain, opaque, |uuid| RawEvent::BlockJob(uuid, disk, kind, status)) };
}

/// A text of libvirt's; empty where there is none.
unsafe fn owned(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: libvirt's texts end with a zero and are valid during the callback.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
