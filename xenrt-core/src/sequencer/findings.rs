//! Findings: what hosts and guests wrote while a test ran.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::finish::with_causes;
use super::{EventKind, Events, Level};
use crate::findings::{Found, scan};
use crate::model::{Guest, Host, LogMark};
use crate::testcase::TestContext;
use crate::{Error, Result, ToolstackErrorKind};

/// How long one host or guest may take to show its logs.
const DEADLINE: Duration = Duration::from_secs(30);

/// What is known of the logs of a run's hosts and guests: where the last look at each ended.
///
/// A look finds what was written since the one before, whoever ran meanwhile: tests that ran side
/// by side on a host all get what was found there.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<HashMap<String, Arc<Watched>>>);

/// One host or guest. The lock is held while it is looked at, so that each line is found once.
#[derive(Debug, Default)]
struct Watched(tokio::sync::Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    marks: BTreeMap<String, LogMark>,
    found: Vec<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    at: Instant,
    source: String,
    found: Found,
}

impl Looks {
    /// More findings of one object than anybody reads.
    const MOST: usize = 200;

    fn scan(&mut self, source: &str, text: &str) {
        let at = Instant::now();
        for found in scan(text) {
            self.found.push(Seen { at, source: source.to_owned(), found });
        }
        let too_many = self.found.len().saturating_sub(Self::MOST);
        self.found.drain(..too_many);
    }

    /// What was found by looks after `started`.
    fn since(&self, started: Instant) -> Vec<Seen> {
        self.found.iter().filter(|seen| seen.at > started).cloned().collect()
    }
}

impl Findings {
    fn watched(&self, object: &str) -> Arc<Watched> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(object.to_owned()).or_default())
    }

    /// Looks at what the preparation gave, before the first test: what hosts wrote earlier is
    /// nobody's, and what the guests of the preparation wrote is the preparation's.
    pub(super) async fn begin(
        &self,
        hosts: impl IntoIterator<Item = Arc<dyn Host>>,
        guests: impl IntoIterator<Item = Arc<dyn Guest>>,
        events: &Events,
    ) {
        let started = Instant::now();
        let hosts = hosts.into_iter().map(|host| async move {
            let problem = self.look_at_host(host.as_ref(), started).await.err();
            problem.map(|problem| format!("host {:?}: {problem}", host.name()))
        });
        let guests = guests.into_iter().map(|guest| async move {
            match self.look_at_guest(guest.as_ref(), started).await {
                Ok(seen) => {
                    seen.into_iter().for_each(|seen| events.send(None, event(seen)));
                    None
                }
                Err(problem) => Some(format!("guest {:?}: {problem}", guest.name())),
            }
        });
        let (hosts, guests) = tokio::join!(join_all(hosts), join_all(guests));
        for problem in hosts.into_iter().chain(guests).flatten() {
            let text = format!("no findings can be looked for at {problem}");
            events.log(Level::Warning, text);
        }
    }

    async fn look_at_host(&self, host: &dyn Host, started: Instant) -> Result<Vec<Seen>, String> {
        let watched = self.watched(&format!("host {}", host.name()));
        let mut looks = watched.0.lock().await;
        // What is looked at after each test is not worth a line in the journal.
        let host = host.in_scope(crate::model::Scope::default());
        let news = within(host.logs_since(&mut looks.marks)).await.map_err(|e| with_causes(&e))?;
        for (source, text) in news {
            looks.scan(&format!("host {} {source}", host.name()), &text);
        }
        Ok(looks.since(started))
    }

    async fn look_at_guest(
        &self,
        guest: &dyn Guest,
        started: Instant,
    ) -> Result<Vec<Seen>, String> {
        // By name and host, since a host may go on with the log of an earlier guest of that name.
        let name = guest.name();
        let watched = self.watched(&format!("guest {name} on {}", guest.host().name()));
        let mut looks = watched.0.lock().await;
        let mark = looks.marks.entry("console".to_owned()).or_default();
        match within(guest.console_since(mark)).await {
            Ok(text) => looks.scan(&format!("guest {name} console"), &text),
            // There is nothing to look at.
            Err(Error::Unsupported { .. }) => {}
            Err(error) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => {}
            Err(error) => return Err(with_causes(&error)),
        }
        Ok(looks.since(started))
    }

    /// Looks at a text that was collected as evidence and is a log of its own.
    pub(super) async fn look_at_text(
        &self,
        source: &str,
        text: &str,
        started: Instant,
    ) -> Vec<EventKind> {
        let watched = self.watched(source);
        let mut looks = watched.0.lock().await;
        let news = looks.marks.entry(source.to_owned()).or_default().news(text).to_owned();
        looks.scan(source, &news);
        looks.since(started).into_iter().map(event).collect()
    }
}

async fn within<T>(look: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(DEADLINE, look).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout {
            waiting_for: "the logs".to_owned(),
            waited: DEADLINE,
            last_seen: "no answer".to_owned(),
        }),
    }
}

/// Tells what the hosts and guests of a test wrote since it began.
pub(super) async fn look(cx: &TestContext, started: Instant) {
    let findings = &cx.shared().findings;
    let hosts = cx.hosts_used();
    let from_hosts = hosts.iter().map(|(_, host)| async move {
        (format!("host {:?}", host.name()), findings.look_at_host(host.as_ref(), started).await)
    });
    let from_guests = cx.guests_used().into_iter().map(|guest| async move {
        let looked = findings.look_at_guest(guest.as_ref(), started).await;
        (format!("guest {:?}", guest.name()), looked)
    });
    let (hosts, guests) = tokio::join!(join_all(from_hosts), join_all(from_guests));
    for (object, looked) in hosts.into_iter().chain(guests) {
        match looked {
            Ok(seen) => seen.into_iter().for_each(|seen| cx.send(event(seen))),
            Err(problem) => cx.info(format!("no findings were looked for at {object}: {problem}")),
        }
    }
}

fn event(seen: Seen) -> EventKind {
    let Seen { source, found, .. } = seen;
    let mut excerpt = found.excerpt;
    if found.lines > 1 {
        excerpt = format!("{excerpt}\n[{} such lines in all]", found.lines);
    }
    EventKind::Finding { source, pattern: found.pattern.to_owned(), excerpt }
}
