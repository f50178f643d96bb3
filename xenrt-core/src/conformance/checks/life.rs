//! Names and ends of guests, and handles to them.

use std::sync::Arc;

use crate::ToolstackErrorKind;
use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, power_is, without_effect};
use crate::conformance::problem::{
    Outcome, Problem, ensure, gone, invalid, not_found, refused, same,
};
use crate::model::{Ability, DiskSpec, Guest, GuestAction, Memory, PowerState, ShutdownMode};

/// The guest is known by this name and by no other, with the identity that it had.
async fn known_as(cx: &CheckContext, guest: &Arc<dyn Guest>, name: &str, old: &str) -> Outcome {
    same("its name", guest.name(), name.to_owned())?;
    same("the guest of that name", cx.host().guest(name).await?.uuid(), guest.uuid())?;
    not_found(cx.host().guest(old).await, "the old name")
}

async fn deleted(cx: &CheckContext) -> Result<Arc<dyn Guest>, Problem> {
    let guest = cx.halted("a").await?;
    guest.delete().await?;
    Ok(guest)
}

/// Removes the guest whatever its state, and requires that nothing of it is left.
async fn removed(cx: &CheckContext, guest: &Arc<dyn Guest>) -> Outcome {
    guest.ensure_deleted().await?;
    gone(guest.view().await, "a look at a guest that was removed")?;
    let domains = cx.host().domains().await?;
    ensure(domains.iter().all(|d| d.uuid != Some(guest.uuid())), "its domain is still there")
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("life.rename_halted", "a halted guest is known by its new name alone", |cx| {
        Box::pin(async move {
            let guest = cx.halted("old").await?;
            let (old, new, uuid) = (guest.name(), cx.name("new's name"), guest.uuid());
            guest.rename(&new).await?;
            same("its identity", guest.uuid(), uuid)?;
            known_as(cx, &guest, &new, &old).await
        })
    }),
    Check::quick("life.rename_with_domain", "the domain of a guest has its new name", |cx| {
        Box::pin(async move {
            let guest = cx.paused("old").await?;
            let (old, new, uuid) = (guest.name(), cx.name("new"), guest.uuid());
            guest.rename(&new).await?;
            same(
                "the name of its domain",
                guest.domain().await?.map(|d| d.name),
                Some(new.clone()),
            )?;
            same("its identity", guest.uuid(), uuid)?;
            known_as(cx, &guest, &new, &old).await
        })
    })
    .needs(&[Ability::RenameRunning]),
    Check::quick("life.rename_taken", "a guest cannot have the name of another one", |cx| {
        Box::pin(async move {
            let (guest, other) = (cx.halted("a").await?, cx.halted("b").await?);
            let name = other.name();
            let kinds = [ToolstackErrorKind::AlreadyExists];
            let judge = |result| refused(result, "a name that is taken", &kinds);
            without_effect(&guest, guest.rename(&name), judge).await?;
            same("the guest of that name", cx.host().guest(&name).await?.uuid(), other.uuid())
        })
    }),
    Check::quick("life.rename_odd", "a guest cannot be renamed to what cannot be a name", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            for name in ["", "a/b", "a\nb", "Domain-0"] {
                without_effect(&guest, guest.rename(name), |r| invalid(r, "such a name")).await?;
            }
            Ok(())
        })
    }),
    Check::quick(
        "life.old_name_is_free",
        "the old name of a guest can be given to another one",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("old").await?;
                guest.rename(&cx.name("new")).await?;
                let second = cx.halted("old").await?;
                guest.check().await?;
                ensure(second.uuid() != guest.uuid(), "both are one guest")
            })
        },
    ),
    Check::quick("life.rename_and_back", "a guest can have its old name again", |cx| {
        Box::pin(async move {
            let guest = cx.halted("old").await?;
            let (old, new) = (guest.name(), cx.name("new"));
            guest.rename(&new).await?;
            guest.rename(&old).await?;
            known_as(cx, &guest, &old, &new).await
        })
    }),
    Check::quick("life.delete", "a guest that was deleted is not known any more", |cx| {
        Box::pin(async move {
            let guest = deleted(cx).await?;
            gone(guest.view().await, "a look at it")?;
            not_found(cx.host().guest(&guest.name()).await, "its name")
        })
    }),
    Check::quick("life.delete_removes_disks", "what was made for a guest goes with it", |cx| {
        Box::pin(async move {
            let spec = cx.spec("a").disk(DiskSpec::new(Memory::mib(8)));
            let guest = cx.host().create_guest(&spec).await?;
            let disks = guest.view().await?.disks;
            ensure(!disks.is_empty(), "it has no disk")?;
            for disk in &disks {
                ensure(cx.has_disk(&disk.path).await?, format!("{} was not made", disk.path))?;
            }
            guest.delete().await?;
            for disk in disks {
                ensure(!cx.has_disk(&disk.path).await?, format!("{} is still there", disk.path))?;
            }
            Ok(())
        })
    }),
    Check::quick(
        "life.delete_twice",
        "a guest that is gone cannot be deleted, and is told to be gone",
        |cx| Box::pin(async move { gone(deleted(cx).await?.delete().await, "a second deletion") }),
    ),
    Check::quick(
        "life.ensure_deleted_twice",
        "making sure that a guest is gone succeeds when it is",
        |cx| Box::pin(async move { Ok(deleted(cx).await?.ensure_deleted().await?) }),
    ),
    Check::quick("life.verbs_when_gone", "every verb tells that a guest is gone", |cx| {
        Box::pin(async move {
            let guest = deleted(cx).await?;
            gone(guest.start().await, "start")?;
            gone(guest.shutdown(ShutdownMode::Hard).await, "power off")?;
            gone(guest.pause().await, "pause")?;
            gone(guest.set_memory(Memory::mib(256)).await, "a change of memory")?;
            gone(guest.rename(&cx.name("b")).await, "rename")?;
            gone(guest.check().await, "the check")
        })
    }),
    Check::quick(
        "life.request_when_gone",
        "the toolstack itself tells that a guest is gone",
        |cx| {
            Box::pin(async move {
                gone(
                    deleted(cx).await?.request(&GuestAction::Start).await,
                    "the request to start it",
                )
            })
        },
    ),
    Check::quick(
        "life.vanishes_under_us",
        "a guest that is deleted through another handle is gone for this one",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                cx.host().guest(&guest.name()).await?.delete().await?;
                gone(guest.start().await, "start")?;
                gone(guest.power_state().await, "a look at it")
            })
        },
    ),
    Check::quick(
        "life.name_is_free_again",
        "the name of a guest that is gone can be given to another one",
        |cx| {
            Box::pin(async move {
                let first = deleted(cx).await?;
                let second = cx.halted("a").await?;
                ensure(
                    first.uuid() != second.uuid(),
                    "the second guest has the identity of the first",
                )?;
                gone(first.view().await, "a look at the first guest")
            })
        },
    ),
    Check::quick("life.remove_paused", "a paused guest can be removed", |cx| {
        Box::pin(async move { removed(cx, &cx.paused("a").await?).await })
    }),
    Check::boots("life.remove_running", "a running guest can be removed", |cx| {
        Box::pin(async move { removed(cx, &cx.own_up("a").await?).await })
    }),
    Check::boots(
        "life.remove_suspended",
        "a suspended guest can be removed, with its memory",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up("a").await?;
                guest.suspend().await?;
                removed(cx, &guest).await
            })
        },
    )
    .needs(&[Ability::Suspend]),
    Check::quick("life.one_expectation", "all handles to a guest share what it should be", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            let other = cx.host().guest(&guest.name()).await?;
            other.start_paused().await?;
            same("what it should be", guest.expectation().get().power, PowerState::Paused)?;
            Ok(guest.check().await?)
        })
    }),
    Check::quick(
        "life.renamed_through_another",
        "a rename through one handle is seen by another one",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let other = cx.host().guest(&guest.name()).await?;
                let name = cx.name("b");
                other.rename(&name).await?;
                same("its name", guest.name(), name)?;
                power_is(&guest, PowerState::Halted).await
            })
        },
    ),
];
