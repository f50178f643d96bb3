//! The storage that a sequence prepares.
//!
//! What it is made of stands in the lab (`[[host.storage]]`): a `<storage>` takes the first of its
//! type, on its `network`, or the one that `options` names. A disk can be one storage at a time; a
//! folder of a server can be several.

use futures::future::FutureExt as _;

use super::{Makings, Preparation};
use crate::lab::{HostEntry, LabStorage};
use crate::model::{StorageSource, StorageSpec};
use crate::sequence::{NetworkRole, Prepare, StorageOption, StorageStep, StorageType};
use crate::sequencer::resources::Resources;
use crate::{Error, Result};

impl Preparation {
    pub(super) async fn make_storage(
        &self,
        part: &Prepare,
        resources: &Resources,
        makings: &mut Makings,
    ) -> Result<(), String> {
        let of_hosts = part.hosts.iter().map(|host| (self.position(host.id), &host.storage));
        let of_pools = part.pools.iter().enumerate().filter_map(|(number, pool)| {
            Some((*self.pool_positions(part, number).first()?, &pool.storage))
        });
        let mut steps = Vec::new();
        let mut defaults = Vec::new();
        for (at, storage) in of_hosts.chain(of_pools) {
            let host = &resources.hosts[at].host;
            for step in storage {
                // Which is taken by whom does not depend on who is faster.
                let chosen = choose(host.entry(), step, makings.taken.entry(at).or_default());
                let name = format!("storage {} on {}", step.name, host.name());
                let line = Some(step.place.line);
                steps.push(
                    async move {
                        let work = async {
                            let spec = StorageSpec {
                                name: step.name.to_string(),
                                source: chosen?,
                                nfs_version: step
                                    .options
                                    .contains(&StorageOption::NfsVersion4)
                                    .then_some(4),
                            };
                            host.storages()?.create(&spec).await.map(drop)
                        };
                        self.step(&name, line, work).await
                    }
                    .boxed(),
                );
                if step.is_default {
                    defaults.push((host, step));
                }
            }
        }
        self.all(steps).await?;
        for (host, step) in defaults {
            let name = format!("default storage of {}", host.name());
            let work = async { host.storages()?.make_default(&step.name).await };
            self.step(&name, Some(step.place.line), work).await?;
        }
        Ok(())
    }
}

/// Whether a type is one that the lab's sources can make.
pub(in crate::sequencer) fn can_be_made(kind: StorageType) -> bool {
    use StorageType::{Ext, Fcoe, FibreChannel, Iso, Lvm, LvmOverIscsi, Nfs, Smb};
    matches!(kind, Ext | Lvm | Nfs | LvmOverIscsi | FibreChannel | Fcoe | Smb | Iso)
}

fn is_made_of(kind: StorageType, source: &StorageSource) -> bool {
    match source {
        StorageSource::Ext { .. } => kind == StorageType::Ext,
        StorageSource::Lvm { .. } => kind == StorageType::Lvm,
        StorageSource::Nfs { .. } => kind == StorageType::Nfs,
        StorageSource::Iscsi { .. } => kind == StorageType::LvmOverIscsi,
        StorageSource::FibreChannel { .. } => {
            matches!(kind, StorageType::FibreChannel | StorageType::Fcoe)
        }
        StorageSource::Smb { .. } => kind == StorageType::Smb,
        StorageSource::Iso { .. } => kind == StorageType::Iso,
    }
}

/// What a `<storage>` is made of on a host; `taken` are the places of the disks that are taken.
fn choose(entry: &HostEntry, step: &StorageStep, taken: &mut Vec<usize>) -> Result<StorageSource> {
    let named = step.options.iter().find_map(|option| match option {
        StorageOption::Device(name) => Some(name.as_str()),
        _ => None,
    });
    let primary = NetworkRole::Primary;
    let network = step.network.as_ref().unwrap_or(&primary);
    let fits = |own: &LabStorage| {
        let over = own.network.as_deref().unwrap_or(primary.word());
        let network = matches!(network, NetworkRole::Any) || over == network.word();
        let name = named.is_none_or(|name| own.name.as_deref() == Some(name));
        is_made_of(step.kind, &own.source) && network && name
    };
    let free = |(at, own): &(usize, &LabStorage)| {
        fits(own) && !(own.source.is_exclusive() && taken.contains(at))
    };
    let found = entry.storage.iter().enumerate().find(free);
    let (at, found) = found.ok_or_else(|| {
        let called = named.map(|name| format!(" called {name:?}")).unwrap_or_default();
        let there = entry.storage.iter().filter(|own| fits(own)).count();
        let seen = match there {
            0 => "has none".to_owned(),
            n => format!("has {n}, and all are in use"),
        };
        Error::lab(format!(
            "the lab {seen} of type {}{called} on {} for host {:?}; name more in `[[host.storage]]` \
             of the lab file",
            step.kind.name(),
            network.word(),
            entry.name
        ))
    })?;
    taken.push(at);
    Ok(found.source.clone())
}
