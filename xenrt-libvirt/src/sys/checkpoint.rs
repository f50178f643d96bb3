//! Checkpoints of domains, which the `virt` crate does not have.

use std::ffi::{CStr, CString};

use virt::domain::Domain;
use virt::error::Error;
use virt_sys as sys;

use super::{check, free};

/// A checkpoint, let go of with this.
struct Checkpoint(sys::virDomainCheckpointPtr);

impl Checkpoint {
    fn owned(pointer: sys::virDomainCheckpointPtr) -> Result<Self, Error> {
        if pointer.is_null() { Err(Error::last_error()) } else { Ok(Self(pointer)) }
    }

    fn name(&self) -> Result<String, Error> {
        // SAFETY: the pointer is valid as long as this is, and so is the name.
        let name = unsafe { sys::virDomainCheckpointGetName(self.0) };
        if name.is_null() {
            return Err(Error::last_error());
        }
        // SAFETY: libvirt's names are texts that end with a zero byte.
        Ok(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // SAFETY: the pointer is valid, and this is the last use of it.
        // There is nothing to be done about a failure.
        let _ = unsafe { sys::virDomainCheckpointFree(self.0) };
    }
}

/// Makes a checkpoint of its document (virDomainCheckpointCreateXML).
pub(crate) fn create(domain: &Domain, document: &str) -> Result<(), Error> {
    // A document with a zero byte is no XML.
    let document = CString::new(document).unwrap_or_default();
    // SAFETY: both pointers are valid during the call.
    let made = unsafe { sys::virDomainCheckpointCreateXML(domain.as_ptr(), document.as_ptr(), 0) };
    Checkpoint::owned(made).map(drop)
}

/// The names of all checkpoints, each after the one that it follows (virDomainListAllCheckpoints).
pub(crate) fn names(domain: &Domain) -> Result<Vec<String>, Error> {
    let mut found: *mut sys::virDomainCheckpointPtr = std::ptr::null_mut();
    let flags = sys::VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL;
    // SAFETY: the domain is valid during the call, and the list is written where it may be.
    let count =
        check(unsafe { sys::virDomainListAllCheckpoints(domain.as_ptr(), &raw mut found, flags) })?;
    let count = usize::try_from(count).unwrap_or(0);
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the list has so many entries, each of which is ours to let go of.
        all.push(Checkpoint(unsafe { *found.add(index) }));
    }
    // SAFETY: the list is ours to free, and this is its last use.
    unsafe { free(found.cast()) };
    all.iter().map(Checkpoint::name).collect()
}

/// Removes a checkpoint; those that follow it stay (virDomainCheckpointDelete).
pub(crate) fn delete(domain: &Domain, name: &str) -> Result<(), Error> {
    // A name with a zero byte is that of none.
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: both pointers are valid during the call.
    let found = unsafe { sys::virDomainCheckpointLookupByName(domain.as_ptr(), name.as_ptr(), 0) };
    let checkpoint = Checkpoint::owned(found)?;
    // SAFETY: the pointer is valid during the call.
    check(unsafe { sys::virDomainCheckpointDelete(checkpoint.0, 0) }).map(drop)
}
