//! A guest that xapi runs.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::model::{
    Ability, CheckReport, DomainView, Expectation, ExpectedGuest, Guest, GuestAction, GuestKind,
    GuestView, Host, PowerState, Scope, ShutdownMode, Snapshots,
};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::error;
use crate::host::XapiHost;
use crate::observe::{self, Vbd, Vm};
use crate::requests::Seen;
use crate::shared::HostShared;
use crate::snapshots::XapiSnapshots;
use crate::{migration, networks, requests};

/// A guest that xapi runs; see [`Guest`].
///
/// xapi itself refuses what a power state does not allow, having done nothing, so a power verb is
/// two calls of `xe`: one that asks and one that looks.
#[derive(Debug, Clone)]
pub struct XapiGuest {
    pub(crate) shared: Arc<GuestShared>,
    pub(crate) scope: Scope,
}

/// What all handles to one guest share.
#[derive(Debug)]
pub(crate) struct GuestShared {
    pub(crate) uuid: Uuid,
    /// One request at a time.
    pub(crate) one_request: tokio::sync::Mutex<()>,
    kind: GuestKind,
    image: Option<String>,
    /// The address that was chosen for it, where the lab gives addresses.
    address: Option<IpAddr>,
    state: Mutex<GuestState>,
    expectation: Expectation,
}

#[derive(Debug)]
struct GuestState {
    name: String,
    host: Arc<HostShared>,
    /// Its VBDs as they were last seen; what is on a VBD does not change while it exists.
    vbds: Vec<Vbd>,
}

impl GuestShared {
    #[expect(clippy::too_many_arguments, reason = "all that is known of a guest, in one place")]
    pub(crate) fn new(
        uuid: Uuid,
        name: String,
        kind: GuestKind,
        image: Option<String>,
        vbds: Vec<Vbd>,
        view: GuestView,
        address: Option<IpAddr>,
        host: Arc<HostShared>,
    ) -> Self {
        let expected = ExpectedGuest {
            power: view.power,
            vcpus: view.vcpus,
            memory: view.memory,
            disks: view.disks,
            vifs: view.vifs,
            address,
            reachable: false,
        };
        Self {
            uuid,
            one_request: tokio::sync::Mutex::new(()),
            kind,
            image,
            address,
            expectation: Expectation::new(expected),
            state: Mutex::new(GuestState { name, host, vbds }),
        }
    }

    fn state(&self) -> MutexGuard<'_, GuestState> {
        // Holders replace whole values; none can leave one half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes its name.
    pub(crate) fn renamed(&self, name: &str) {
        name.clone_into(&mut self.state().name);
    }

    /// The host that it is on.
    pub(crate) fn host(&self) -> Arc<HostShared> {
        Arc::clone(&self.state().host)
    }

    /// Notes that it is on another host now.
    pub(crate) fn moved_to(&self, host: Arc<HostShared>) {
        self.state().host = host;
    }

    /// `guest "tiny"`, for errors.
    pub(crate) fn object(&self) -> String {
        format!("guest {:?}", self.state().name)
    }

    /// xapi has no such VM.
    pub(crate) fn missing(&self, verb: &str) -> Error {
        let message = format!("xapi lists no VM {}", self.uuid);
        error::refusal(ToolstackErrorKind::NoSuchObject, verb, &self.object(), message)
    }
}

impl XapiGuest {
    pub(crate) fn new(shared: Arc<GuestShared>, scope: Scope) -> Self {
        Self { shared, scope }
    }

    pub(crate) fn xapi_host(&self) -> XapiHost {
        XapiHost { shared: self.shared.host(), scope: self.scope.clone() }
    }

    pub(crate) fn during(&self, verb: &'static str) -> impl Fn(crate::xe::XeError) -> Error {
        let object = self.shared.object();
        move |error| error.during(verb, &object)
    }

    /// Two calls: the VM and its VIFs; a third where it has VBDs that were not seen yet.
    pub(crate) async fn observe(&self) -> Result<(Vm, GuestView)> {
        let (uuid, xe) = (self.shared.uuid, self.xapi_host().xe());
        let during = self.during("look at");
        let answers = xe.run_all(&[observe::vm(uuid), observe::vifs(uuid)]).await;
        let answers = answers.map_err(&during)?;
        let [vm, vifs] = answers.as_slice() else { return Err(self.shared.missing("look at")) };
        let Some(mut vm) = observe::read_vms(vm)?.into_iter().next() else {
            return Err(self.shared.missing("look at"));
        };
        vm.power = self.paused_or_crashed(vm.power).await?;
        let host = self.shared.host();
        let vifs = observe::read_vifs(vifs, &|uuid| networks::name_of(&host, uuid))?;
        self.shared.renamed(&vm.name);
        let mut vbds = self.shared.state().vbds.clone();
        let known = vm.vbds.iter().all(|uuid| vbds.iter().any(|vbd| vbd.uuid == *uuid));
        if known {
            vbds.retain(|vbd| vm.vbds.contains(&vbd.uuid));
        } else {
            vbds = observe::read_vbds(&xe.run(&observe::vbds(uuid)).await.map_err(during)?)?;
        }
        let view = vm.view(&vbds, &vifs);
        self.shared.state().vbds = vbds;
        Ok((vm, view))
    }

