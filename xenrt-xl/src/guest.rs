//! A guest that xl runs.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::model::{
    Ability, DomainView, Expectation, Guest, GuestAction, GuestKind, GuestView, Host, PowerState,
    Scope,
};
use xenrt_core::remote::{Command, Wait};
use xenrt_core::{Result, ToolstackErrorKind};

use crate::address::{self, Sweeps};
use crate::definition::Definition;
use crate::error;
use crate::host::{HostShared, XlHost};
use crate::observe::{self, Depth, Observation};
use crate::parse::{ListedDomain, domain_list};
use crate::{migration, requests};

/// A guest that xl runs, or that this library would have it run; see [`Guest`].
#[derive(Debug, Clone)]
pub struct XlGuest {
    shared: Arc<GuestShared>,
    scope: Scope,
}

/// What all handles to one guest share.
#[derive(Debug)]
pub(crate) struct GuestShared {
    pub(crate) uuid: Uuid,
    /// Whether this library defined it; others it only found running, and it keeps no files of
    /// theirs.
    pub(crate) own: bool,
    /// One request at a time: they read the definition, act, and write it.
    pub(crate) one_request: tokio::sync::Mutex<()>,
    kind: GuestKind,
    image: Option<String>,
    state: Mutex<GuestState>,
    expectation: Expectation,
    sweeps: Sweeps,
}

#[derive(Debug)]
struct GuestState {
    /// As it was last read or written.
    definition: Definition,
    /// The host that it is on.
    host: Arc<HostShared>,
    /// Where it is being moved to, or was when that was cut off.
    moving_to: Option<Arc<HostShared>>,
    /// The domain that was seen last.
    domid: Option<u32>,
    /// Whether it was deleted. Only needed for guests that have no definition on the host.
    deleted: bool,
}

