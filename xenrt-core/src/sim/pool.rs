//! Pools of simulated hosts.

use std::any::Any;
use std::sync::{Arc, PoisonError, Weak};

use async_trait::async_trait;

use super::error::refusal;
use super::fault::SimCall;
use super::host::SimHost;
use super::machine::Machine;
use crate::model::{Ability, Host, PoolMember, Pooling};
use crate::{Error, Result, ToolstackErrorKind};

/// To which pool a machine belongs: a machine alone has neither.
#[derive(Debug, Default)]
pub(super) struct PoolPlace {
    coordinator: Option<Weak<Machine>>,
    members: Vec<Weak<Machine>>,
}

/// The pool of a simulated host.
#[derive(Debug, Clone)]
pub(super) struct SimPooling(pub(super) SimHost);

impl SimPooling {
    fn refused(&self, verb: &str, kind: ToolstackErrorKind, message: impl Into<String>) -> Error {
        refusal(kind, verb, &format!("host {:?}", self.0.name()), message)
    }
}

#[async_trait]
impl Pooling for SimPooling {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Pooling> {
        Arc::new(self.clone())
    }

    async fn own_id(&self) -> Result<String> {
        Ok(self.0.name().to_owned())
    }

    async fn members(&self) -> Result<Vec<PoolMember>> {
        let admitted = self.0.enter(SimCall::Pool, None).await?;
        let own = self.0.machine();
        let head = own.coordinator().unwrap_or_else(|| Arc::clone(own));
        let others = head.members();
        let member = |machine: &Arc<Machine>| PoolMember {
            id: machine.entry.name.clone(),
            name: machine.entry.name.clone(),
            coordinator: Arc::ptr_eq(machine, &head),
            live: machine.reachable().is_ok(),
        };
        let members = std::iter::once(&head).chain(&others).map(member).collect();
        own.answer(&admitted, SimCall::Pool, members)
    }

    async fn request_join(&self, coordinator: &Arc<dyn Host>) -> Result<()> {
        let admitted = self.0.enter(SimCall::Pool, None).await?;
        let own = self.0.machine();
        let any: &dyn Any = &**coordinator;
        let what = || format!("the coordinator of the pool of host {:?}", self.0.name());
        let Some(head) = any.downcast_ref::<SimHost>().map(SimHost::machine) else {
            let (name, toolstack) = (coordinator.name(), coordinator.toolstack());
            let problem = format!("host {name} is managed by {toolstack}, not by sim");
            return Err(Error::invalid(what(), problem));
        };
        if Arc::ptr_eq(own, head) || !Arc::ptr_eq(&own.world, &head.world) {
            return Err(Error::invalid(what(), "it is no other host of the same simulated lab"));
        }
        head.reachable()?;
        head.abilities.require(super::TOOLSTACK, Ability::Pool)?;
        let bad = |message: &str| self.refused("join", ToolstackErrorKind::BadState, message);
        if own.is_pooled() || head.coordinator().is_some() {
            return Err(bad("it is in a pool, or the other one is no coordinator"));
        }
        if !own.state().vms.is_empty() {
            return Err(bad("it has guests"));
        }
        if !admitted.ignore {
            // What the pool has is on its new member from now on.
            let theirs: Vec<_> =
                head.state().networks.iter().filter(|own| own.made).cloned().collect();
            let mut state = own.state();
            for network in theirs {
                if state.networks.iter().all(|own| own.network.name != network.network.name) {
                    state.networks.push(network);
                }
            }
            state.default_storage = None;
            drop(state);
            own.place().coordinator = Some(Arc::downgrade(head));
            head.place().members.push(Arc::downgrade(own));
        }
        own.answer(&admitted, SimCall::Pool, ())
    }

    async fn request_leave(&self) -> Result<()> {
        let admitted = self.0.enter(SimCall::Pool, None).await?;
        let own = self.0.machine();
        let Some(head) = own.coordinator() else {
            let kind = ToolstackErrorKind::NotSupported;
            return Err(self.refused("leave", kind, "the coordinator cannot be taken out"));
        };
        if !admitted.ignore {
            own.place().coordinator = None;
            head.place().members.retain(|member| !std::ptr::eq(member.as_ptr(), Arc::as_ptr(own)));
            // It starts anew.
            let mut state = own.state();
            state.networks.retain(|network| !network.made);
            state.storages.clear();
            state.vms.clear();
            state.templates.clear();
        }
        own.answer(&admitted, SimCall::Pool, ())
    }
}

impl Machine {
    fn place(&self) -> std::sync::MutexGuard<'_, PoolPlace> {
        // Holders make one change; none can leave it half made.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host that speaks for the pool, where that is another one.
    pub(super) fn coordinator(&self) -> Option<Arc<Self>> {
        self.place().coordinator.as_ref().and_then(Weak::upgrade)
    }

    /// The other hosts of the pool that it speaks for.
    pub(super) fn members(&self) -> Vec<Arc<Self>> {
        self.place().members.iter().filter_map(Weak::upgrade).collect()
    }

    fn is_pooled(&self) -> bool {
        self.coordinator().is_some() || !self.members().is_empty()
    }
}
