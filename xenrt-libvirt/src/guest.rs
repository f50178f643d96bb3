//! A guest that libvirt runs.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;
use uuid::Uuid;
use virt::connect::Connect;
use xenrt_core::model::{
    Ability, Afterwards, DomainView, Expectation, Guest, GuestAction, GuestKind, GuestView, Host,
    PowerState, Scope, ShutdownMode, Snapshots, Vif,
};
use xenrt_core::remote::{Command, ShellExt as _, Wait, shorten_middle};
use xenrt_core::{Error, Result};

use crate::connection::DomainEvent;
use crate::driver::Driver;
use crate::host::{HostShared, LibvirtHost};
use crate::observe::{self, Origin, Seen};
use crate::snapshots::LibvirtSnapshots;
use crate::{address, migration, requests, screen};

/// While events are waited for, it is looked all the same, this often: an event may be lost with
/// its connection.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A guest that libvirt runs; see [`Guest`].
#[derive(Debug, Clone)]
pub struct LibvirtGuest {
    pub(crate) shared: Arc<GuestShared>,
    pub(crate) scope: Scope,
}

/// What all handles to one guest share.
#[derive(Debug)]
pub(crate) struct GuestShared {
    pub(crate) uuid: Uuid,
    /// One request at a time: they read its document, act, and write it.
    pub(crate) one_request: tokio::sync::Mutex<()>,
    kind: GuestKind,
    image: Option<String>,
    /// The address that was chosen for it, where one was.
    pub(crate) address: Option<IpAddr>,
    name: Mutex<String>,
    /// Where it is now.
    host: Mutex<Arc<HostShared>>,
    expectation: Expectation,
    /// Whether this process took a snapshot of it, which is in its folder then.
    snapshots: AtomicBool,
}

