//! What an interrupted run left on hosts that outlive it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::Error;
use crate::model::{Ability, CreatedObject, Host, ObjectKind};
use crate::seconds::Readable;
use crate::sequencer::finish::with_causes;
use crate::sequencer::{EventKind, Events, Level};

/// How long a host may take to say what is on it, and to remove one thing.
const DEADLINE: Duration = Duration::from_secs(300);

/// What a run made on its hosts and did not undo, in the order in which it was made; and what was
/// there before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::sequencer) struct Leftovers {
    pub(super) made: Vec<CreatedObject>,
    /// The names that some of these may have got since, in that order.
    renamed: Vec<(CreatedObject, String)>,
    found: BTreeMap<String, Found>,
}

/// What was on a host before the run, by its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    guests: BTreeSet<String>,
    networks: BTreeSet<String>,
    storages: BTreeSet<String>,
    templates: BTreeSet<String>,
    /// It was in a pool with others.
    pooled: bool,
}

impl Leftovers {
    /// Takes an event of the run.
    pub(super) fn take(&mut self, what: EventKind) {
        match what {
            EventKind::Creating(object) => {
                // Whoever had the name before and has another now is to be found by that.
                let renamed = self.renamed.iter().filter(|(made, _)| *made == object);
                let renamed: Vec<_> = renamed
                    .map(|(made, name)| CreatedObject { name: name.clone(), ..made.clone() })
                    .collect();
                self.forget(&object);
                self.made.extend(renamed);
                self.made.push(object);
            }
            EventKind::Renaming { object, to } => {
                // What was there before the run, or is no guest of it, is none of its business.
                if let Some(made) = self.known_as(&object).cloned() {
                    self.renamed.push((made, to));
                }
            }
            EventKind::NotCreated(object) => self.forget(&object),
            EventKind::Undone { object: Some(object), error: None, .. } => self.forget(&object),
            EventKind::HostFound { host, guests, networks, storages, templates, pool } => {
                // The first look is the one before the run made anything.
                self.found.entry(host).or_insert_with(|| Found {
                    guests: guests.into_iter().collect(),
                    networks: networks.into_iter().collect(),
                    storages: storages.into_iter().collect(),
                    templates: templates.into_iter().collect(),
                    pooled: pool.len() > 1,
                });
            }
            _ => {}
        }
    }

    fn forget(&mut self, object: &CreatedObject) {
        self.made.retain(|made| made != object);
        self.renamed.retain(|(made, _)| made != object);
    }

    /// What the run made that has this name now. A guest may have been migrated, so one of another
    /// host is taken where the host has none of this name.
    fn known_as(&self, object: &CreatedObject) -> Option<&CreatedObject> {
        let is_called = |made: &&CreatedObject| {
            made.kind == object.kind && self.names(made).any(|name| name == object.name)
        };
        let mut named = self.made.iter().rev().filter(is_called);
        let first = named.clone().next();
        named.find(|made| made.host == object.host).or(first)
    }

    /// The names by which something that the run made may be found: it may have been killed just
    /// before or after it renamed it.
    fn names<'l>(&'l self, object: &'l CreatedObject) -> impl Iterator<Item = &'l str> {
        let later = self.renamed.iter().filter(move |(made, _)| made == object);
        std::iter::once(&*object.name).chain(later.map(|(_, name)| &**name))
    }
}

