//! What can be made to go wrong.

use std::net::IpAddr;
use std::time::Duration;

use crate::ToolstackErrorKind;
use crate::model::{GuestAction, Memory, PowerState};

/// What a simulated host is asked, as faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SimCall {
    /// What the host says about itself.
    Info,
    /// The list of domains: the hypervisor's view.
    Domains,
    /// The list of guests.
    Guests,
    /// A guest to be defined.
    Define,
    /// The list of networks.
    Networks,
    /// A network to be made.
    DefineNetwork,
    /// A network to be removed.
    RemoveNetwork,
    /// Its storage: listed, made, removed.
    Storage,
    /// Its templates: listed, made, removed.
    Template,
    /// The pool that it is in: listed, joined, left.
    Pool,
    /// Its network interfaces: listed, set up.
    Interfaces,
    /// What stands on the host.
    Inventory,
    /// The toolstack's view of a guest.
    View,
    /// The hypervisor's view of a guest.
    Domain,
    /// A guest's address to be found.
    FindAddress,
    /// A guest's console to be read.
    Console,
    /// A request about a guest ([`GuestAction`]).
    Request,
    /// A guest to be moved; asked of the source.
    Migrate,
    /// A command or copy in dom0.
    Dom0,
    /// A command or copy in a guest.
    Inside,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// The call takes so much longer.
    Latency(Duration),
    /// The toolstack refuses, and nothing is done. A command ends with status 1.
    Refuse(ToolstackErrorKind),
    /// Nothing is done, and the call ends with [`RemoteError::Deadline`](crate::remote::RemoteError)
    /// when the deadline of its kind has passed: a host that does not answer.
    Hang,
    /// Nothing is done, and the call never returns: a back end that forgot its deadline.
    HangForever,
    /// Nothing is done, the connection is lost, and none can be made for so long.
    LoseConnection(Duration),
    /// It is done, and the connection is lost before the answer came.
    LoseAnswer,
    /// The toolstack says that it did it, and did nothing. A command ends with status 0 and prints
    /// nothing, a file that is written is as before.
    Ignore,
    /// The answer is not the truth.
    Lie(Lie),
    /// The guest crashes before the call is carried out.
    CrashGuest,
    /// The host reboots before the call is carried out, which loses the connection.
    RebootHost,
}

/// What a view says instead of the truth. A view that does not speak of it stays true.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Lie {
    /// The power state.
    Power(PowerState),
    /// The vCPUs.
    Vcpus(u32),
    /// The memory.
    Memory(Memory),
    /// There are no disks.
    NoDisks,
    /// There are no VIFs.
    NoVifs,
    /// There is no domain.
    NoDomain,
    /// The address.
    Address(IpAddr),
    /// The console's text.
    Console(String),
}

/// One thing that goes wrong: what, where and when. Build it from what it does, then narrow it.
///
/// ```
/// use std::time::Duration;
/// use xenrt_core::sim::{Fault, SimCall};
/// // The third suspend of any guest of host a loses the connection for a minute.
/// let fault = Fault::lose_connection(Duration::from_secs(60)).host("a").verb("suspend").nth(3);
/// // One look in ten is slow.
/// let slow = Fault::latency(Duration::from_secs(5)).call(SimCall::View).chance(0.1);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) host: Option<String>,
    pub(super) guest: Option<String>,
    pub(super) calls: Vec<SimCall>,
    pub(super) verb: Option<String>,
    pub(super) command: Option<String>,
    pub(super) first: u64,
    pub(super) times: Option<u64>,
    pub(super) chance: Option<f64>,
}

impl Fault {
    /// A fault with this effect, on every call.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            host: None,
            guest: None,
            calls: Vec::new(),
            verb: None,
            command: None,
            first: 1,
            times: None,
            chance: None,
        }
    }

    /// See [`Effect::Latency`].
    pub fn latency(latency: Duration) -> Self {
        Self::new(Effect::Latency(latency))
    }

    /// See [`Effect::Refuse`].
    pub fn refuse(kind: ToolstackErrorKind) -> Self {
        Self::new(Effect::Refuse(kind))
    }

    /// See [`Effect::Hang`].
    pub fn hang() -> Self {
        Self::new(Effect::Hang)
    }

    /// See [`Effect::HangForever`].
    pub fn hang_forever() -> Self {
        Self::new(Effect::HangForever)
    }

    /// See [`Effect::LoseConnection`].
    pub fn lose_connection(away: Duration) -> Self {
        Self::new(Effect::LoseConnection(away))
    }

    /// See [`Effect::LoseAnswer`].
    pub fn lose_answer() -> Self {
        Self::new(Effect::LoseAnswer)
    }

    /// See [`Effect::Ignore`].
    pub fn ignore() -> Self {
        Self::new(Effect::Ignore)
    }

    /// See [`Effect::Lie`]. Which view lies is said by [`call`](Self::call); all, where it is not.
    pub fn lie(lie: Lie) -> Self {
        Self::new(Effect::Lie(lie))
    }

    /// See [`Effect::CrashGuest`].
    pub fn crash_guest() -> Self {
        Self::new(Effect::CrashGuest)
    }

    /// See [`Effect::RebootHost`].
    pub fn reboot_host() -> Self {
        Self::new(Effect::RebootHost)
    }

    /// Only on the host with this name.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Only for the guest with this name.
    #[must_use]
    pub fn guest(mut self, name: impl Into<String>) -> Self {
        self.guest = Some(name.into());
        self
    }

    /// Only on calls of this kind; once more for another kind.
    #[must_use]
    pub fn call(mut self, call: SimCall) -> Self {
        self.calls.push(call);
        self
    }

    /// Only on the request that is [called](GuestAction::verb) this: `start`, `power off`, ...
    #[must_use]
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self.call(SimCall::Request)
    }

    /// Only on requests like this one.
    #[must_use]
    pub fn action(self, action: &GuestAction) -> Self {
        self.verb(action.verb())
    }

    /// Only on commands that have this text in them.
    #[must_use]
    pub fn command(mut self, text: impl Into<String>) -> Self {
        self.command = Some(text.into());
        if self.calls.is_empty() { self.call(SimCall::Dom0).call(SimCall::Inside) } else { self }
    }

    /// Only the `n`th call that all else fits, counted from 1, and no other.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.from(n).times(1)
    }

    /// Not before the `n`th call that all else fits, counted from 1.
    #[must_use]
    pub fn from(mut self, n: u64) -> Self {
        self.first = n.max(1);
        self
    }

    /// At most so often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Only with this probability, from 0 to 1, drawn from the lab's seed for each call.
    #[must_use]
    pub fn chance(mut self, chance: f64) -> Self {
        self.chance = Some(chance);
        self
    }
}

/// A fault that was injected, for [`SimLab::lift`](super::SimLab::lift) and
/// [`SimLab::hits`](super::SimLab::hits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(pub(super) u64);
