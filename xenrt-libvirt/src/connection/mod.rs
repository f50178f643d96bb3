//! A connection to libvirt that async code can use.
//!
//! libvirt's calls block, so they are made on threads of their own, each with a deadline. A
//! connection that died is noticed (by the call that fails, by keep-alive at the latest), told as
//! what it is, and made anew by the next call.

mod events;
mod workers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;
use virt::connect::Connect;
use virt::error::{Error as VirtError, ErrorDomain, ErrorNumber};
use xenrt_core::remote::RemoteError;
use xenrt_core::{Error, Result};

pub use events::{BlockJobStatus, DomainEvent};
use workers::Workers;

use crate::error;
use crate::sys;

/// A connection without an answer to so many keep-alive messages in a row is dead.
const KEEP_ALIVE_COUNT: u32 = 3;

/// They are sent every so many seconds, where the host is not a slow one: then as often as three of
/// them take a quarter of what a command may.
const KEEP_ALIVE_SECONDS: u64 = 5;

/// So many events are kept for a reader that is slow; one that is slower looks for itself.
const EVENTS: usize = 1024;

/// Why the work on a connection ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// libvirt said so.
    Libvirt(VirtError),
    /// This library said so.
    Own(Error),
}

impl From<VirtError> for Failure {
    fn from(error: VirtError) -> Self {
        Self::Libvirt(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// What is done with a connection, for errors and for its bounds.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// To follow "libvirt could not": `start`.
    pub(crate) verb: &'static str,
    /// What it is done to: `guest "tiny"`.
    pub(crate) object: String,
    /// How long it may take, connecting included.
    pub(crate) deadline: Duration,
}

/// A connection to libvirt; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Shared>);

struct Shared {
    uri: String,
    /// Seconds between keep-alive messages.
    keep_alive: i32,
    workers: Workers,
    open: Mutex<Option<Arc<Open>>>,
    /// One opens, the others wait for it.
    opening: tokio::sync::Mutex<()>,
    events: broadcast::Sender<DomainEvent>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// A connection that is open until the last call on it has ended.
struct Open(Connect);

impl Drop for Open {
    fn drop(&mut self) {
        sys::close(&self.0);
    }
}

/// A connection that stays open as long as this is held. It is let go of where it may block.
pub(crate) struct Held(Arc<Open>);

impl Held {
    pub(crate) fn connect(&self) -> &Connect {
        &self.0.0
    }
}

impl Open {
    /// Asks no daemon (virConnectIsAlive looks at the socket).
    fn is_alive(&self) -> bool {
        self.0.is_alive().unwrap_or(false)
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        // Holders replace the whole; none can leave it half made.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of a connection that is not to be used again.
    fn forget(&self, dead: &Arc<Open>) {
        let mut open = self.open();
        if open.as_ref().is_some_and(|own| Arc::ptr_eq(own, dead)) {
            *open = None;
        }
    }
}

impl Connection {
    /// A connection to what is at `uri`. It is made by the first call.
    #[cfg(test)]
    pub(crate) fn new(uri: impl Into<String>) -> Self {
        Self::of(uri, Duration::ZERO)
    }

    /// The same to a host whose commands may take so long: one that is emulated and busy does not
    /// answer at once, and is not dead.
    pub(crate) fn of(uri: impl Into<String>, command: Duration) -> Self {
        let seconds = command.as_secs() / (4 * u64::from(KEEP_ALIVE_COUNT));
        let keep_alive = seconds.clamp(KEEP_ALIVE_SECONDS, 60) as i32;
        Self(Arc::new(Shared {
            uri: uri.into(),
            keep_alive,
            workers: Workers::default(),
            open: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
        }))
    }

    /// Where it goes.
    pub(crate) fn uri(&self) -> &str {
        &self.0.uri
    }

    /// The events of all domains from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<DomainEvent> {
        self.0.events.subscribe()
    }

    /// Has a thread that may block do `work`, which nobody waits for.
    pub(crate) fn later(&self, work: impl FnOnce() + Send + 'static) {
        match self.0.workers.hand_in(work) {
            Ok(ticket) => ticket.over(),
            Err(error) => tracing::warn!(%error, "no thread for calls of libvirt can be begun"),
        }
    }

    /// Does `work` with the connection on a thread that may block.
    ///
    /// Work that was not begun when the deadline passes, or when the caller goes away, is not done.
    /// Work that was begun cannot be ended: what becomes of it is not known then, and the
    /// connection is not used again.
    ///
    /// # Errors
    /// [`Error::Toolstack`] for a refusal of libvirt's; [`Error::Remote`] with
    /// [`Connect`](RemoteError::Connect), [`Authentication`](RemoteError::Authentication),
    /// [`Disconnected`](RemoteError::Disconnected) or [`Deadline`](RemoteError::Deadline) when the
    /// way to it failed; what `work` itself returns.
    pub(crate) async fn call<T, W>(&self, call: Call, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connect) -> Result<T, Failure> + Send + 'static,
    {
        let until = Instant::now() + call.deadline;
        let open = match tokio::time::timeout_at(until, self.ensure_open()).await {
            Ok(open) => open?,
            Err(_) => return Err(self.too_late(&call)),
        };
        let used = Arc::clone(&open);
        let result = match self.on_thread(until, move || work(&used.0)).await {
            Ok(Some(result)) => result,
            Ok(None) => {
                self.0.forget(&open);
                return Err(self.too_late(&call));
            }
            Err(error) => return Err(error),
        };
        result.map_err(|failure| match failure {
            Failure::Own(error) => error,
            Failure::Libvirt(error) if is_lost(&error) || !open.is_alive() => {
                self.0.forget(&open);
                RemoteError::Disconnected {
                    target: self.0.uri.clone(),
                    command: format!("{} {}", call.verb, call.object),
                    message: error.message().to_owned(),
                }
                .into()
            }
            Failure::Libvirt(error) => error::refused(&error, call.verb, &call.object),
        })
    }

    /// The connection itself, for a call that needs two. It is made where there is none that lives.
    ///
    /// # Errors
    /// As [`call`](Self::call), when the way to it failed.
    pub(crate) async fn held(&self, call: &Call) -> Result<Held> {
        match tokio::time::timeout(call.deadline, self.ensure_open()).await {
            Ok(open) => Ok(Held(open?)),
            Err(_) => Err(self.too_late(call)),
        }
    }

    /// The connection, made where there is none that lives.
    async fn ensure_open(&self) -> Result<Arc<Open>> {
        if let Some(open) = self.living() {
            return Ok(open);
        }
        let _one = self.0.opening.lock().await;
        if let Some(open) = self.living() {
            return Ok(open);
        }
        let (uri, events) = (self.0.uri.clone(), self.0.events.clone());
        // Who waits for it has a deadline; it ends with them.
        let forever = Instant::now() + Duration::from_secs(365 * 86_400);
        let keep_alive = self.0.keep_alive;
        let opened = self.on_thread(forever, move || open(&uri, keep_alive, events)).await?;
        let Some(opened) = opened else { return Err(self.gone()) };
        let opened = Arc::new(opened.map_err(|failure| match failure {
            Failure::Own(error) => error,
            Failure::Libvirt(error) => cannot_connect(&self.0.uri, error),
        })?);
        *self.0.open() = Some(Arc::clone(&opened));
        // Nobody may be listening.
        let _ = self.0.events.send(DomainEvent::Gap);
        Ok(opened)
    }

    fn living(&self) -> Option<Arc<Open>> {
        let open = self.0.open().clone()?;
        if open.is_alive() {
            return Some(open);
        }
        self.0.forget(&open);
        None
    }

    /// `None` when it is not done by then.
    async fn on_thread<T: Send + 'static>(
        &self,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>> {
        let (tell, told) = oneshot::channel();
        let ticket = self.0.workers.hand_in(move || {
            // The caller may have gone.
            let _ = tell.send(work());
        });
        let ticket = ticket.map_err(|source| RemoteError::Local {
            action: "cannot begin a thread for calls of libvirt".to_owned(),
            source,
        })?;
        match tokio::time::timeout_at(until, told).await {
            Ok(Ok(result)) => {
                ticket.over();
                Ok(Some(result))
            }
            // The work panicked.
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => {
                tracing::debug!(uri = self.0.uri, begun = ticket.begun(), "a call takes too long");
                Ok(None)
            }
        }
    }

    fn gone(&self) -> Error {
        Error::lab(format!("a call of libvirt at {} ended without an answer", self.0.uri))
    }

    fn too_late(&self, call: &Call) -> Error {
        RemoteError::Deadline {
            target: self.0.uri.clone(),
            command: format!("{} {}", call.verb, call.object),
            deadline: call.deadline,
            stdout: String::new(),
            stderr: String::new(),
        }
        .into()
    }
}

/// Opens a connection, with keep-alive and events.
fn open(
    uri: &str,
    keep_alive: i32,
    events: broadcast::Sender<DomainEvent>,
) -> Result<Open, Failure> {
    events::begin_loop().map_err(|message| {
        Error::lab(format!("libvirt's event loop cannot be begun: {message}"))
    })?;
    let open = Open(Connect::open(Some(uri))?);
    match open.0.set_keep_alive(keep_alive, KEEP_ALIVE_COUNT) {
        // Drivers in this process have no connection that could die.
        Err(error) if error.code() != ErrorNumber::NoSupport => return Err(error.into()),
        _ => {}
    }
    let sink = Box::new(move |event: sys::RawEvent| {
        // Nobody may be listening.
        let _ = events.send(event.into());
    });
    sys::tell_events(&open.0, sink)?;
    Ok(open)
}

/// Whether the connection is what failed. Errors of the daemon's own come with their own domain.
fn is_lost(error: &VirtError) -> bool {
    matches!(error.domain(), ErrorDomain::Rpc | ErrorDomain::Remote)
        && matches!(
            error.code(),
            ErrorNumber::Rpc
                | ErrorNumber::SystemError
                | ErrorNumber::InternalError
                | ErrorNumber::InvalidConn
                | ErrorNumber::NoConnect
        )
}

fn cannot_connect(uri: &str, error: VirtError) -> Error {
    let target = uri.to_owned();
    let message = error.message().to_owned();
    match error.code() {
        ErrorNumber::AuthFailed
        | ErrorNumber::AuthCancelled
        | ErrorNumber::AuthUnavailable
        | ErrorNumber::AccessDenied => RemoteError::Authentication { target, message },
        _ => RemoteError::Connect { target, message, source: Some(Box::new(error)) },
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(deadline: Duration) -> Call {
        Call { verb: "look at", object: "the host".to_owned(), deadline }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn calls_are_made_and_refusals_are_understood() {
        let connection = Connection::new("test:///default");
        let name = connection.call(call(LONG), |connect| Ok(connect.get_type()?)).await.unwrap();
        assert_eq!(name, "TEST");
        let missing = |connect: &Connect| {
            Ok(virt::domain::Domain::lookup_by_name(connect, "no such").map(drop)?)
        };
        let error = connection.call(call(LONG), missing).await.unwrap_err();
        let kind = error.toolstack_kind();
        assert_eq!(kind, Some(xenrt_core::ToolstackErrorKind::NoSuchObject), "{error}");
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_given_up_and_the_next_one_works() {
        let connection = Connection::new("test:///default");
        let (end, hang) = std::sync::mpsc::channel::<()>();
        let hanging = connection.call(call(Duration::from_millis(300)), move |_| {
            let _ = hang.recv_timeout(LONG);
            Ok(())
        });
        let error = hanging.await.unwrap_err();
        assert!(matches!(error, Error::Remote(RemoteError::Deadline { .. })), "{error:?}");
        connection.call(call(LONG), |connect| Ok(connect.get_hostname()?)).await.unwrap();
        drop(end);
    }

    #[tokio::test]
    async fn what_cannot_be_connected_to_is_told() {
        for uri in ["qemu+unix:///system?socket=/no/such/socket", "nonsense:///x"] {
            let connection = Connection::new(uri);
            let result = connection.call(call(LONG), |connect| Ok(connect.get_type()?)).await;
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Remote(RemoteError::Connect { .. })), "{error:?}");
        }
    }
}
