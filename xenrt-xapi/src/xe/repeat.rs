//! Trying again where the connection broke and nobody knows what was done.
//!
//! What is the same when it is done twice is simply sent again. What creates something is sent again
//! only where a look shows that it is not there, and that xapi no longer works on anything that it
//! worked on when the connection broke: it does not stop with whoever asked.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;
use xenrt_core::remote::{Wait, wait_until};

use super::client::TO_END;
use super::{Result, Xe, XeCommand, XeError};
use crate::parse;

/// The least time that a try is given.
const LEAST: Duration = Duration::from_secs(1);

impl Xe {
    /// How long a command may take, tries anew included.
    pub(crate) fn time_for(&self, command: &XeCommand) -> Duration {
        command.deadline_value().unwrap_or(self.deadline())
    }

    /// Tries until the answer is known, or `within` is over. A try is told how long it may take; one
    /// that fails because the connection broke is made again, and its error counts when time is over.
    pub(crate) async fn until_told<T, F>(
        &self,
        within: Duration,
        attempt: impl Fn(Duration) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let started = Instant::now();
        let waited = wait_until("xapi to say what was done", || async {
            let left = within.saturating_sub(started.elapsed()).max(LEAST);
            Ok(match attempt(left).await {
                Err(error) if error.is_ambiguous() && started.elapsed() < within => {
                    Wait::NotYet(error.to_string())
                }
                result => Wait::Done(result),
            })
        })
        .within(within + TO_END)
        .await;
        waited.unwrap_or_else(|error| Err(error.into()))
    }

    /// Runs a command that is the same when it is done twice until its answer is known, or its
    /// deadline is over. Where the connection broke before, a refusal that `tells` that it was done
    /// already is a success.
    pub(crate) async fn repeat(
        &self,
        command: &XeCommand,
        tells: impl Fn(&XeError) -> bool + Sync,
    ) -> Result<()> {
        let (lost, tells) = (&AtomicBool::new(false), &tells);
        self.until_told(self.time_for(command), |left| async move {
            match self.run(&command.clone().deadline(left)).await {
                Err(error) if lost.load(Ordering::Relaxed) && tells(&error) => Ok(()),
                Err(error) => {
                    lost.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
                    Err(error)
                }
                Ok(_) => Ok(()),
            }
        })
        .await
    }

    /// Runs a command that creates one object, and does not create it twice: when the connection
    /// breaks and nobody knows whether it was made, `find` is asked - a list with `--minimal` that
    /// can only show this very object - and what it shows is taken. Only where it shows nothing, and
    /// xapi has ended what it was doing, the command is sent again, until its deadline.
    ///
    /// # Errors
    /// See [`XeError`]. An ambiguous error is returned only when time is over.
    pub async fn create_once(&self, command: &XeCommand, find: &XeCommand) -> Result<Uuid> {
        let (lost, finds) = (&AtomicBool::new(false), std::slice::from_ref(find));
        let made = self
            .until_told(self.time_for(command), |left| async move {
                if lost.load(Ordering::Relaxed)
                    && let Some(uuid) = self.settled(finds, left).await?
                {
                    return Ok(uuid);
                }
                let made = self.create(&command.clone().deadline(left)).await;
                if let Err(error) = &made {
                    lost.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
                }
                made
            })
            .await;
        match made {
            // Time is over; it may be there all the same.
            Err(error) if error.is_ambiguous() => self.found(finds).await?.ok_or(error),
            made => made,
        }
    }

    /// What one of these lists shows; each can only show the same object.
    pub(crate) async fn found(&self, finds: &[XeCommand]) -> Result<Option<Uuid>> {
        found_in(&self.run_all(finds).await?)
    }

    /// What one of these lists shows, or nothing once no task is pending any more that was when this
    /// was called. Each look is one remote command.
    ///
    /// # Errors
    /// [`XeError::ConnectionLost`] where tasks are pending all the time.
    pub(crate) async fn settled(
        &self,
        finds: &[XeCommand],
        within: Duration,
    ) -> Result<Option<Uuid>> {
        let tasks = XeCommand::new("task-list").param("status", "pending").minimal();
        // What ends between the two is seen by the second.
        let mut look = vec![tasks];
        look.extend_from_slice(finds);
        let before: std::sync::OnceLock<HashSet<String>> = std::sync::OnceLock::new();
        let started = Instant::now();
        let waited = wait_until("xapi to end what it was doing", || async {
            let seen = async {
                let answers = self.run_all(&look).await?;
                let Some((tasks, lists)) = answers.split_first() else { return Ok(Some(None)) };
                if let Some(uuid) = found_in(lists)? {
                    return Ok(Some(Some(uuid)));
                }
                let pending: HashSet<String> =
                    parse::minimal(tasks)?.into_iter().map(|task| task.to_string()).collect();
                let before = before.get_or_init(|| pending.clone());
                if before.is_disjoint(&pending) {
                    return Ok(Some(None));
                }
                if started.elapsed() >= within {
                    let message = "xapi still works on what it did then".to_owned();
                    return Err(XeError::ConnectionLost { message });
                }
                Ok(None)
            };
            Ok(match seen.await {
                Ok(None) => Wait::NotYet("tasks are pending".to_owned()),
                Ok(Some(found)) => Wait::Done(Ok(found)),
                Err(error) => Wait::Done(Err(error)),
            })
        })
        .within(within + TO_END)
        .await;
        waited.unwrap_or_else(|error| Err(error.into()))
    }
}

/// The one object that lists with `--minimal` show.
fn found_in(lists: &[String]) -> Result<Option<Uuid>> {
    let mut found: Option<Uuid> = None;
    for list in lists {
        for uuid in parse::minimal(list)? {
            let wrong = |_| parse::not_understood("xe --minimal", "a UUID", &uuid);
            let uuid: Uuid = uuid.parse().map_err(wrong)?;
            if found.is_some_and(|earlier| earlier != uuid) {
                let message = format!("{uuid} was found where one object alone can be");
                return Err(XeError::SeveralMatch { message });
            }
            found = Some(uuid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_found_in_several_lists_and_two_are_told() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let none = "\n".to_owned();
        assert_eq!(found_in(&[none.clone(), none.clone()]).unwrap(), None);
        assert_eq!(found_in(&[none, format!("{one}\n"), format!("{one}\n")]).unwrap(), Some(one));
        let two = found_in(&[format!("{one},{other}\n")]).unwrap_err();
        assert!(matches!(two, XeError::SeveralMatch { .. }), "{two}");
        assert!(found_in(&["x\n".to_owned()]).is_err());
    }
}
