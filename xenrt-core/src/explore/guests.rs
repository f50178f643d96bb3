//! What the guests of an exploration are: made on a host, and written down in a test case.

use std::sync::Arc;

use super::program::Verb;
use crate::lab::GuestImage;
use crate::model::{Ability, GuestKind, GuestSpec, Host, Memory, VifSpec};
use crate::{Error, Result};

/// The most vCPUs of each, where a host has as many processors: with more than that, a guest that boots
/// spends most of its time on waiting for vCPUs that do not run.
const MOST_VCPUS: u32 = 4;
/// Each has so many MiB more than its image needs, at least: a VIF takes 1 MiB and more of its memory for
/// each vCPU (Linux, drivers/net/xen-netfront.c, `NET_RX_RING_SIZE` pages a queue).
pub(super) const DEVICE_MEMORY: u32 = 64;
/// And so many MiB more than that at most.
pub(super) const MOST_MORE_MEMORY: u32 = 64;

/// What the guests of an exploration are, all of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guests {
    /// Their kind, where it was chosen.
    pub kind: Option<GuestKind>,
    /// The most vCPUs that each can have.
    pub most_vcpus: u32,
}

impl Guests {
    /// What they can be on these hosts: of `kind` where one is chosen, and else of one that can be moved
    /// where there are two hosts.
    ///
    /// # Errors
    /// For a kind that the image is none of, or that a host does not run: nothing would be explored.
    pub(super) async fn on(
        hosts: &[Arc<dyn Host>],
        image: &GuestImage,
        kind: Option<GuestKind>,
    ) -> Result<Self> {
        let mut most_vcpus = MOST_VCPUS;
        for host in hosts {
            if let Some(kind) = kind {
                host.require(kind.ability())?;
            }
            most_vcpus = most_vcpus.min(host.info().await?.cpus.max(1));
        }
        if let Some(kind) = kind.filter(|kind| !image.kinds.contains(kind)) {
            let why = format!("image {} boots as one of {:?}", image.name, image.kinds);
            return Err(Error::invalid(format!("the kind {kind:?}"), why));
        }
        let moves = hosts.len() > 1 && hosts[0].abilities().has(Ability::LiveMigration);
        let moved = hosts.first().and_then(|host| host.kind_to_move(&image.kinds));
        Ok(Self { kind: kind.or(moved.filter(|_| moves)), most_vcpus })
    }

    /// The verbs that have no place with them on these hosts.
    pub(super) fn cannot(self, hosts: &[Arc<dyn Host>]) -> impl Iterator<Item = Verb> {
        let stays = self.kind.is_some_and(|kind| hosts.iter().any(|host| !host.moves(kind)));
        Verb::DRAWN.iter().copied().filter(move |verb| match verb {
            Verb::Migrate => stays,
            Verb::SetVcpus(vcpus) => *vcpus > self.most_vcpus,
            _ => false,
        })
    }

    /// The memory of one that has `more` MiB than it has at least.
    pub(super) fn memory(image: &GuestImage, more: u32) -> Memory {
        Memory::mib(image.memory.as_mib() + u64::from(DEVICE_MEMORY + more))
    }

    /// One of them.
    pub(super) fn spec(self, name: &str, image: &GuestImage) -> GuestSpec {
        let mut spec = GuestSpec::new(name)
            .image(&image.name)
            .vcpus(1)
            .max_vcpus(self.most_vcpus)
            .memory(Self::memory(image, 0))
            .max_memory(Self::memory(image, MOST_MORE_MEMORY))
            .vif(VifSpec::on_default());
        spec.kind = self.kind;
        spec
    }

    /// The same as statements of Rust, which leave it in `spec`.
    pub(super) fn statements(self, name: &str, image: &str) -> Vec<String> {
        let kind = self.kind.map(|kind| format!(".kind(GuestKind::{kind:?})")).unwrap_or_default();
        let most = DEVICE_MEMORY + MOST_MORE_MEMORY;
        vec![
            format!("let spec = GuestSpec::new({name:?}).image({image:?}){kind};"),
            format!("let spec = spec.max_vcpus({}).vif(VifSpec::on_default());", self.most_vcpus),
            format!("let memory = hosts[0].entry().image_for({image:?})?.memory.as_mib();"),
            format!("let spec = spec.memory(Memory::mib(memory + {DEVICE_MEMORY}));"),
            format!("let spec = spec.max_memory(Memory::mib(memory + {most}));"),
        ]
    }
}