/// Looks at hosts that outlive the run, before the run makes anything on them: notes what is there,
/// and removes what this run left before it was interrupted. `made` are the kinds of things that it
/// makes besides guests and networks.
///
/// # Errors
/// What could not be removed, in one text.
pub(in crate::sequencer) async fn take_stock(
    hosts: &[Arc<dyn Host>],
    leftovers: &Leftovers,
    made: &[ObjectKind],
    events: &Events,
) -> Result<(), String> {
    let of_hosts = hosts.iter().map(|host| async move {
        if leftovers.found.contains_key(host.name()) {
            return;
        }
        match timeout(DEADLINE, found(host.as_ref(), made)).await {
            Ok(Ok(found)) => events.send(None, found),
            Ok(Err(error)) => warn(events, host.as_ref(), &with_causes(&error)),
            Err(_) => {
                warn(events, host.as_ref(), &format!("it did not answer in {}", Readable(DEADLINE)))
            }
        }
    });
    join_all(of_hosts).await;
    let mut problems = Vec::new();
    // The last first: a network goes after the guests that use it.
    for object in leftovers.made.iter().rev() {
        if let Err(problem) = remove(hosts, leftovers, object, events).await {
            problems.push(format!("{object}: {problem}"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("what the interrupted run left could not be removed: {}", problems.join("; ")))
}

fn warn(events: &Events, host: &dyn Host, problem: &str) {
    let text = format!(
        "it is not known what was on host {} before the run ({problem}); should the run be \
         interrupted, what it leaves there is not removed when it is resumed",
        host.name()
    );
    events.log(Level::Warning, text);
}

async fn found(host: &dyn Host, made: &[ObjectKind]) -> Result<EventKind, Error> {
    let networks = async {
        match host.require(Ability::Networks) {
            Ok(()) => host.networks().await,
            Err(_) => Ok(Vec::new()),
        }
    };
    // Where the run makes none of a kind, whether there are some is not worth a look.
    let storages = async {
        match host.storages() {
            Ok(storages) if made.contains(&ObjectKind::Storage) => storages.list().await,
            _ => Ok(Vec::new()),
        }
    };
    let templates = async {
        match host.templates() {
            Ok(templates) if made.contains(&ObjectKind::Template) => templates.list().await,
            _ => Ok(Vec::new()),
        }
    };
    let pool = async {
        match host.pooling() {
            Ok(pool) if made.contains(&ObjectKind::PoolMember) => pool.members().await,
            _ => Ok(Vec::new()),
        }
    };
    let all = futures::try_join!(host.guests(), networks, storages, templates, pool)?;
    let (guests, networks, storages, templates, pool) = all;
    let others = if pool.len() > 1 { pool } else { Vec::new() };
    Ok(EventKind::HostFound {
        host: host.name().to_owned(),
        guests: guests.iter().map(|guest| guest.name()).collect(),
        networks: networks.into_iter().map(|network| network.name).collect(),
        storages: storages.into_iter().map(|storage| storage.name).collect(),
        // Those that came with the toolstack are nobody's, and many.
        templates: templates.into_iter().filter(|own| own.own).map(|own| own.name).collect(),
        pool: others.into_iter().map(|member| member.name).collect(),
    })
}

/// Removes one object, unless it was there before the run. A guest may have been migrated, so it is
/// looked for on all hosts of the run.
async fn remove(
    hosts: &[Arc<dyn Host>],
    leftovers: &Leftovers,
    object: &CreatedObject,
    events: &Events,
) -> Result<(), String> {
    let known = hosts.iter().any(|host| host.name() == object.host);
    if !known {
        return Err("the host is not one of this run now; remove it by hand".to_owned());
    }
    for host in hosts {
        let anywhere = object.kind == ObjectKind::Guest;
        if host.name() != object.host && !anywhere {
            continue;
        }
        let Some(found) = leftovers.found.get(host.name()) else {
            if host.name() == object.host {
                return Err("it is not known whether it was there before the run; see whether it \
                            is yours, and remove it by hand"
                    .to_owned());
            }
            continue;
        };
        let none = BTreeSet::new();
        let names = match object.kind {
            ObjectKind::Guest => &found.guests,
            ObjectKind::Network => &found.networks,
            ObjectKind::Storage => &found.storages,
            ObjectKind::Template => &found.templates,
            // A host that was in a pool before was not brought into it by the run.
            ObjectKind::PoolMember if found.pooled => continue,
            ObjectKind::PoolMember => &none,
        };
        for name in leftovers.names(object).filter(|name| !names.contains(*name)) {
            let named = CreatedObject { name: name.to_owned(), ..object.clone() };
            let removed = match timeout(DEADLINE, remove_from(host.as_ref(), &named)).await {
                Ok(Ok(removed)) => removed,
                Ok(Err(error)) => return Err(with_causes(&error)),
                Err(_) => {
                    let time = Readable(DEADLINE);
                    return Err(format!("host {} did not do it in {time}", host.name()));
                }
            };
            if removed {
                let (kind, host) = (object.kind, host.name());
                let text =
                    format!("removed {kind} {name:?} from {host}: the interrupted run had left it");
                events.log(Level::Warning, text);
            }
        }
    }
    let undo = format!("remove {} {:?}", object.kind, object.name);
    events.send(None, EventKind::Undone { undo, object: Some(object.clone()), error: None });
    Ok(())
}

/// Whether it was there.
async fn remove_from(host: &dyn Host, object: &CreatedObject) -> Result<bool, Error> {
    match object.kind {
        ObjectKind::Guest => match host.guest(&object.name).await {
            Ok(guest) => guest.ensure_deleted().await.map(|()| true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        },
        ObjectKind::Network => {
            let networks = host.networks().await?;
            if !networks.iter().any(|network| network.name == object.name) {
                return Ok(false);
            }
            host.remove_network(&object.name).await.map(|()| true)
        }
        ObjectKind::Storage => {
            let storages = host.storages()?;
            if !storages.list().await?.iter().any(|storage| storage.name == object.name) {
                return Ok(false);
            }
            storages.remove(&object.name).await.map(|()| true)
        }
        ObjectKind::Template => {
            let templates = host.templates()?;
            if !templates.list().await?.iter().any(|template| template.name == object.name) {
                return Ok(false);
            }
            templates.remove(&object.name).await.map(|()| true)
        }
        ObjectKind::PoolMember => {
            let pool = host.pooling()?;
            if pool.members().await?.len() < 2 {
                return Ok(false);
            }
            pool.leave().await.map(|()| true)
        }
    }
}
