//! Storage of simulated hosts: folders for disks, local ones and ones that a pool shares.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::refusal;
use super::fault::SimCall;
use super::host::SimHost;
use super::machine::{Machine, MachineState};
use super::world::draw_uuid;
use crate::model::{Host, Memory, Storage, StorageSource, StorageSpec, Storages};
use crate::{Error, Result, ToolstackErrorKind};

/// All room of a simulated storage.
const SIZE: Memory = Memory::gib(1024);

/// A storage as it really is.
#[derive(Debug, Clone)]
pub(super) struct SimStorage {
    pub(super) storage: Storage,
    pub(super) source: StorageSource,
}

/// The storage of a simulated host.
#[derive(Debug, Clone)]
pub(super) struct SimStorages(pub(super) SimHost);

impl SimStorages {
    fn machine(&self) -> &Arc<Machine> {
        self.0.machine()
    }

    /// The machine that keeps this storage: the host itself, or its coordinator.
    fn keeper(&self, id: &str) -> Option<Arc<Machine>> {
        let own = self.machine();
        let keeps = |machine: &Arc<Machine>| machine.state().storage(id).is_some();
        [Some(Arc::clone(own)), own.coordinator()].into_iter().flatten().find(keeps)
    }
}

#[async_trait]
impl Storages for SimStorages {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Storages> {
        Arc::new(self.clone())
    }

    async fn list(&self) -> Result<Vec<Storage>> {
        let admitted = self.0.enter(SimCall::Storage, None).await?;
        let listed = self.machine().all_storages().into_iter().map(|own| own.storage).collect();
        self.machine().answer(&admitted, SimCall::Storage, listed)
    }

    async fn request_create(&self, spec: &StorageSpec) -> Result<Storage> {
        let admitted = self.0.enter(SimCall::Storage, None).await?;
        let machine = self.machine();
        let shared = spec.source.is_shared();
        let keeper = machine.coordinator().filter(|_| shared);
        let keeper = keeper.unwrap_or_else(|| Arc::clone(machine));
        let mut state = keeper.state();
        let what = format!("storage {:?}", spec.name);
        let same = |own: &&SimStorage| own.source == spec.source && spec.source.is_exclusive();
        if let Some(other) = state.storages.iter().find(same) {
            let message = format!("{:?} is made of it already", other.storage.name);
            return Err(refusal(ToolstackErrorKind::BadState, "create", &what, message));
        }
        let count = state.count_vm();
        let storage = Storage {
            id: draw_uuid(machine.world.seed, &["storage", &keeper.entry.name], count).to_string(),
            name: spec.name.clone(),
            kind: spec.source.name().to_owned(),
            shared,
            own: true,
            size: SIZE,
            used: Memory::default(),
        };
        state.storages.push(SimStorage { storage: storage.clone(), source: spec.source.clone() });
        drop(state);
        machine.answer(&admitted, SimCall::Storage, storage)
    }

    async fn request_remove(&self, storage: &Storage) -> Result<()> {
        let admitted = self.0.enter(SimCall::Storage, None).await?;
        let what = format!("storage {:?}", storage.name);
        let Some(keeper) = self.keeper(&storage.id) else {
            let kind = ToolstackErrorKind::NoSuchObject;
            return Err(refusal(kind, "remove", &what, "it is not there"));
        };
        let folder = folder(&keeper, &storage.id);
        let holds = |machine: &Arc<Machine>| {
            machine.state().files.keys().any(|path| path.starts_with(&folder))
        };
        if keeper.members().iter().chain([&keeper]).any(holds) {
            let kind = ToolstackErrorKind::BadState;
            return Err(refusal(kind, "remove", &what, "it still holds disks"));
        }
        if !admitted.ignore {
            let mut state = keeper.state();
            state.storages.retain(|own| own.storage.id != storage.id);
            if state.default_storage.as_deref() == Some(&*storage.id) {
                state.default_storage = None;
            }
        }
        self.machine().answer(&admitted, SimCall::Storage, ())
    }

    async fn default_storage(&self) -> Result<Option<Storage>> {
        let admitted = self.0.enter(SimCall::Storage, None).await?;
        let found = self.machine().default_storage().map(|own| own.storage);
        self.machine().answer(&admitted, SimCall::Storage, found)
    }

    async fn request_default(&self, storage: Option<&Storage>) -> Result<()> {
        let admitted = self.0.enter(SimCall::Storage, None).await?;
        let machine = self.machine();
        if let Some(storage) = storage
            && !machine.all_storages().iter().any(|own| own.storage.id == storage.id)
        {
            let (kind, what) =
                (ToolstackErrorKind::NoSuchObject, format!("storage {:?}", storage.name));
            return Err(refusal(kind, "make the default", &what, "it is not there"));
        }
        if !admitted.ignore {
            let keeper = machine.coordinator().unwrap_or_else(|| Arc::clone(machine));
            keeper.state().default_storage = storage.map(|storage| storage.id.clone());
        }
        machine.answer(&admitted, SimCall::Storage, ())
    }
}

/// Where the disks on a storage are.
pub(super) fn folder(machine: &Machine, id: &str) -> String {
    format!("{}/storage/{id}/", machine.entry.work_folder)
}

impl Machine {
    /// What the host sees: its own, and what its pool shares.
    pub(super) fn all_storages(&self) -> Vec<SimStorage> {
        let mut all = self.state().storages.clone();
        if let Some(coordinator) = self.coordinator() {
            let theirs = coordinator.state().storages.clone();
            all.extend(theirs.into_iter().filter(|own| own.storage.shared));
        }
        all
    }

    /// Where new disks go.
    pub(super) fn default_storage(&self) -> Option<SimStorage> {
        let id = match self.coordinator() {
            Some(coordinator) => coordinator.state().default_storage.clone(),
            None => self.state().default_storage.clone(),
        }?;
        self.all_storages().into_iter().find(|own| own.storage.id == id)
    }

    /// The folder of the storage that a guest asks for, or of the default one; `None` where the disks
    /// of the guest are in a folder of its own.
    pub(super) fn storage_folder(&self, asked: Option<&str>, what: &str) -> Result<Option<String>> {
        let Some(asked) = asked else {
            return Ok(self.default_storage().map(|own| folder(self, &own.storage.id)));
        };
        let all = self.all_storages();
        let found = all.iter().find(|own| own.storage.name == asked || own.storage.id == asked);
        let found = found.ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|own| own.storage.name.as_str()).collect();
            let hint = crate::nearest::hint(asked, known.iter().copied());
            Error::invalid(what, format!("there is no storage {asked:?}{hint}"))
        })?;
        if matches!(found.source, StorageSource::Iso { .. }) {
            return Err(Error::invalid(what, format!("storage {asked:?} is only read")));
        }
        Ok(Some(folder(self, &found.storage.id)))
    }
}

impl MachineState {
    fn storage(&self, id: &str) -> Option<&SimStorage> {
        self.storages.iter().find(|own| own.storage.id == id)
    }
}
