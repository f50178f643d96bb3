//! Tasks and messages of xapi.

use std::time::Duration;

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::remote::{Wait, wait_until};

use crate::host::XapiHost;
use crate::parse::{Record, not_understood, records};
use crate::xe::{XeCommand, XeError};

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// It runs, or waits to.
    Pending,
    /// It did what it should.
    Success,
    /// It failed.
    Failure,
    /// It was asked to stop.
    Cancelling,
    /// It stopped.
    Cancelled,
}

/// A task of xapi.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its identity.
    pub uuid: Uuid,
    /// What it does: `Async.VM.copy`.
    pub name: String,
    /// How far it is.
    pub status: TaskStatus,
    /// How much of it is done, from 0 to 1.
    pub progress: f64,
    /// Why it failed, in xapi's words.
    pub error: String,
}

/// A message of xapi: an alert, or a note of what happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its identity.
    pub uuid: Uuid,
    /// What it is: `VM_STARTED`, `ALARM`, ...
    pub name: String,
    /// 1 (urgent) to 5 (for the record).
    pub priority: u32,
    /// The class of the object that it is about: `VM`, `Host`, ...
    pub class: String,
    /// The object that it is about.
    pub object: Option<Uuid>,
    /// When it was written, as xapi prints it.
    pub time: String,
    /// Its text.
    pub body: String,
}

fn task(record: &Record<'_>) -> Result<Task> {
    let status = match record.require("status")? {
        "pending" => TaskStatus::Pending,
        "success" => TaskStatus::Success,
        "failure" => TaskStatus::Failure,
        "cancelling" => TaskStatus::Cancelling,
        "cancelled" => TaskStatus::Cancelled,
        other => return Err(not_understood("the field status", "the status of a task", other)),
    };
    Ok(Task {
        uuid: record.parse("uuid")?,
        name: record.require("name-label")?.to_owned(),
        status,
        progress: record.parse("progress")?,
        error: record.get("error_info").unwrap_or_default().to_owned(),
    })
}

impl XapiHost {
    pub(crate) async fn read<T>(
        &self,
        list: XeCommand,
        what: &str,
        read: impl Fn(&Record<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let text = self.xe().run(&list).await.map_err(|error| error.during("list", what))?;
        records(&text).map(|record| read(&record?)).collect()
    }

    /// The tasks of the pool; those that ended stay for a while. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn tasks(&self) -> Result<Vec<Task>> {
        let fields = ["uuid", "name-label", "status", "progress", "error_info"];
        self.read(XeCommand::new("task-list").fields(&fields), "tasks", task).await
    }

    /// Asks a task to stop. That it did is another matter, see [`wait_for_task`](Self::wait_for_task).
    /// One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn cancel_task(&self, task: Uuid) -> Result<()> {
        let cancel = self.xe().run(&XeCommand::new("task-cancel").uuid(task)).await;
        cancel.map(drop).map_err(|error| error.during("cancel", &format!("task {task}")))
    }

    /// Waits until a task has ended, one way or another.
    ///
    /// # Errors
    /// [`Error::Timeout`](xenrt_core::Error::Timeout) with how far it was seen;
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) when xapi does not know it (any more).
    pub async fn wait_for_task(&self, uuid: Uuid, within: Duration) -> Result<Task> {
        wait_until(format!("task {uuid} to end"), || async {
            let task = self.tasks().await?.into_iter().find(|task| task.uuid == uuid);
            let gone = XeError::NoMatch { message: format!("there is no task {uuid}") };
            let task = task.ok_or_else(|| gone.during("wait for", &format!("task {uuid}")))?;
            Ok(match task.status {
                TaskStatus::Pending | TaskStatus::Cancelling => {
                    Wait::NotYet(format!("{:?}, {:.0} %", task.status, task.progress * 100.0))
                }
                _ => Wait::Done(task),
            })
        })
        .within(within)
        .await
    }

    /// The messages of the pool, the newest first. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn messages(&self) -> Result<Vec<Message>> {
        let message = |record: &Record<'_>| {
            Ok(Message {
                uuid: record.parse("uuid")?,
                name: record.require("name")?.to_owned(),
                priority: record.parse("priority")?,
                class: record.get("class").unwrap_or_default().to_owned(),
                object: record.get("obj-uuid").and_then(|uuid| uuid.parse().ok()),
                time: record.get("timestamp").unwrap_or_default().to_owned(),
                body: record.get("body").unwrap_or_default().to_owned(),
            })
        };
        self.read(XeCommand::new("message-list"), "messages", message).await
    }

    /// Removes a message; one that is gone already is a success. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn remove_message(&self, message: Uuid) -> Result<()> {
        match self.xe().run(&XeCommand::new("message-destroy").uuid(message)).await {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result
                .map(drop)
                .map_err(|error| error.during("remove", &format!("message {message}"))),
        }
    }
}