impl GuestShared {
    pub(crate) fn new(
        definition: Definition,
        own: bool,
        view: GuestView,
        host: Arc<HostShared>,
    ) -> Self {
        Self {
            uuid: definition.uuid,
            own,
            one_request: tokio::sync::Mutex::new(()),
            kind: definition.kind,
            image: definition.image.clone(),
            expectation: Expectation::new(definition.expected(view)),
            state: Mutex::new(GuestState {
                definition,
                host,
                moving_to: None,
                domid: None,
                deleted: false,
            }),
            sweeps: Sweeps::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, GuestState> {
        // Holders replace whole values; none can leave one half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The definition as it was last read or written.
    pub(crate) fn definition(&self) -> Definition {
        self.state().definition.clone()
    }

    /// Notes the definition that was read or written.
    pub(crate) fn remember(&self, definition: Definition) {
        self.state().definition = definition;
    }

    /// The host that it is on.
    pub(crate) fn host(&self) -> Arc<HostShared> {
        Arc::clone(&self.state().host)
    }

    /// Notes that it is on another host now.
    pub(crate) fn moved_to(&self, host: Arc<HostShared>) {
        self.state().host = host;
    }

    /// Notes where it is being moved to, or that it is on one host again.
    pub(crate) fn moving_to(&self, host: Option<Arc<HostShared>>) {
        self.state().moving_to = host;
    }

    /// Notes that it was deleted.
    pub(crate) fn deleted(&self) {
        self.state().deleted = true;
    }

    /// `guest "tiny"`, for errors.
    pub(crate) fn object(&self) -> String {
        format!("guest {:?}", self.state().definition.name)
    }
}

impl XlGuest {
    pub(crate) fn new(shared: Arc<GuestShared>, scope: Scope) -> Self {
        Self { shared, scope }
    }

    fn xl_host(&self) -> XlHost {
        XlHost { shared: self.shared.host(), scope: self.scope.clone() }
    }

    /// Notes which domain was seen, if one was. Connections into another one before it are dropped:
    /// they would have to be waited for.
    async fn saw(&self, domid: Option<u32>) {
        let before = std::mem::replace(&mut self.shared.state().domid, domid);
        let address = self.shared.expectation.get().address;
        if let (Some(before), Some(address)) = (before, address)
            && Some(before) != domid
        {
            self.shared.host().drop_connections(address).await;
        }
    }

    /// Has a migration that was cut off end on one of both hosts. Whoever asks for it has
    /// `one_request`.
    async fn settle(&self) {
        let target = self.shared.state().moving_to.clone();
        if let Some(shared) = target {
            let target = XlHost { shared, scope: self.scope.clone() };
            if let Err(error) = migration::settle(&self.xl_host(), &self.shared, &target).await {
                tracing::warn!(
                    %error,
                    guest = self.name(),
                    target = target.name(),
                    "what is left of a migration that was cut off is not known"
                );
            }
        }
    }

    /// The same where no request is under way: one that moves it settles that itself.
    async fn settle_between_requests(&self) {
        if let Ok(_one) = self.shared.one_request.try_lock() {
            self.settle().await;
        }
    }

    /// Looks at it, and notes the definition that was found.
    async fn observe(&self, depth: Depth) -> Result<(Observation, Definition)> {
        self.settle_between_requests().await;
        let host = self.xl_host();
        let uuid = self.shared.uuid;
        let seen = observe::guest(&host.dom0(), &host.shared.guests_folder(), uuid, depth).await?;
        let read = seen.definitions.iter().find(|(own, _)| own.uuid == uuid);
        if let Some((definition, _)) = read {
            self.shared.remember(definition.clone());
        } else if let Some(config) = seen.configs.first().filter(|_| !self.shared.own) {
            self.shared.remember(Definition::adopted(config, uuid));
        }
        let known = read.is_some() || !(self.shared.own || self.shared.state().deleted);
        if !known && seen.domain(uuid).is_none() {
            return Err(error::refusal(
                ToolstackErrorKind::NoSuchObject,
                "look at",
                &self.shared.object(),
                format!("host {:?} has neither a definition nor a domain of it", host.name()),
            ));
        }
        self.saw(seen.domain(uuid).map(|domain| domain.domid)).await;
        Ok((seen, self.shared.definition()))
    }
}

#[async_trait]
impl Guest for XlGuest {
    fn name(&self) -> String {
        self.shared.state().definition.name.clone()
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
        Arc::new(self.xl_host())
    }

    fn expectation(&self) -> &Expectation {
        &self.shared.expectation
    }

    async fn request(&self, action: &GuestAction) -> Result<()> {
        let _one = self.shared.one_request.lock().await;
        self.settle().await;
        let host = self.xl_host();
        requests::carry_out(&host.shared, &host.dom0(), &self.shared, action).await?;
        if action.ends_connections()
            && let Some(address) = self.shared.expectation.get().address
        {
            host.shared.drop_connections(address).await;
        }
        Ok(())
    }

    async fn view(&self) -> Result<GuestView> {
        let (seen, definition) = self.observe(Depth::Whole).await?;
        Ok(seen.view(&definition))
    }

    async fn power_state(&self) -> Result<PowerState> {
        let (seen, _) = self.observe(Depth::Power).await?;
        Ok(seen.power(self.shared.uuid))
    }

    async fn domain(&self) -> Result<Option<DomainView>> {
        self.settle_between_requests().await;
        let command = Command::new("xl").args(["list", "-v"]).deadline(Duration::from_secs(60));
        let dom0 = self.xl_host().dom0();
        let text = error::text(&dom0, &command, "look at", &self.shared.object()).await?;
        let own = domain_list(&text)?.into_iter().filter(|own| own.uuid == self.shared.uuid);
        // A living domain before one that is being removed.
        let domain = own.min_by_key(|domain| domain.flags.dying()).map(|domain| domain.view());
        self.saw(domain.as_ref().map(|domain| domain.domid)).await;
        Ok(domain)
    }

    /// From one look: it lists the domains for both.
    async fn views(&self) -> Result<(GuestView, Option<DomainView>)> {
        let (seen, definition) = self.observe(Depth::Whole).await?;
        let domain = seen.domain(self.shared.uuid).map(ListedDomain::view);
        Ok((seen.view(&definition), domain))
    }

    async fn find_address(&self) -> Result<Wait<IpAddr>> {
        let definition = self.shared.definition();
        if let Some(address) = definition.address {
            return Ok(Wait::Done(address));
        }
        let Some(vif) = definition.vifs.first() else {
            return Ok(Wait::NotYet("it has no VIF".to_owned()));
        };
        let dom0 = self.xl_host().dom0();
        address::find(&dom0, definition.uuid, vif.mac, &vif.network, &self.shared.sweeps).await
    }

    async fn console_text(&self) -> Result<String> {
        let host = self.xl_host();
        host.require(Ability::ConsoleLog)?;
        let Some(consoles) = &host.shared.consoles else { return Ok(String::new()) };
        let definition = self.shared.definition();
        let former = definition.former_names.iter().map(String::as_str);
        let command = consoles.read(&definition.name, former);
        error::text(&host.dom0(), &command, "read the console of", &self.shared.object()).await
    }

    async fn request_migration(&self, target: &Arc<dyn Host>) -> Result<()> {
        let _one = self.shared.one_request.lock().await;
        self.settle().await;
        let (seen, definition) = self.observe(Depth::Whole).await?;
        let view = seen.view(&definition);
        if view.power != PowerState::Running {
            return Err(error::refusal(
                ToolstackErrorKind::BadState,
                "migrate",
                &self.shared.object(),
                format!("it is {}", view.power),
            ));
        }
        migration::migrate(&self.xl_host(), &self.shared, &definition, &view, target).await
    }
}