    /// The power state and the address that its agent reports. One call.
    pub(crate) async fn look(&self, verb: &'static str) -> Result<Seen> {
        let xe = self.xapi_host().xe();
        let text = xe.run(&observe::addresses(self.shared.uuid)).await;
        let text = text.map_err(self.during(verb))?;
        let seen = observe::read_addresses(&text)?.ok_or_else(|| self.shared.missing(verb))?;
        self.noted(seen).await
    }

    /// What xapi showed, with what else is known; a new address is kept.
    pub(crate) async fn noted(&self, (state, address): Seen) -> Result<Seen> {
        let state = self.paused_or_crashed(state).await?;
        if let (Some(address), None) = (address, self.shared.address) {
            let before = self.shared.expectation.get().address;
            self.shared.expectation.update(|expected| expected.address = Some(address));
            if let Some(before) = before.filter(|before| *before != address) {
                self.shared.host().drop_connections(before).await;
            }
        }
        Ok((state, address.or(self.shared.address)))
    }

    /// Passes `action` to xapi, and looks at what came of it where that is wanted and costs no
    /// remote command of its own.
    pub(crate) async fn ask(&self, action: &GuestAction, look: bool) -> Result<Option<Seen>> {
        let _one = self.shared.one_request.lock().await;
        let host = self.xapi_host();
        let (shared, xe) = (&host.shared, host.xe());
        let carry_out = |action, look| requests::carry_out(shared, &xe, &self.shared, action, look);
        let seen = match (action, carry_out(action, look).await) {
            // To xapi a crashed guest is a paused one, which has to be ended first.
            (GuestAction::Delete, Err(error))
                if error.toolstack_kind() == Some(ToolstackErrorKind::BadState)
                    && self.has_crashed().await? =>
            {
                carry_out(&GuestAction::PowerOff, false).await?;
                carry_out(action, false).await?
            }
            (_, asked) => asked?,
        };
        if action.ends_connections()
            && let Some(address) = self.shared.expectation.get().address
        {
            shared.drop_connections(address).await;
        }
        if *action == GuestAction::Delete {
            shared.forget(self.shared.uuid);
        }
        Ok(seen)
    }

    /// xapi knows no crashed VMs: one that crashed and is preserved is paused to it (xenopsd pauses
    /// the domain). The hypervisor tells them apart.
    async fn paused_or_crashed(&self, state: PowerState) -> Result<PowerState> {
        let crashed = state == PowerState::Paused && self.has_crashed().await?;
        Ok(if crashed { PowerState::Crashed } else { state })
    }

    /// Whether the hypervisor has a crashed domain of it. No call of `xe`.
    pub(crate) async fn has_crashed(&self) -> Result<bool> {
        let host = self.xapi_host();
        if !host.shared.has_xl {
            return Ok(false);
        }
        let domain = self.own_domain(&host).await?;
        Ok(domain.is_some_and(|domain| domain.power == PowerState::Crashed))
    }

    /// Its domain as the hypervisor has it.
    pub(crate) async fn own_domain(&self, host: &XapiHost) -> Result<Option<DomainView>> {
        let own = host.domains().await?.into_iter();
        let own = own.filter(|domain| domain.uuid == Some(self.shared.uuid));
        // A living domain before one that is being removed.
        let own = own.min_by_key(|domain| domain.power == PowerState::Dying);
        // xl pads names, so that spaces at their end cannot be told from the padding.
        let name = self.shared.state().name.clone();
        Ok(own.map(|domain| match domain.name == name.trim_end() {
            true => DomainView { name, ..domain },
            false => domain,
        }))
    }
}

#[async_trait]
impl Guest for XapiGuest {
    fn name(&self) -> String {
        self.shared.state().name.clone()
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
        Arc::new(self.xapi_host())
    }

    fn expectation(&self) -> &Expectation {
        &self.shared.expectation
    }

    async fn request(&self, action: &GuestAction) -> Result<()> {
        self.ask(action, false).await.map(drop)
    }

