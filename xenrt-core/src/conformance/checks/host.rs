//! What a host says about itself.

use std::sync::{Arc, Mutex, PoisonError};

use crate::conformance::check::Check;
use crate::conformance::problem::{Problem, ensure, same};
use crate::model::{DiskSpec, Memory, PowerState, Scope};
use crate::remote::{Command, CommandRecord, Observer};

/// Counts the commands that it is told of.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn command(&self, record: CommandRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.command);
    }
}

impl Heard {
    fn has(&self, command: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|own| own == command)
    }
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("host.info", "a host knows its name, processors and memory", |cx| {
        Box::pin(async move {
            let info = cx.host().info().await?;
            ensure(!info.hostname.is_empty() && !info.hypervisor.is_empty(), format!("{info:?}"))?;
            ensure(info.cpus > 0 && info.memory > Memory::mib(64), format!("{info:?}"))?;
            ensure(info.free_memory < info.memory, format!("all memory is free: {info:?}"))
        })
    }),
    Check::quick(
        "host.control_domain",
        "the control domain is the first of the domains, and runs",
        |cx| {
            Box::pin(async move {
                let domains = cx.host().domains().await?;
                let dom0 = domains.iter().find(|domain| domain.domid == 0);
                let power = dom0.map(|domain| domain.power);
                same("the state of domain 0", power, Some(PowerState::Running))
            })
        },
    ),
    Check::quick(
        "host.control_domain_is_no_guest",
        "the control domain is not among the guests",
        |cx| {
            Box::pin(async move {
                let guests = cx.host().guests().await?;
                ensure(guests.iter().all(|guest| guest.name() != "Domain-0"), "it is")
            })
        },
    ),
    Check::quick("host.domain_identity", "a domain is known by the identity of its guest", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            let domains = cx.host().domains().await?;
            let own: Vec<_> = domains.iter().filter(|d| d.uuid == Some(guest.uuid())).collect();
            same("the number of its domains", own.len(), 1)?;
            same("the name of its domain", own[0].name.clone(), guest.name())
        })
    }),
    Check::quick(
        "host.guest_network",
        "the guest network of the host is among its networks",
        |cx| {
            Box::pin(async move {
                let Some(network) = &cx.host().entry().guest_network else {
                    return Err(Problem::Errored("the host has no guest network".to_owned()));
                };
                let networks = cx.host().networks().await?;
                ensure(networks.iter().any(|own| own.name == network.network), "it is not")
            })
        },
    ),
    Check::quick("host.abilities", "each ability that a host lacks has a reason", |cx| {
        Box::pin(async move {
            let abilities = cx.host().abilities();
            let silent: Vec<_> = crate::model::Ability::ALL
                .into_iter()
                .filter(|ability| !abilities.has(*ability) && abilities.reason(*ability).is_none())
                .collect();
            same("what it lacks without a reason", silent, Vec::new())
        })
    }),
    Check::quick(
        "host.inventory",
        "the inventory lists what a guest has on the host, and not after it is gone",
        |cx| {
            Box::pin(async move {
                let before = cx.host().inventory().await?;
                let spec = cx.spec("a").disk(DiskSpec::new(Memory::mib(8)));
                let guest = cx.host().create_guest(&spec).await?;
                guest.start_paused().await?;
                let added = cx.host().inventory().await?.added_since(&before);
                ensure(
                    added.contains(&format!("domain {}", guest.name())),
                    format!("it lists {added:?}"),
                )?;
                let disks = guest.view().await?.disks;
                let listed =
                    disks.iter().filter(|disk| added.contains(&format!("file {}", disk.path)));
                ensure(listed.count() > 0, format!("none of {disks:?} is in {added:?}"))?;
                guest.ensure_deleted().await?;
                same("what is left", cx.host().inventory().await?.added_since(&before), Vec::new())
            })
        },
    )
    .alone(),
    Check::quick(
        "host.inventory_sorted",
        "the inventory is sorted and the same when nothing happened",
        |cx| {
            Box::pin(async move {
                let (one, other) = (cx.host().inventory().await?, cx.host().inventory().await?);
                ensure(one.objects.is_sorted(), "it is not sorted")?;
                same("the second one", other, one)
            })
        },
    )
    .alone(),
    Check::quick(
        "host.evidence",
        "every source of evidence gives something, in a file of its own",
        |cx| {
            Box::pin(async move {
                let sources = cx.host().evidence_sources();
                ensure(!sources.is_empty(), "there is none")?;
                let mut files: Vec<_> = sources.iter().map(|source| source.file.clone()).collect();
                files.sort();
                files.dedup();
                same("the number of files", files.len(), sources.len())?;
                for source in &sources {
                    ensure(
                        !source.file.contains('/'),
                        format!("{} is no plain name", source.file),
                    )?;
                }
                let log = &sources[0];
                let output = cx.host().dom0().execute(&log.command).await?;
                ensure(
                    output.status.success(),
                    format!("`{}`: {}", log.command, output.error_text()),
                )?;
                ensure(!output.stdout.is_empty(), format!("`{}` gives nothing", log.command))
            })
        },
    ),
    Check::quick(
        "host.scope_hears",
        "commands are told to the scope of the handle that ran them",
        |cx| {
            Box::pin(async move {
                let heard = Arc::new(Heard::default());
                let host = cx.host().in_scope(Scope::observed_by(heard.clone()));
                host.dom0().execute(&Command::new("true").arg("scope-1")).await?;
                cx.host().dom0().execute(&Command::new("true").arg("scope-2")).await?;
                ensure(heard.has("true scope-1"), "a command of its own is not told")?;
                ensure(!heard.has("true scope-2"), "a command of another handle is told")
            })
        },
    ),
    Check::quick(
        "host.scope_of_guests",
        "the host of a guest is in the scope that the guest was made in",
        |cx| {
            Box::pin(async move {
                let heard = Arc::new(Heard::default());
                let guest = cx.halted("a").await?;
                let host = cx.host().in_scope(Scope::observed_by(heard.clone()));
                let guest = host.guest(&guest.name()).await?;
                guest.host().dom0().execute(&Command::new("true").arg("scope-3")).await?;
                ensure(heard.has("true scope-3"), "a command through the guest's host is not told")
            })
        },
    ),
    Check::quick(
        "host.scope_undoes",
        "what is made through a handle is undone with its scope",
        |cx| {
            Box::pin(async move {
                let scope = Scope::default();
                let guest = cx.host().in_scope(scope.clone()).create_guest(&cx.spec("a")).await?;
                same("the number of undos", scope.len(), 1)?;
                guest.start_paused().await?;
                if let Some(undo) = scope.take_last() {
                    undo.run().await?;
                }
                scope.forget_guests();
                crate::conformance::problem::gone(guest.view().await, "a look at it")
            })
        },
    ),
    Check::quick(
        "host.unknown_guest",
        "a guest that there is not is told with the names that there are",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                match cx.host().guest("no such guest").await {
                    Err(crate::Error::NotFound { known, .. }) => {
                        ensure(known.contains(&guest.name()), format!("it tells {known:?}"))
                    }
                    other => ensure(false, format!("it is {other:?}, not Error::NotFound")),
                }
            })
        },
    ),
    Check::quick("host.is_reachable", "a host that can be logged into is up", |cx| {
        Box::pin(async move {
            ensure(cx.host().is_reachable().await, "it is not reachable")?;
            Ok(cx.host().wait_until_up().await?)
        })
    }),
];
