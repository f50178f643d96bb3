//! Templates of simulated hosts.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::error::refusal;
use super::fault::SimCall;
use super::host::SimHost;
use super::vm::Vm;
use crate::model::{Guest, Host, PowerState, Template, Templates};
use crate::{Result, ToolstackErrorKind};

/// The templates of a simulated host.
#[derive(Debug, Clone)]
pub(super) struct SimTemplates(pub(super) SimHost);

fn template(vm: &Vm) -> Template {
    // None comes with the toolstack.
    Template { id: vm.uuid.to_string(), name: vm.name.clone(), own: true }
}

#[async_trait]
impl Templates for SimTemplates {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Templates> {
        Arc::new(self.clone())
    }

    async fn list(&self) -> Result<Vec<Template>> {
        let admitted = self.0.enter(SimCall::Template, None).await?;
        let machine = self.0.machine();
        let listed = machine.state().templates.values().map(template).collect();
        machine.answer(&admitted, SimCall::Template, listed)
    }

    async fn request_convert(&self, guest: &dyn Guest) -> Result<Template> {
        let name = guest.name();
        let admitted = self.0.enter(SimCall::Template, Some(&name)).await?;
        let machine = self.0.machine();
        let refused = |kind, message: &str| {
            refusal(kind, "convert", &format!("guest {name:?}"), message.to_owned())
        };
        let mut state = machine.state();
        let uuid = guest.uuid();
        let Some(vm) = state.vm(machine, uuid) else {
            return Err(refused(ToolstackErrorKind::NoSuchObject, "it is not there"));
        };
        if vm.power() != PowerState::Halted {
            return Err(refused(ToolstackErrorKind::BadState, "it is not Halted"));
        }
        if let Some(address) = vm.address.take() {
            machine.world.forget(address);
        }
        let made = template(vm);
        if !admitted.ignore
            && let Some(mut vm) = state.vms.remove(&uuid)
        {
            vm.vifs.clear();
            state.templates.insert(uuid, vm);
            machine.forget_handle(uuid);
        }
        drop(state);
        machine.answer(&admitted, SimCall::Template, made)
    }

    async fn request_remove(&self, template: &Template) -> Result<()> {
        let admitted = self.0.enter(SimCall::Template, None).await?;
        let machine = self.0.machine();
        let uuid: Option<Uuid> = template.id.parse().ok();
        if !admitted.ignore {
            let mut state = machine.state();
            let Some(vm) = uuid.and_then(|uuid| state.templates.remove(&uuid)) else {
                let what = format!("template {:?}", template.name);
                let kind = ToolstackErrorKind::NoSuchObject;
                return Err(refusal(kind, "remove", &what, "it is not there"));
            };
            vm.disks.iter().for_each(|disk| state.unmake_disk(disk));
        }
        machine.answer(&admitted, SimCall::Template, ())
    }
}