    async fn view(&self) -> Result<GuestView> {
        Ok(self.observe().await?.1)
    }

    /// No call where dom0 has `xl`, else one.
    async fn domain(&self) -> Result<Option<DomainView>> {
        let host = self.xapi_host();
        if host.shared.has_xl {
            return self.own_domain(&host).await;
        }
        let text = host.xe().run(&observe::vm(self.shared.uuid)).await;
        let vms = observe::read_vms(&text.map_err(self.during("look at"))?)?;
        Ok(vms.first().and_then(Vm::domain))
    }

    /// One call, and none where the lab chose the address.
    async fn find_address(&self) -> Result<Wait<IpAddr>> {
        if let Some(address) = self.shared.address {
            return Ok(Wait::Done(address));
        }
        let (state, address) = self.look("find the address of").await?;
        Ok(match address {
            Some(address) => Wait::Done(address),
            None => Wait::NotYet(format!("it is {state}, and no agent in it reports an address")),
        })
    }

    async fn console_text(&self) -> Result<String> {
        self.xapi_host().require(Ability::ConsoleLog)?;
        Ok(String::new())
    }

    fn snapshots(&self) -> Result<Arc<dyn Snapshots>> {
        self.xapi_host().require(Ability::Snapshots)?;
        Ok(Arc::new(XapiSnapshots(self.clone())))
    }

    async fn request_migration(&self, target: &Arc<dyn Host>) -> Result<()> {
        let _one = self.shared.one_request.lock().await;
        migration::migrate(self, target.as_ref()).await
    }

    // ---- what xapi has something better for ----

    /// One call.
    async fn power_state(&self) -> Result<PowerState> {
        Ok(self.look("look at").await?.0)
    }

    /// Follows xapi's events: one call where it is so already. Of a crash xapi tells nothing, so
    /// that the hypervisor is asked again and again.
    async fn wait_for_state(&self, state: PowerState, deadline: Duration) -> Result<()> {
        if state != PowerState::Crashed {
            return self.follow_until(state, deadline, None).await;
        }
        wait_until(format!("guest {} to be {state}", self.name()), || async {
            let seen = self.power_state().await?;
            Ok(Wait::on(seen == state, seen.to_string()))
        })
        .within(deadline)
        .await
    }

    /// Power state and address are one look.
    async fn wait_for_address(&self) -> Result<IpAddr> {
        if let Some(address) = self.shared.expectation.get().address {
            return Ok(address);
        }
        let waiting_for = format!("guest {} to have an address", self.name());
        let address = wait_until(waiting_for, || async {
            let (state, address) = self.look("find the address of").await?;
            if matches!(state, PowerState::Crashed | PowerState::Halted) {
                return Err(self.has_stopped(state, "to have an address"));
            }
            Ok(match address {
                Some(address) => Wait::Done(address),
                None => {
                    Wait::NotYet(format!("it is {state}, and no agent in it reports an address"))
                }
            })
        })
        .within(self.deadlines().boot)
        .await?;
        self.shared.expectation.update(|expected| expected.address = Some(address));
        Ok(address)
    }

    async fn start(&self) -> Result<()> {
        self.change(&GuestAction::Start, PowerState::Running, self.deadlines().state).await
    }

    async fn start_paused(&self) -> Result<()> {
        self.change(&GuestAction::StartPaused, PowerState::Paused, self.deadlines().state).await
    }

    async fn shutdown(&self, mode: ShutdownMode) -> Result<()> {
        let action = match mode {
            ShutdownMode::Clean => GuestAction::Shutdown,
            ShutdownMode::Hard => GuestAction::PowerOff,
        };
        self.end(&action, PowerState::Halted, self.deadlines().state).await
    }

    async fn pause(&self) -> Result<()> {
        self.change(&GuestAction::Pause, PowerState::Paused, self.deadlines().state).await
    }

    async fn unpause(&self) -> Result<()> {
        // xapi would let a crashed guest go on.
        if self.has_crashed().await? {
            GuestAction::Unpause.require_allowed_from(PowerState::Crashed, &self.name())?;
        }
        self.change(&GuestAction::Unpause, PowerState::Running, self.deadlines().state).await
    }

    async fn suspend(&self) -> Result<()> {
        self.xapi_host().require(Ability::Suspend)?;
        let deadline = self.deadlines().suspend;
        self.end(&GuestAction::Suspend, PowerState::Suspended, deadline).await
    }

    async fn resume(&self) -> Result<()> {
        self.wake().await
    }

    /// Two or three calls, and one more where dom0 has no `xl`.
    async fn check(&self) -> Result<()> {
        let differences = self.compare().await?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Check(CheckReport { object: self.shared.object(), differences }))
    }
}
