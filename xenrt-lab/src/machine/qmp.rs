//! A client of QEMU's machine protocol (QMP): JSON objects, one a line, on a socket.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{broadcast, oneshot};

use crate::error::{LabError, Result};

/// Deadline of a command that QEMU answers at once.
pub(crate) const QUICK: Duration = Duration::from_secs(20);

/// Something that QEMU tells without being asked.
#[derive(Clone, Debug, PartialEq)]
pub struct QmpEvent {
    /// Its name: `SHUTDOWN`, `RESET`, `STOP`, ...
    pub name: String,
    /// What comes with it.
    pub data: Value,
}

/// One line from QEMU.
#[derive(Debug, PartialEq)]
enum Message {
    Greeting,
    Answer { id: u64, result: Result<Value, String> },
    Event(QmpEvent),
}

/// As it is on the wire.
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
    #[serde(rename = "return")]
    answer: Option<Value>,
    error: Option<WireError>,
    id: Option<u64>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct WireError {
    desc: String,
}

fn parse(line: &str) -> Result<Message, String> {
    let wire: Wire =
        serde_json::from_str(line).map_err(|error| format!("{error} in {:?}", shorten(line)))?;
    match wire {
        Wire { greeting: Some(_), .. } => Ok(Message::Greeting),
        Wire { event: Some(name), data, .. } => Ok(Message::Event(QmpEvent { name, data })),
        Wire { error: Some(error), id: Some(id), .. } => {
            Ok(Message::Answer { id, result: Err(error.desc) })
        }
        Wire { answer: Some(value), id: Some(id), .. } => {
            Ok(Message::Answer { id, result: Ok(value) })
        }
        // An error without an id: QEMU could not even parse what we sent.
        Wire { error: Some(error), .. } => Err(error.desc),
        _ => Err(format!("neither answer nor event: {:?}", shorten(line))),
    }
}

fn shorten(line: &str) -> String {
    line.chars().take(200).collect()
}

type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Result<Value, String>>>>>>;

/// A connection to one QEMU. Commands may be given from several tasks at once.
#[derive(Debug)]
pub struct Qmp {
    writer: tokio::sync::Mutex<(OwnedWriteHalf, u64)>,
    /// Who waits for which answer; `None` when the connection is closed.
    waiting: Waiting,
    events: broadcast::Sender<QmpEvent>,
    reader: tokio::task::JoinHandle<()>,
}

impl Qmp {
    /// Connects to the socket and leaves QMP's negotiation mode.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or it is not QEMU.
    pub async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| LabError::QmpConnection(error.to_string()))?;
        let (read, write) = stream.into_split();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (events, _) = broadcast::channel(64);
        let reader = tokio::spawn(read_all(BufReader::new(read), waiting.clone(), events.clone()));
        let qmp = Self { writer: (write, 0).into(), waiting, events, reader };
        qmp.execute("qmp_capabilities", json!({}), QUICK).await?;
        Ok(qmp)
    }

    /// The events from now on.
    pub fn events(&self) -> broadcast::Receiver<QmpEvent> {
        self.events.subscribe()
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`LabError::Qmp`] when QEMU refuses, [`LabError::Timeout`] when it does not answer,
    /// [`LabError::QmpConnection`] when it is gone.
    pub async fn execute(
        &self,
        command: &str,
        arguments: Value,
        within: Duration,
    ) -> Result<Value> {
        let gone = || LabError::QmpConnection(format!("closed during {command}"));
        let (sender, answer) = oneshot::channel();
        {
            let mut writer = self.writer.lock().await;
            writer.1 += 1;
            let id = writer.1;
            match self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(waiting) => waiting.insert(id, sender),
                None => return Err(gone()),
            };
            let mut line =
                json!({ "execute": command, "arguments": arguments, "id": id }).to_string();
            line.push('\n');
            writer.0.write_all(line.as_bytes()).await.map_err(|_| gone())?;
        }
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(result)) => {
                result.map_err(|description| LabError::Qmp { command: command.into(), description })
            }
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(LabError::Timeout {
                what: format!("QEMU's answer to {command}"),
                waited: within,
                last_seen: "no answer".into(),
            }),
        }
    }

    /// Gives a command of the human monitor: some facts are to be had only there.
    pub(crate) async fn human(&self, line: &str) -> Result<String> {
        let answer =
            self.execute("human-monitor-command", json!({ "command-line": line }), QUICK).await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read_all(
    mut lines: BufReader<tokio::net::unix::OwnedReadHalf>,
    waiting: Waiting,
    events: broadcast::Sender<QmpEvent>,
) {
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        match parse(&line) {
            Ok(Message::Greeting) => {}
            Ok(Message::Event(event)) => {
                tracing::trace!(target: "xenrt_lab", name = event.name, "QEMU event");
                // Nobody listening is fine.
                let _ = events.send(event);
            }
            Ok(Message::Answer { id, result }) => {
                let asker = waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .as_mut()
                    .and_then(|waiting| waiting.remove(&id));
                if let Some(asker) = asker {
                    let _ = asker.send(result);
                }
            }
            Err(why) => tracing::warn!(target: "xenrt_lab", why, "QEMU sent what is no QMP"),
        }
    }
    // Dropping the senders wakes everybody who waits; `None` turns away who comes later.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[test]
    fn lines_from_qemu() {
        assert_eq!(parse(r#"{"QMP":{"version":{}}}"#), Ok(Message::Greeting));
        assert_eq!(
            parse(r#"{"return":{"status":"running"},"id":7}"#),
            Ok(Message::Answer { id: 7, result: Ok(json!({ "status": "running" })) })
        );
        assert_eq!(
            parse(r#"{"id":8,"error":{"class":"GenericError","desc":"no such disk"}}"#),
            Ok(Message::Answer { id: 8, result: Err("no such disk".into()) })
        );
        assert!(matches!(
            parse(r#"{"event":"SHUTDOWN","data":{"guest":true},"timestamp":{}}"#),
            Ok(Message::Event(event)) if event.name == "SHUTDOWN"
        ));
        assert!(parse("{}").is_err());
        assert!(parse("hello").is_err());
    }

    #[tokio::test]
    async fn a_command_that_qemu_does_not_survive_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let qemu = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut read = BufReader::new(read).lines();
            write.write_all(b"{\"QMP\":{}}\n").await.unwrap();
            read.next_line().await.unwrap();
            write.write_all(b"{\"event\":\"RESUME\"}\n{\"return\":{},\"id\":1}\n").await.unwrap();
            read.next_line().await.unwrap();
        });
        let qmp = Qmp::connect(&socket).await.unwrap();
        let error = qmp.execute("quit", json!({}), QUICK).await.unwrap_err();
        assert!(matches!(error, LabError::QmpConnection(_)), "{error}");
        qemu.await.unwrap();
        let error = qmp.execute("stop", json!({}), QUICK).await.unwrap_err();
        assert!(matches!(error, LabError::QmpConnection(_)), "{error}");
    }
}