impl GuestShared {
    pub(crate) fn new(seen: &Seen, origin: Origin, view: GuestView, host: Arc<HostShared>) -> Self {
        let (image, address) = origin.made.map_or((None, None), |own| (own.image, own.address));
        Self {
            uuid: seen.uuid,
            one_request: tokio::sync::Mutex::new(()),
            kind: origin.kind,
            image,
            address,
            name: Mutex::new(seen.name.clone()),
            host: Mutex::new(host),
            expectation: Expectation::new(observe::expected(view, address)),
            snapshots: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> MutexGuard<'_, String> {
        // Holders replace the whole; none can leave it half made.
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host that it is on now.
    pub(crate) fn host(&self) -> Arc<HostShared> {
        // Holders replace the whole; none can leave it half made.
        Arc::clone(&self.host.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that it is on another host now.
    pub(crate) fn moved_to(&self, host: Arc<HostShared>) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
    }

    /// Notes its name.
    pub(crate) fn renamed(&self, name: &str) {
        name.clone_into(&mut self.name());
    }

    /// Notes that snapshots are taken of it.
    pub(crate) fn takes_snapshots(&self) {
        self.snapshots.store(true, Ordering::Release);
    }

    /// Whether snapshots of it may be in its folder. Guests of the driver for tests are of this
    /// process alone.
    pub(crate) fn may_have_snapshots(&self) -> bool {
        let driver = self.host().facts.driver;
        driver == Driver::Qemu || self.snapshots.load(Ordering::Acquire)
    }

    /// `guest "tiny"`, for errors.
    pub(crate) fn object(&self) -> String {
        format!("guest {:?}", *self.name())
    }

    /// Looks at it.
    pub(crate) async fn look(&self, verb: &'static str) -> Result<Seen> {
        let uuid = self.uuid;
        let look = move |connect: &Connect| observe::look(&observe::find(connect, uuid)?);
        let seen = self.host().call(verb, &self.object(), look).await?;
        self.renamed(&seen.name);
        Ok(seen)
    }
}

/// Until something may have happened to a guest, at most `longest`.
pub(crate) async fn something(
    events: &mut Receiver<DomainEvent>,
    uuid: Uuid,
    longest: Duration,
) -> Option<DomainEvent> {
    use tokio::sync::broadcast::error::RecvError;
    let until = Instant::now() + longest;
    loop {
        match tokio::time::timeout_at(until, events.recv()).await {
            Ok(Ok(event)) if event.concerns(uuid) => return Some(event),
            Ok(Ok(_)) => {}
            Ok(Err(RecvError::Lagged(_))) => return Some(DomainEvent::Gap),
            // The sender lives as long as the host.
            Ok(Err(RecvError::Closed)) | Err(_) => return None,
        }
    }
}

/// A lost connection is not the end of a wait.
pub(crate) fn is_connection(error: &Error) -> bool {
    matches!(error, Error::Remote(error) if error.is_connection())
}

impl LibvirtGuest {
    pub(crate) fn new(shared: Arc<GuestShared>, scope: Scope) -> Self {
        Self { shared, scope }
    }

    pub(crate) fn libvirt_host(&self) -> LibvirtHost {
        LibvirtHost { shared: self.shared.host(), scope: self.scope.clone() }
    }

    /// A machine that is another one now, or gone, is not what was connected to.
    async fn drop_connections_of_the_past(&self, action: &GuestAction) {
        if action.ends_connections()
            && let Some(address) = self.shared.expectation.get().address
        {
            self.shared.host().drop_connections(address).await;
        }
    }

    async fn stopped(&self, state: PowerState, doing: &'static str) -> Error {
        let console = match self.console_text().await {
            Ok(text) => {
                let lines: Vec<&str> = text.trim_end().lines().collect();
                let tail = lines[lines.len().saturating_sub(15)..].join("\n");
                shorten_middle(&tail, 2000)
            }
            Err(_) => "(not recorded)".to_owned(),
        };
        Error::GuestStopped { guest: self.name(), state, doing, console }
    }

    /// Until `look`, which is told of the events that may concern it, is done.
    async fn follow<T, Fut>(
        &self,
        waiting_for: String,
        deadline: Duration,
        events: &mut Receiver<DomainEvent>,
        mut look: impl FnMut(Option<DomainEvent>) -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = Result<Wait<T>>>,
    {
        let started = Instant::now();
        let mut last_seen = "nothing yet".to_owned();
        let mut event = None;
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            // A look that began in time may take a little longer than the deadline to answer.
            let grace = Duration::from_secs(2);
            match tokio::time::timeout(left + grace, look(event.take())).await {
                Ok(Ok(Wait::Done(value))) => return Ok(value),
                Ok(Ok(Wait::NotYet(seen))) => last_seen = seen,
                Ok(Err(error)) if is_connection(&error) => last_seen = error.to_string(),
                Ok(Err(error)) => return Err(error),
                Err(_) => last_seen = format!("{last_seen} (and then no answer)"),
            }
            if started.elapsed() >= deadline {
                return Err(Error::Timeout { waiting_for, waited: started.elapsed(), last_seen });
            }
            let longest = LOOK_AGAIN.min(deadline.saturating_sub(started.elapsed()));
            event = something(events, self.shared.uuid, longest).await;
        }
    }
}

#[async_trait]
impl Guest for LibvirtGuest {
    fn name(&self) -> String {
        self.shared.name().clone()
    }

    fn uuid(&self) -> Uuid {
        self.shared.uuid
    }

    fn kind(&self) -> GuestKind {
        self.shared.kind
    }

    fn image(&self) -> Option<String> {
        self.shared.image.clone()
    }

    fn host(&self) -> Arc<dyn Host> {
        Arc::new(self.libvirt_host())
    }

    fn expectation(&self) -> &Expectation {
        &self.shared.expectation
    }

    async fn request(&self, action: &GuestAction) -> Result<()> {
        let _one = self.shared.one_request.lock().await;
        requests::carry_out(&self.libvirt_host(), &self.shared, action).await?;
        self.drop_connections_of_the_past(action).await;
        Ok(())
    }

    /// In one call.
    async fn request_where_allowed(&self, action: &GuestAction) -> Result<Afterwards> {
        let _one = self.shared.one_request.lock().await;
        let host = self.libvirt_host();
        let after = requests::carry_out_where_allowed(&host, &self.shared, action).await?;
        self.drop_connections_of_the_past(action).await;
        Ok(after)
    }

    async fn view(&self) -> Result<GuestView> {
        self.shared.look("look at").await?.view()
    }

    async fn domain(&self) -> Result<Option<DomainView>> {
        let uuid = self.shared.uuid;
        let look = move |connect: &Connect| match observe::find(connect, uuid) {
            Ok(domain) => Ok(observe::domain(&domain)?),
            Err(error) if error.code() == virt::error::ErrorNumber::NoDomain => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.shared.host().call("look at", &self.shared.object(), look).await
    }

    async fn find_address(&self) -> Result<Wait<IpAddr>> {
        self.shared.host().facts.driver.require_running_code()?;
        match self.shared.address {
            Some(address) => Ok(Wait::Done(address)),
            None => address::find(&self.libvirt_host(), &self.shared).await,
        }
    }

    async fn console_text(&self) -> Result<String> {
        let host = self.libvirt_host();
        host.require(Ability::ConsoleLog)?;
        let command = match &host.shared.facts.consoles {
            Some(consoles) => consoles.read(&self.name(), []),
            None => {
                let file = format!("{}/console.log", host.shared.guest_folder(self.shared.uuid));
                let line = format!("[ ! -e {0} ] || tail -c 65536 -- {0}", Command::quote(&file));
                Command::shell_line(line).deadline(Duration::from_secs(60))
            }
        };
        Ok(host.dom0().run(&command).await?.text())
    }

    /// As the document of its domain names it: libvirt chooses it.
    async fn vif_backend(&self, vif: &Vif) -> Result<String> {
        self.shared.host().facts.driver.require_running_code()?;
        let seen = self.shared.look("find the interface behind a VIF of").await?;
        seen.backend(vif.mac)
    }

    async fn screenshot(&self) -> Result<Option<Vec<u8>>> {
        let uuid = self.shared.uuid;
        let look = move |connect: &Connect| screen::take(connect, uuid);
        self.shared.host().call("look at the screen of", &self.shared.object(), look).await
    }

    async fn request_migration(&self, target: &Arc<dyn Host>) -> Result<()> {
        let _one = self.shared.one_request.lock().await;
        migration::migrate(&self.libvirt_host(), &self.shared, target).await
    }

    fn snapshots(&self) -> Result<Arc<dyn Snapshots>> {
        self.libvirt_host().require(Ability::Snapshots)?;
        Ok(Arc::new(LibvirtSnapshots(self.clone())))
    }

    // ---- what libvirt has something better for ----

    /// Without its document.
    async fn power_state(&self) -> Result<PowerState> {
        let uuid = self.shared.uuid;
        let look = move |connect: &Connect| Ok(observe::power(&observe::find(connect, uuid)?)?);
        self.shared.host().call("look at", &self.shared.object(), look).await
    }

    /// Follows libvirt's events.
    async fn wait_for_state(&self, state: PowerState, deadline: Duration) -> Result<()> {
        let waiting_for = format!("guest {} to be {state}", self.name());
        let mut events = self.shared.host().connection.events();
        let look = |_| async move {
            let seen = self.power_state().await?;
            if seen == PowerState::Crashed && state == PowerState::Running {
                return Err(self.stopped(seen, "to be Running").await);
            }
            Ok(Wait::on(seen == state, seen.to_string()))
        };
        self.follow(waiting_for, deadline, &mut events, look).await
    }

    /// That it was rebooted is told by libvirt's event, or by a domain with another number.
    async fn reboot(&self, mode: ShutdownMode) -> Result<()> {
        let action = match mode {
            ShutdownMode::Clean => GuestAction::Reboot,
            ShutdownMode::Hard => GuestAction::Reset,
        };
        action.require_allowed_from(self.power_state().await?, &self.name())?;
        let expected = self.expectation().get();
        let before = self.domain().await?.map(|domain| domain.domid);
        let mut events = self.shared.host().connection.events();
        self.request(&action).await?;
        let waiting_for = format!("guest {} to have rebooted", self.name());
        let mut told = false;
        let look = |event: Option<DomainEvent>| {
            told |= matches!(event, Some(DomainEvent::Reboot { .. }));
            async move {
                let domid = self.domain().await?.map(|domain| domain.domid);
                let state = self.power_state().await?;
                if state == PowerState::Crashed {
                    return Err(self.stopped(state, "to reboot").await);
                }
                let new = told || (domid.is_some() && domid != before);
                let seen = format!("{state}, the domain from before, and no word of a reboot");
                Ok(Wait::on(new && state == PowerState::Running, seen))
            }
        };
        self.follow(waiting_for, self.deadlines().boot, &mut events, look).await?;
        self.expectation().update(|expected| {
            expected.power = PowerState::Running;
            expected.reachable = false;
        });
        if !expected.reachable {
            return Ok(());
        }
        if let Some(address) = expected.address {
            self.shared.host().drop_connections(address).await;
        }
        self.wait_until_reachable().await
    }
}
