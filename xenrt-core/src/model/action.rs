//! What a toolstack can be asked to do with a guest, and from which states.

use super::{DiskSpec, MacAddress, Memory, PowerState, VifSpec};
use crate::{Error, Result};

/// One request to a toolstack about one guest.
///
/// All requests are values of one type, so that which of them is allowed when, what they are
/// called, and who may refuse or distort them (a simulated toolstack) is said in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestAction {
    /// Start it from its disk or kernel.
    Start,
    /// Start it and leave it paused before its first instruction.
    StartPaused,
    /// Ask it to shut down.
    Shutdown,
    /// Take its power away.
    PowerOff,
    /// Ask it to reboot.
    Reboot,
    /// Reset it without asking.
    Reset,
    /// Stop scheduling it.
    Pause,
    /// Schedule it again.
    Unpause,
    /// Write its memory to the host's storage and end its domain.
    Suspend,
    /// Continue from where it was suspended.
    Resume,
    /// Write its memory to this file of the host and end its domain.
    Save(String),
    /// Continue from this file of the host.
    Restore(String),
    /// Remove its definition and the disks that were made for it.
    Delete,
    /// Give it this name.
    Rename(String),
    /// Let it use so many vCPUs.
    SetVcpus(u32),
    /// Give it so much memory.
    SetMemory(Memory),
    /// Attach a disk.
    AttachDisk(DiskSpec),
    /// Detach the disk with this device name; what was made for it is removed.
    DetachDisk(String),
    /// Attach a network interface.
    AttachVif(VifSpec),
    /// Detach the network interface with this address.
    DetachVif(MacAddress),
}

impl GuestAction {
    /// What it is called in errors and journals.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::StartPaused => "start paused",
            Self::Shutdown => "shut down",
            Self::PowerOff => "power off",
            Self::Reboot => "reboot",
            Self::Reset => "reset",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Save(_) => "save",
            Self::Restore(_) => "restore",
            Self::Delete => "delete",
            Self::Rename(_) => "rename",
            Self::SetVcpus(_) => "set the vCPUs of",
            Self::SetMemory(_) => "set the memory of",
            Self::AttachDisk(_) => "attach a disk to",
            Self::DetachDisk(_) => "detach a disk from",
            Self::AttachVif(_) => "attach a VIF to",
            Self::DetachVif(_) => "detach a VIF from",
        }
    }

    /// The states from which it is allowed. This is the contract for every toolstack; one that is
    /// more generous is asked all the same, one that is stricter says so by an ability.
    pub fn allowed_from(&self) -> &'static [PowerState] {
        use PowerState::{Crashed, Halted, Paused, Running, Suspended};
        match self {
            Self::Start | Self::StartPaused | Self::Restore(_) => &[Halted],
            Self::Shutdown | Self::Reboot => &[Running],
            Self::PowerOff => &[Running, Paused, Suspended, Crashed],
            Self::Reset => &[Running, Paused],
            Self::Pause => &[Running],
            Self::Unpause => &[Paused],
            Self::Suspend | Self::Save(_) => &[Running],
            Self::Resume => &[Suspended],
            Self::Delete => &[Halted, Suspended, Crashed],
            Self::Rename(_) => &[Halted, Running, Paused],
            Self::SetVcpus(_)
            | Self::SetMemory(_)
            | Self::AttachDisk(_)
            | Self::DetachDisk(_)
            | Self::AttachVif(_)
            | Self::DetachVif(_) => &[Halted, Running],
        }
    }

    /// Whether the guest is another machine afterwards, or none: what was connected to its address
    /// from here is gone with the one before.
    pub fn ends_connections(&self) -> bool {
        matches!(self, Self::Start | Self::StartPaused | Self::Reset | Self::Delete)
    }

    /// That it is allowed for the guest of this name, which is in `state`.
    ///
    /// # Errors
    /// [`Error::WrongState`] where it is not.
    pub fn require_allowed_from(&self, state: PowerState, guest: &str) -> Result<()> {
        match self.allowed_from() {
            from if from.contains(&state) => Ok(()),
            from => Err(Error::wrong_state(guest, self.verb(), state, from)),
        }
    }
}

/// What was seen of a guest right after the toolstack took a request, see
/// [`Guest::request_where_allowed`](super::Guest::request_where_allowed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Afterwards {
    /// Nobody looked, or the look failed.
    Unseen,
    /// The toolstack does not know it any more.
    Gone,
    /// The toolstack reports this.
    Seen {
        /// Its power state.
        power: PowerState,
        /// Whether the hypervisor has a domain of it.
        has_domain: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_on_a_dying_guest() {
        let some = [
            GuestAction::Start,
            GuestAction::PowerOff,
            GuestAction::Delete,
            GuestAction::Pause,
            GuestAction::SetVcpus(1),
        ];
        for action in some {
            assert!(!action.allowed_from().contains(&PowerState::Dying), "{action:?}");
        }
    }
}
