//! What became of a request when the connection was lost in the middle of it.
//!
//! A daemon that died may have carried it out, in part, or not at all. When there is one again it is
//! looked: what was done is a success, what can be done twice is done again, and what is neither is
//! told as the lost connection that it is. What a half-done request left that would mislead later is
//! removed.

use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::ErrorNumber;
use xenrt_core::model::{Afterwards, GuestAction, PowerState};
use xenrt_core::remote::RemoteError;
use xenrt_core::{Error, Result};

use crate::connection::Failure;
use crate::host::LibvirtHost;
use crate::observe;
use crate::requests::{Done, Request};

/// Whether the connection was lost after the request was passed on, so that nobody knows what became
/// of it.
pub(crate) fn is_interrupted(error: &Error) -> bool {
    matches!(error, Error::Remote(RemoteError::Disconnected { .. }))
}

/// Finds out what became of `request`, whose connection was lost with the error `lost`.
pub(crate) async fn settle(host: &LibvirtHost, request: Request, lost: Error) -> Result<Done> {
    let (verb, object) = (request.action.verb(), request.object.clone());
    let look = move |connect: &Connect| became(connect, &request);
    match host.shared.when_back(verb, &object, look).await {
        Ok(Some(done)) => Ok(done),
        // It was not done, or there is nobody to ask.
        Ok(None) | Err(Error::Timeout { .. }) => Err(lost),
        Err(error) => Err(error),
    }
}

/// Waits until a new daemon has taken a domain over from the one before: until then it holds the
/// domain's job, which statistics of memory need too (qemuProcessReconnect). Blocks.
fn taken_over(domain: &VirtDomain) {
    // What is asked for does not matter, nor that a domain that is gone by now has none.
    let _ = domain.memory_stats(0);
}

/// What came of it; `None` where it was not done, and is not to be done again without being asked
/// for. Blocks.
fn became(connect: &Connect, request: &Request) -> Result<Option<Done>, Failure> {
    let domain = match observe::find(connect, request.uuid) {
        Err(error)
            if error.code() == ErrorNumber::NoDomain && request.action == GuestAction::Delete =>
        {
            return Ok(Some(Done::Deleted { has_files: true, gone: true }));
        }
        result => result?,
    };
    if domain.is_active()? {
        taken_over(&domain);
    }
    let power = observe::power(&domain)?;
    let done = match &request.action {
        GuestAction::Suspend if power.has_domain() => {
            // It goes on, and what was written of its memory is of the past: left there, it would
            // be taken for the memory to go on from when the guest ends.
            observe::remove_saved_memory(&domain)?;
            false
        }
        GuestAction::Suspend => power == PowerState::Suspended,
        GuestAction::Resume if power == PowerState::Running => {
            observe::remove_saved_memory(&domain)?;
            true
        }
        GuestAction::Start | GuestAction::Unpause | GuestAction::Restore(_) => {
            power == PowerState::Running
        }
        GuestAction::StartPaused | GuestAction::Pause => power == PowerState::Paused,
        GuestAction::PowerOff => power == PowerState::Halted,
        // To do them once more changes nothing.
        GuestAction::Delete
        | GuestAction::Rename(_)
        | GuestAction::SetVcpus(_)
        | GuestAction::SetMemory(_) => return request.run(connect).map(Some),
        // Nothing tells whether a file is whole, or which boot a guest is in.
        _ => false,
    };
    Ok(done.then_some(Done::All { after: Afterwards::Unseen }))
}
