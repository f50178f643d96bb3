//! vCPUs and memory.

use crate::ToolstackErrorKind;
use crate::conformance::check::Check;
use crate::conformance::context::{has_online, power_is, without_effect};
use crate::conformance::problem::{Problem, ensure, refused, same};
use crate::model::{Ability, Memory, PowerState, ShutdownMode};

pub(super) const CHECKS: &[Check] = &[
    Check::boots(
        "resources.more_vcpus",
        "a running guest that is given a vCPU uses it, in all views",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                guest.set_vcpus(2).await?;
                let domain = guest.domain().await?.map(|domain| domain.vcpus);
                let found = (guest.view().await?.vcpus, domain, guest.inside().await?.vcpus);
                guest.set_vcpus(1).await?;
                same("toolstack, hypervisor and guest", found, (2, Some(2), 2))
            })
        },
    )
    .needs(&[Ability::VcpuHotplug]),
    Check::boots("resources.fewer_vcpus", "a running guest gives up a vCPU, in all views", |cx| {
        Box::pin(async move {
            let guest = cx.own_up_as(&cx.spec("a").vcpus(2)).await?;
            guest.set_vcpus(1).await?;
            let domain = guest.domain().await?.map(|domain| domain.vcpus);
            let found = (guest.view().await?.vcpus, domain, guest.inside().await?.vcpus);
            same("toolstack, hypervisor and guest", found, (1, Some(1), 1))
        })
    })
    .needs(&[Ability::VcpuHotplug]),
    Check::boots("resources.same_vcpus", "setting the vCPUs that it has changes nothing", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let before = guest.view().await?;
            guest.set_vcpus(before.vcpus).await?;
            same("its view", guest.view().await?, before)
        })
    })
    .needs(&[Ability::VcpuHotplug]),
    Check::quick(
        "resources.vcpus_of_halted",
        "a halted guest starts with the vCPUs that it was set to",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                guest.set_vcpus(2).await?;
                guest.start().await?;
                has_online(&guest, 2).await?;
                guest.check().await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::boots(
        "resources.vcpus_survive_reboot",
        "vCPUs that a running guest was given stay with the next boot",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up_as(&cx.spec("a").vcpus(1).max_vcpus(2)).await?;
                guest.set_vcpus(2).await?;
                guest.reboot(ShutdownMode::Hard).await?;
                same("its vCPUs inside", guest.inside().await?.vcpus, 2)?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(&[Ability::VcpuHotplug]),
    Check::boots(
        "resources.less_memory",
        "a running guest gives up memory, in all views, and takes it back",
        |cx| {
            Box::pin(async move {
                let full = cx.host().entry().image_for(&cx.image)?.memory;
                let guest =
                    cx.own_up_as(&cx.spec("a").memory(Memory::mib(full.as_mib() + 64))).await?;
                guest.set_memory(full).await?;
                let held = guest.domain().await?.map(|domain| domain.memory).unwrap_or_default();
                ensure(
                    held.abs_diff(full) <= Memory::mib(16),
                    format!("its domain holds {held}, not {full}"),
                )?;
                guest.check().await?;
                guest.set_memory(Memory::mib(full.as_mib() + 64)).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(&[Ability::MemoryHotplug]),
    Check::quick(
        "resources.memory_of_halted",
        "a halted guest starts with the memory that it was set to",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let more = Memory::mib(guest.view().await?.memory.as_mib() + 64);
                guest.set_memory(more).await?;
                guest.start_paused().await?;
                let held = guest.domain().await?.map(|domain| domain.memory).unwrap_or_default();
                ensure(
                    held.abs_diff(more) <= Memory::mib(16),
                    format!("its domain holds {held}, not {more}"),
                )?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::quick(
        "resources.memory_back",
        "a halted guest that is given memory and gives it back starts with what it had",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let before = guest.view().await?.memory;
                guest.set_memory(Memory::mib(before.as_mib() + 64)).await?;
                guest.set_memory(before).await?;
                guest.start_paused().await?;
                same("its memory", guest.view().await?.memory, before)?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::boots(
        "resources.maximum_stays",
        "the maximum that was chosen stays when a halted guest is given all of it and less again",
        |cx| {
            Box::pin(async move {
                let full = cx.host().entry().image_for(&cx.image)?.memory;
                let more = Memory::mib(full.as_mib() + 64);
                let guest = cx.own_up_as(&cx.spec("a").memory(full).max_memory(more)).await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                guest.set_memory(more).await?;
                guest.set_memory(full).await?;
                guest.start().await?;
                guest.wait_until_reachable().await?;
                guest.set_memory(more).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(&[Ability::MemoryHotplug]),
    Check::boots(
        "resources.memory_beyond_host",
        "a running guest cannot be given more memory than its host has",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let all = cx.host().info().await?.memory;
                let attempt = guest.set_memory(Memory::mib(all.as_mib() + 1024));
                let kinds =
                    [ToolstackErrorKind::OutOfMemory, ToolstackErrorKind::InvalidConfiguration];
                without_effect(&guest, attempt, |result| refused(result, "that much", &kinds))
                    .await?;
                power_is(&guest, PowerState::Running).await
            })
        },
    )
    .needs(&[Ability::MemoryHotplug]),
    Check::quick("resources.most_vcpus", "a guest can have 8 vCPUs", |cx| {
        Box::pin(async move {
            let guest = cx.host().create_guest(&cx.spec("a").vcpus(8)).await?;
            guest.start().await?;
            has_online(&guest, 8).await
        })
    }),
    Check::quick(
        "resources.most_vcpus_of_halted",
        "a halted guest can be set to 8 vCPUs, however few processors its host has",
        |cx| {
            Box::pin(async move {
                let guest = cx.host().create_guest(&cx.spec("a").vcpus(1).max_vcpus(8)).await?;
                guest.set_vcpus(8).await?;
                let view = guest.view().await?;
                same("its vCPUs, and the most", (view.vcpus, view.max_vcpus), (8, 8))?;
                guest.start().await?;
                has_online(&guest, 8).await
            })
        },
    ),
    Check::quick(
        "resources.free_memory",
        "the memory of a guest is taken from its host and given back",
        |cx| {
            Box::pin(async move {
                let free =
                    async || -> Result<Memory, Problem> { Ok(cx.host().info().await?.free_memory) };
                // Large enough to be told from what else the host does with its memory meanwhile.
                let image = cx.host().entry().image_for(&cx.image)?.memory;
                let large = Memory::mib(free().await?.as_mib() / 4).max(image);
                let guest = cx.host().create_guest(&cx.spec("a").memory(large)).await?;
                let needs = guest.view().await?.memory;
                let before = free().await?;
                guest.start_paused().await?;
                let with = free().await?;
                let taken = before.as_bytes().saturating_sub(with.as_bytes());
                ensure(
                    taken >= needs.as_bytes() / 2,
                    format!("free before {before}, with it {with}"),
                )?;
                guest.shutdown(ShutdownMode::Hard).await?;
                let after = crate::remote::wait_until("the memory to be free again", || async {
                    let now = cx.host().info().await?.free_memory;
                    let back = now.as_bytes() + needs.as_bytes() / 2 >= before.as_bytes();
                    Ok(crate::remote::Wait::on(back, format!("{now} of {before}")))
                });
                Ok(after.within(cx.patience()).await?)
            })
        },
    )
    .alone(),
];
